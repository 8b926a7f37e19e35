"""How far the classes lie apart: distances between their centres."""

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

_CENTRES_AT_ONCE = 1024


def class_centres(features: Tensor, labels: Tensor) -> Tensor:
    """`μ_c [C, D]`, float64: the mean of class c's unit rows, itself normalised.

    NaN for a class without rows; zero where the unit rows of a class cancel out.

    Raises:
        InputError: features and labels that do not fit, non-finite rows, no rows.

    Example:
        >>> class_centres(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]))
        tensor([[0.7071, 0.7071]], dtype=torch.float64)
    """
    moments = _moments(features, labels)
    return moments.centres().masked_fill(moments.counts[:, None] == 0, math.nan)


def centre_distances(features: Tensor, labels: Tensor) -> Tensor:
    """`‖μ_a - μ_b‖₂ [C, C]`, float64, zero diagonal: the matrix behind the two measures below.

    Rows and columns of a class without rows are NaN.

    Raises:
        InputError: features and labels that do not fit, non-finite rows, no rows.

    Example:
        >>> centre_distances(torch.eye(2), torch.tensor([0, 1]))
        tensor([[0.0000, 1.4142],
                [1.4142, 0.0000]], dtype=torch.float64)
    """
    return centre_distances_of(_moments(features, labels))


def class_uniformity(features: Tensor, labels: Tensor) -> Estimate:
    """Mean distance of two class centres, `1/(C(C-1)) Σ_{a≠b} ‖μ_a - μ_b‖₂`; higher is farther apart.

    The largest value there is, `√(2C/(C-1))`, belongs to a regular simplex (needs `D ≥ C-1`). Not to be
    confused with `uniformity_wi`, which is over rows and lower when better. NaN with one class: it has no
    pair. Source: the inter-class uniformity of Li et al., CVPR 2022.

    Args:
        features: `[N, D]`, any float dtype; sums are float64.
        labels: `[N]`, class indices; classes without rows are left out.

    Returns:
        The mean, with `per_class [C]`: the mean distance of a class's centre to the others.

    Raises:
        InputError: features and labels that do not fit, non-finite rows, no rows.

    Example:
        >>> round(class_uniformity(torch.eye(3), torch.tensor([0, 1, 2])), 4)  # √2 apart
        1.4142
    """
    return class_uniformity_of(_moments(features, labels))


def neighborhood_uniformity(features: Tensor, labels: Tensor, k: int = 1) -> Estimate:
    """Mean distance of a class centre to the `k` nearest others; higher is farther apart.

    `1/C Σ_a 1/k Σ_{b ∈ k nearest of a} ‖μ_a - μ_b‖₂`: it falls when a few classes collapse onto one another,
    where the mean over all pairs hardly moves. With fewer than `k` other classes all of them count. NaN with
    one class. Source: Li et al., CVPR 2022.

    Args:
        features: `[N, D]`, any float dtype; sums are float64.
        labels: `[N]`, class indices; classes without rows are left out.
        k: number of neighbours, at least 1.

    Returns:
        The mean, with `per_class [C]`.

    Raises:
        InputError: features and labels that do not fit, non-finite rows, no rows, a k below 1.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
        >>> round(neighborhood_uniformity(features, torch.tensor([0, 1, 2]), k=2), 4)
        1.6095
    """
    return neighborhood_uniformity_of(_moments(features, labels), k)


def centre_distances_of(moments: UnitMoments) -> Tensor:
    """`centre_distances` from moments."""
    present = moments.counts > 0
    centres = moments.centres()[present]
    found = torch.full((len(present),) * 2, math.nan, dtype=torch.float64, device=centres.device)
    found[present[:, None] & present] = torch.cdist(centres, centres).fill_diagonal_(0).flatten()
    return found


def class_uniformity_of(moments: UnitMoments) -> Estimate:
    """`class_uniformity` from moments."""
    centres = moments.centres()[moments.counts > 0]
    others = len(centres) - 1
    return _mean_by_class(moments.counts, pair_sums(centres, Power(1.0)) / others if others else None)


def neighborhood_uniformity_of(moments: UnitMoments, k: int) -> Estimate:
    """`neighborhood_uniformity` from moments."""
    if k < 1:
        raise InputError(f"k: expected at least 1 neighbour, got {k}")
    centres = moments.centres()[moments.counts > 0]
    k = min(k, len(centres) - 1)
    nearest = []
    for start in range(0, len(centres), _CENTRES_AT_ONCE):
        distances = torch.cdist(centres[start : start + _CENTRES_AT_ONCE], centres)
        distances.diagonal(offset=start).fill_(math.inf)
        nearest.append(distances.topk(k, largest=False).values.mean(1))
    return _mean_by_class(moments.counts, torch.cat(nearest) if k else None)


def _mean_by_class(counts: Tensor, present: Tensor | None) -> Estimate:
    """The mean of the values of the classes that have rows; NaN without values."""
    per_class = torch.full(counts.shape, math.nan, dtype=torch.float64, device=counts.device)
    if present is not None:
        per_class[counts > 0] = present
    return Estimate(float(per_class.nanmean()), per_class=per_class)


def _moments(features: Tensor, labels: Tensor) -> UnitMoments:
    rows = Rows.of(features, labels)
    return UnitMoments.of(rows.features, rows.labels, len(rows.counts))


declare(
    "class_uniformity", "class uniformity", "higher", lambda o: o.meter.class_uniformity(), needs=["features"],
    table="collapse", order=2,
)  # fmt: skip
declare(
    "neighborhood_uniformity", "neighborhood uniformity", "higher", lambda o: o.meter.neighborhood_uniformity(),
    needs=["features"], table="collapse", order=3,
)  # fmt: skip
