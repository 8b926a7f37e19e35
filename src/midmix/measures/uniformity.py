"""How evenly all rows cover the sphere."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.measures._pairs import Gaussian, pair_sums
from midmix.measures._rows import Rows
from midmix.measures.estimate import Estimate
from midmix.measures.table import declare
from midmix.measures.within_classes import pair_mean

LARGEST_T = 100.0
"""`exp(-t·4)` stays far above the smallest float64 up to here."""


def uniformity_wi(
    features: Tensor,
    labels: Tensor | None = None,
    *,
    t: float = 2.0,
    max_rows: int | None = None,
    seed: int = 0,
) -> Estimate:
    """Wang & Isola's uniformity: `log E exp(-t ‖u_a - u_b‖₂²)` over pairs of distinct rows; lower is more even.

    0 when all rows are one point, and not below `-4t`. Labels play no part; they may be given so that every
    measure is called alike. Not to be confused with `class_uniformity`, which is over class centres and higher
    when better. NaN with one row. Source: Wang & Isola, ICML 2020.

    Args:
        features: `[N, D]`, any float dtype; sums are float64.
        labels: not used beyond a check that they fit.
        t: the sharpness of the Gaussian, above 0 and at most 100.
        max_rows: more rows than this are estimated from a random sample of that many, and the result has a
            standard error (of the logarithm, to first order); None for exact.
        seed: of the sample.

    Raises:
        InputError: features and labels that do not fit, non-finite rows, no rows, a t out of range.

    Example:
        >>> round(uniformity_wi(torch.tensor([[1.0, 0.0], [-3.0, 0.0]])), 4)  # two opposite points: -4t
        -8.0
    """
    if labels is None:
        labels = torch.zeros(len(features), dtype=torch.long)
    return uniformity_wi_of(Rows.of(features, labels, max_rows, seed), t)


def uniformity_wi_of(rows: Rows, t: float) -> Estimate:
    """`uniformity_wi` of rows that are checked."""
    if not 0 < t <= LARGEST_T:
        raise InputError(f"t: expected a number above 0 and at most {LARGEST_T:g}, got {t}")
    if len(rows.features) < 2:
        return Estimate(math.nan)
    sums = pair_sums(rows.features, Gaussian(t), rows.overall())
    mean, error = pair_mean(sums, population=int(rows.counts.sum()))
    return Estimate(math.log(mean), standard_error=float(error / mean))


declare(
    "uniformity_wi", "uniformity (W&I)", "lower", lambda o: o.meter.uniformity_wi(), needs=["features"],
    table="collapse", order=5,
)  # fmt: skip
