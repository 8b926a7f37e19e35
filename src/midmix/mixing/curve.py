"""From training accuracy to λ: every curve starts at 1 (no mixing) and falls towards the midpoint, 0.5."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.errors import InputError

Curve = Callable[[Tensor], Tensor]
"""Accuracy in `[0, 1]`, a tensor, to λ in `[0.5, 1]`, a tensor of the same shape."""


@dataclass(frozen=True)
class ExponentialCurve:
    """`λ = exp(-β · acc)`, the paper's curve (arXiv 2401.14696); β = 0.67 ends at 0.512, β = ln 2 at 0.5.

    Raises:
        InputError: where β is negative or above ln 2, with which λ would leave `[0.5, 1]`.

    Example:
        >>> ExponentialCurve()(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.5117])
    """

    beta: float = 0.67

    def __post_init__(self) -> None:
        if not 0 <= self.beta <= math.log(2) + 1e-12:
            raise InputError(
                f"beta: {self.beta} would take the ratio out of [0.5, 1]; use 0 to {math.log(2):.4f} (ln 2)"
            )

    def __call__(self, accuracy: Tensor) -> Tensor:
        return torch.exp(-self.beta * accuracy)


@dataclass(frozen=True)
class LinearCurve:
    """`λ = 1 - acc / 2`: the straight line from 1 to 0.5.

    Example:
        >>> LinearCurve()(torch.tensor([0.0, 0.5, 1.0]))
        tensor([1.0000, 0.7500, 0.5000])
    """

    def __call__(self, accuracy: Tensor) -> Tensor:
        return 1 - accuracy / 2


@dataclass(frozen=True)
class CosineCurve:
    """`λ = 0.75 + 0.25 cos(π · acc)`: flat at both ends.

    Example:
        >>> CosineCurve()(torch.tensor([0.0, 0.5, 1.0]))
        tensor([1.0000, 0.7500, 0.5000])
    """

    def __call__(self, accuracy: Tensor) -> Tensor:
        return 0.75 + 0.25 * torch.cos(math.pi * accuracy)


@dataclass(frozen=True)
class PowerCurve:
    """`λ = 1 - acc^p / 2`: late mixing for p above 1, early for p below 1, `LinearCurve` at p = 1.

    Raises:
        InputError: where p is not above 0.

    Example:
        >>> PowerCurve(2)(torch.tensor([0.0, 0.5, 1.0]))
        tensor([1.0000, 0.8750, 0.5000])
    """

    exponent: float = 2.0

    def __post_init__(self) -> None:
        if not self.exponent > 0:
            raise InputError(f"exponent: {self.exponent} is not above 0")

    def __call__(self, accuracy: Tensor) -> Tensor:
        return 1 - accuracy**self.exponent / 2
