"""A number, with what stands behind it."""

from __future__ import annotations

from typing import Self

from torch import Tensor


class Estimate(float):
    """A float that also knows its value per class and, where it was sampled, how far it may be off.

    `standard_error` is 0.0 for an exact value. `per_class [C]` (float64) is None for a measure that has no
    value per class, and holds NaN for a class without rows.

    Example:
        >>> found = Estimate(1.25, standard_error=0.01)
        >>> found + 1, found.standard_error
        (2.25, 0.01)
    """

    standard_error: float
    per_class: Tensor | None

    def __new__(cls, value: float, *, standard_error: float = 0.0, per_class: Tensor | None = None) -> Self:
        self = super().__new__(cls, value)
        self.standard_error = standard_error
        self.per_class = per_class
        return self
