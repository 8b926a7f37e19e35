"""What is said where an optional package is missing."""

from __future__ import annotations


def missing(extra: str) -> ImportError:
    """The error that names the extra to install.

    Example:
        >>> print(missing("timm"))
        midmix.integrations.timm: timm is not installed; pip install 'midmix[timm]'
    """
    return ImportError(
        f"midmix.integrations.{extra}: {extra} is not installed; pip install 'midmix[{extra}]'", name=extra
    )
