"""Whether what a user gave is a number."""

from __future__ import annotations

from numbers import Integral, Real


def is_real(value: object) -> bool:
    """Whether it is a number of any library; true and false are none.

    Example:
        >>> is_real(1), is_real(0.5), is_real(True), is_real("1")
        (True, True, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Whether it is a whole number of any library; true and false are none.

    Example:
        >>> is_whole(1), is_whole(0.5), is_whole(True)
        (True, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)
