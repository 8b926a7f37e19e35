"""How close the rows of one class lie together."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.measures._pairs import Power, pair_sums
from midmix.measures._rows import Rows
from midmix.measures.estimate import Estimate
from midmix.measures.moments import UnitMoments
from midmix.measures.table import declare


def alignment(features: Tensor, labels: Tensor, *, max_rows: int | None = None, seed: int = 0) -> Estimate:
    """Mean distance of two rows of one class, on the unit sphere; lower is tighter, 0 is one point a class.

    `1/C Σ_c 1/|F_c|² Σ_{a,b ∈ F_c} ‖u_a - u_b‖₂`, `u = z/‖z‖₂`, over the C classes that have rows.

    All `|F_c|²` ordered pairs count, each row paired with itself included: the zero diagonal. A class of n
    rows thus reads `(n-1)/n` of the mean over distinct pairs, and a class of one row reads 0; mind it where
    classes are small. Source: the intra-class alignment of Li et al., "Targeted Supervised Contrastive
    Learning for Long-Tailed Recognition", CVPR 2022.

    Args:
        features: `[N, D]`, any float dtype; sums are float64.
        labels: `[N]`, class indices.
        max_rows: a class with more rows than this is estimated from a random sample of that many, and the
            result has a standard error; None for exact.
        seed: of the sample.

    Returns:
        The mean, with `per_class [C]`.

    Raises:
        InputError: features and labels that do not fit, non-finite rows, no rows.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
        >>> round(alignment(features, torch.tensor([0, 0, 1])), 4)  # class 0: √2 on two of four pairs
        0.3536
    """
    return alignment_of(Rows.of(features, labels, max_rows, seed))


def alignment_wi(
    features: Tensor, labels: Tensor, *, alpha: float = 2.0, max_rows: int | None = None, seed: int = 0
) -> Estimate:
    """Wang & Isola's alignment: `E ‖u_a - u_b‖₂^α` over positive pairs; lower is tighter.

    Positive pairs are the pairs of two different rows of one class, all alike: a class weighs by its number
    of pairs. (`per_class` has each class's own mean; NaN where a class has no pair, as is the whole where no
    class has one.) Source: Wang & Isola, "Understanding Contrastive Representation Learning through Alignment
    and Uniformity on the Hypersphere", ICML 2020.

    At α = 2 no pairs are formed: `mean ‖u_a - u_b‖² = 2/(n-1) Σ_a ‖u_a - ū‖²`, exact for any number of rows.

    Args:
        features: `[N, D]`, any float dtype; sums are float64.
        labels: `[N]`, class indices.
        alpha: the exponent, at least 1.
        max_rows: a class with more rows than this is estimated from a random sample of that many (not at
            α = 2); None for exact.
        seed: of the sample.

    Raises:
        InputError: features and labels that do not fit, non-finite rows, no rows, an alpha below 1.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
        >>> round(alignment_wi(features, torch.tensor([0, 0, 1])), 4)
        2.0
    """
    rows = Rows.of(features, labels, max_rows, seed)
    if alpha == 2:
        return squared_alignment_of(UnitMoments.of(rows.features, rows.labels, len(rows.counts)))
    return alignment_wi_of(rows, alpha)


def alignment_of(rows: Rows) -> Estimate:
    """`alignment` of rows that are checked."""
    mean, error = distinct_pairs_by_class(rows, alpha=1.0)
    present = rows.counts > 0
    mean = torch.where(rows.counts == 1, 0.0, mean)
    off_diagonal = (rows.counts - 1) / rows.counts
    per_class, error = off_diagonal * mean, off_diagonal * error
    return Estimate(
        float(per_class[present].mean()),
        standard_error=float(error[present].square().sum().sqrt() / present.sum()),
        per_class=per_class,
    )


def alignment_wi_of(rows: Rows, alpha: float) -> Estimate:
    """`alignment_wi` of rows that are checked, through their pairs."""
    mean, error = distinct_pairs_by_class(rows, alpha)
    return _over_pairs(rows.counts, mean, error)


def squared_alignment_of(moments: UnitMoments) -> Estimate:
    """`alignment_wi` at α = 2, from moments alone."""
    mean = 2 * moments.spread / (moments.counts - 1)
    mean[moments.counts < 2] = math.nan
    return _over_pairs(moments.counts, mean, torch.zeros_like(mean))


def distinct_pairs_by_class(rows: Rows, alpha: float) -> tuple[Tensor, Tensor]:
    """Mean of `‖u_a - u_b‖^α` over distinct pairs of each class, `[C]`, and its standard error, `[C]`.

    The mean of a class with less than two rows is NaN, its error 0.
    """
    if not alpha >= 1:  # below 1 the power magnifies what even float64 rounds off between identical rows
        raise InputError(f"alpha: expected an exponent of at least 1, got {alpha}")
    mean = torch.full(rows.counts.shape, math.nan, dtype=torch.float64, device=rows.counts.device)
    error = torch.zeros_like(mean)
    for c, index in rows.by_class():
        if len(index) > 1:
            sums = pair_sums(rows.features, Power(alpha), index)
            mean[c], error[c] = pair_mean(sums, population=int(rows.counts[c]))
    return mean, error


def pair_mean(sums: Tensor, population: int) -> tuple[Tensor, Tensor]:
    """Mean over distinct pairs from each row's sum over the others, and the mean's standard error.

    The pairs share rows, so the error is that of a U-statistic: the jackknife over rows, with the correction
    for a sample without replacement from `population` rows (0 when it is all of them).
    """
    n = len(sums)
    each = sums / (n - 1)
    mean = each.mean()
    if n == population:
        return mean, torch.zeros_like(mean)
    variance = 4 * (n - 1) / n / (n - 2) ** 2 * (each - mean).square().sum()
    return mean, (variance * (1 - n / population)).sqrt()


def _over_pairs(counts: Tensor, mean: Tensor, error: Tensor) -> Estimate:
    """The mean over all positive pairs from the means by class."""
    several = counts > 1
    pairs = (counts * (counts - 1))[several].double()
    share = pairs / pairs.sum()
    return Estimate(
        float((share * mean[several]).sum()) if len(pairs) else math.nan,
        standard_error=float((share * error[several]).square().sum().sqrt()),
        per_class=mean,
    )


declare(
    "alignment",
    "alignment",
    "lower",
    lambda o: o.meter.alignment(),
    needs=["features"],
    table="collapse",
    order=1,
)
declare(
    "alignment_wi", "alignment (W&I)", "lower", lambda o: o.meter.alignment_wi(), needs=["features"], table="collapse",
    order=4,
)  # fmt: skip
