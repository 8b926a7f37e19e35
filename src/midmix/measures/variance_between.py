"""How much of the features' variance the classes account for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from midmix.measures._rows import unit
from midmix.measures.checks import check_rows


def variance_between(features: Tensor, labels: Tensor) -> float:
    """The share of the variance of normalised features that lies between the classes, freed of its bias.

    `ε² = 1 - (SS_within / (N - K)) / (SS_total / (N - 1))` over N rows of K classes (Kelley 1935), of `u = z/‖z‖₂`: 0
    on average for features that know nothing, 1 for classes that are points. NaN where no class has two rows, 0
    where all rows are one point.

    Args:
        features: `[N, D]`, any float dtype; sums are float64.
        labels: `[N]`, class indices; classes without rows count for nothing.

    Raises:
        InputError: for shapes or values that cannot be.

    Example:
        >>> variance_between(torch.eye(3).repeat(4, 1), torch.arange(3).repeat(4))
        1.0
    """
    check_rows(features, labels, name="features")
    labels = labels.to(features.device).long()
    rows = torch.bincount(labels)
    seen = int((rows > 0).sum())
    if len(labels) <= seen:
        return math.nan
    centred = unit(features)
    centred -= centred.mean(0)
    total = float(centred.square().sum())
    if total < 1e-12 * len(centred):
        return 0.0
    sums = centred.new_zeros(len(rows), centred.shape[1]).index_add_(0, labels, centred)
    between = float((sums.square().sum(1) / rows.clamp_min(1)).sum())
    return 1 - ((total - between) / (len(labels) - seen)) / (total / (len(labels) - 1))
