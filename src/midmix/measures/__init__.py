"""Measures of classifiers and of the geometry of their features. Imports torch only."""

from __future__ import annotations

from midmix.measures.accuracy import (
    Classification,
    ShotGroups,
    classification,
    confusion_matrix,
    shot_groups,
)
from midmix.measures.calibration import (
    ReliabilityBins,
    expected_calibration_error,
    negative_log_likelihood,
    reliability_bins,
)

__all__ = [
    "Classification",
    "ReliabilityBins",
    "ShotGroups",
    "classification",
    "confusion_matrix",
    "expected_calibration_error",
    "negative_log_likelihood",
    "reliability_bins",
    "shot_groups",
]
