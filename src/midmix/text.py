"""Text that can be shown and written anywhere."""

from __future__ import annotations

import unicodedata

_UNSHOWN = ("Cc", "Cs", "Zl", "Zp")
"""Control characters, surrogates (which stand for bytes that are no UTF-8), and line breaks."""


def printable(text: str) -> str:
    r"""A text with control characters, and bytes that are no UTF-8, escaped, as it can be shown and written anywhere.

    Example:
        >>> printable("a\x1b[31mb"), printable("été")
        ('a\\x1b[31mb', 'été')
    """
    return "".join(repr(sign)[1:-1] if unicodedata.category(sign) in _UNSHOWN else sign for sign in text)
