"""Values that options of a method's parts can have."""

from __future__ import annotations

import math

from midmix.errors import InputError


def real(option: str, value: object, *, least: float = -math.inf, above: float = -math.inf) -> float:
    """The value of an option that is a finite number, at least `least` and above `above`.

    Raises:
        InputError: for anything else.

    Example:
        >>> real("tau_norm:tau", -1, least=0)
        Traceback (most recent call last):
        ...
        midmix.errors.InputError: tau_norm:tau=-1: must be a finite number of 0 or more
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        number = float(value)
        if number >= least and number > above:
            return number
    span = f" of {least:g} or more" if least > -math.inf else f" above {above:g}" if above > -math.inf else ""
    raise InputError(f"{option}={value}: must be a finite number{span}")


def whole(option: str, value: object, *, least: int) -> int:
    """The value of an option that is a whole number of `least` or more.

    Raises:
        InputError: for anything else.

    Example:
        >>> whole("m_per_class:m", 4, least=1)
        4
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise InputError(f"{option}={value}: must be a whole number of {least} or more")
