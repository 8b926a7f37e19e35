"""The normalisation of von Mises-Fisher distributions, stable and differentiable in every dimension that is used."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

TERMS = 12  # of the expansion; of order 7 (16 dimensions) its error is then below 1e-9


def log_bessel_ratio(order: float, kappa: Tensor) -> Tensor:
    """`log( I_ν(κ) / κ^ν )` but for a constant of ν, in float64: `-log C_p(κ)` of p = 2ν + 2 dimensions.

    The uniform expansion of the modified Bessel function (DLMF 10.41.3), in which the singular `ν log κ` has been
    cancelled by hand:

        ν (√(1+x²) - log(1+√(1+x²))) - ¼ log(1+x²) + log Σ_k U_k(1/√(1+x²)) / ν^k,  x = κ/ν

    Args:
        order: ν, 7 or more.
        kappa: κ, 0 or more, any shape.

    Example:
        >>> found = log_bessel_ratio(7.0, torch.tensor([0.0, 30.0]))
        >>> round(float(found[1] - found[0]), 4)  # log(I_7(30) / 30^7) - log(1 / (2^7 7!))
        16.1268
    """
    x = kappa.double() / order
    root = (1 + x.square()).sqrt()
    t = 1 / root
    series = torch.zeros_like(t)
    for k in range(TERMS, -1, -1):
        series = series / order + _polynomial(k, t)
    return order * (root - torch.log1p(root)) - 0.5 * root.log() + series.log()


def _polynomial(k: int, t: Tensor) -> Tensor:
    total = torch.zeros_like(t)
    for coefficient in reversed(_coefficients(k)):
        total = total * t + coefficient
    return total


@cache
def _coefficients(k: int) -> tuple[float, ...]:
    return tuple(map(float, _exact(k)))


@cache
def _exact(k: int) -> tuple[Fraction, ...]:
    """Coefficients of U_k by powers of t: `U_{k+1} = ½ t² (1 - t²) U_k' + ⅛ ∫₀ᵗ (1 - 5 s²) U_k ds` (DLMF 10.41.9)."""
    if k == 0:
        return (Fraction(1),)
    before = _exact(k - 1)
    fresh = [Fraction(0)] * (len(before) + 3)
    for power, coefficient in enumerate(before):
        fresh[power + 1] += coefficient * (Fraction(power, 2) + Fraction(1, 8 * (power + 1)))
        fresh[power + 3] -= coefficient * (Fraction(power, 2) + Fraction(5, 8 * (power + 3)))
    return tuple(fresh)
