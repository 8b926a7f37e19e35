"""Features that are mixed, and know nothing of the classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from midmix.training.health.table import Evidence, declare

LEAST_BETWEEN = 0.05
"""Share of the features' variance. Raw features of a pretrained encoder have .11 and more, of noise 0."""
UNMIXED = 0.98


def variance_between(features: Tensor, labels: Tensor, num_classes: int) -> float:
    """The share of the variance of normalised features that lies between the classes, freed of its bias.

    `ε² = 1 - (SS_within / (N - K)) / (SS_total / (N - 1))` over K classes with rows (Kelley 1935): 0 on average for
    features that know nothing, 1 for classes that are points. NaN where there are too few rows.

    Args:
        features: `[N, D]`.
        labels: `[N]`.
        num_classes: C.

    Example:
        >>> variance_between(torch.eye(3).repeat(4, 1), torch.arange(3).repeat(4), 3)
        1.0
    """
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    unit = unit - unit.mean(0)
    rows = torch.bincount(labels, minlength=num_classes)
    seen, total = int((rows > 0).sum()), float(unit.square().sum())
    if len(unit) <= seen:
        return math.nan
    if total < 1e-12 * len(unit):  # all rows are one point
        return 0.0
    sums = torch.zeros(num_classes, unit.shape[1], dtype=torch.double).index_add_(0, labels, unit)
    between = float((sums.square().sum(1) / rows.clamp_min(1)).sum())
    return 1 - ((total - between) / (len(unit) - seen)) / (total / (len(unit) - 1))


@declare(
    "weak_features",
    "features too weak to mix",
    states="Rows were mixed behind a layer, and less than a twentieth of the variance of the normalised test features "
    "lies between the classes at the end (ε²).",
    remedy="between such features there is nothing to mix: train longer or with another learning rate, take a wider "
    "network or an encoder that is pretrained, or mix the input",
)
def weak_features(evidence: Evidence) -> str | None:
    """Seen at the end: features that were weak at first and have become better are how every training begins."""
    if not evidence.on_features or not evidence.trained or evidence.trained[-1]["ratio"] > UNMIXED:
        return None
    found = variance_between(evidence.test.features, evidence.test.labels, len(evidence.classes))
    if not found < LEAST_BETWEEN:
        return None
    return f"{max(found, 0):.1%} of their variance lies between the classes"
