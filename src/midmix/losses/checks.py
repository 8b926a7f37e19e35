"""What options of losses may be."""

from __future__ import annotations

from midmix.errors import InputError

LEFT_OUT = "; 0 leaves the term out"


def check_positive(name: str, value: float, hint: str = "") -> None:
    """Sees that an option is above 0, and finite.

    Args:
        name: of the option.
        value: of it.
        hint: ends the message.

    Raises:
        InputError: where it is not.

    Example:
        >>> check_positive("temperature", 0, ", such as 0.1")
        Traceback (most recent call last):
        ...
        midmix.errors.InputError: temperature: 0 must be above 0, and finite, such as 0.1
    """
    if not 0 < value < float("inf"):
        raise InputError(f"{name}: {value} must be above 0, and finite{hint}")


def check_not_negative(name: str, value: float, hint: str = "") -> None:
    """Sees that an option is 0 or more, and finite; arguments as `check_positive`.

    Raises:
        InputError: where it is not.
    """
    if not 0 <= value < float("inf"):
        raise InputError(f"{name}: {value} must be 0 or more, and finite{hint}")
