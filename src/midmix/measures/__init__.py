"""Measures of classifiers and of the geometry of their features. Imports torch only."""

from __future__ import annotations

from midmix.measures.accuracy import (
    Classification,
    ShotGroups,
    classification,
    confusion_matrix,
    shot_groups,
)
from midmix.measures.between_classes import (
    centre_distances,
    class_centres,
    class_uniformity,
    neighborhood_uniformity,
)
from midmix.measures.calibration import (
    ReliabilityBins,
    brier_score,
    classwise_calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
    reliability_bins,
)
from midmix.measures.confusion import expected_cost, geometric_mean, matthews_correlation
from midmix.measures.estimate import Estimate
from midmix.measures.logit_margins import Margins, margins
from midmix.measures.margin_law import (
    critical_weight,
    equilibrium_margins,
    imbalance_exponent,
    linear_head_rate,
    margin_band,
    required_margin,
)
from midmix.measures.neural_collapse import NC2, nc1, nc2, nc3, nc4
from midmix.measures.report import CollapseReport, collapse_report, report_of
from midmix.measures.streaming import CollapseMeter
from midmix.measures.table import MEASURES, Measure, Outputs, evaluate_all, measures_of
from midmix.measures.two_classes import (
    ThresholdCurve,
    average_precision,
    recall_at_precision,
    roc_auc,
    threshold_curve,
)
from midmix.measures.uniformity import uniformity_wi
from midmix.measures.variance_between import variance_between
from midmix.measures.within_classes import alignment, alignment_wi
from midmix.measures.within_groups import GroupReport, within_groups

__all__ = [
    "MEASURES",
    "NC2",
    "Classification",
    "CollapseMeter",
    "CollapseReport",
    "Estimate",
    "GroupReport",
    "Margins",
    "Measure",
    "Outputs",
    "ReliabilityBins",
    "ShotGroups",
    "ThresholdCurve",
    "alignment",
    "alignment_wi",
    "average_precision",
    "brier_score",
    "centre_distances",
    "class_centres",
    "class_uniformity",
    "classification",
    "classwise_calibration_error",
    "collapse_report",
    "confusion_matrix",
    "critical_weight",
    "equilibrium_margins",
    "evaluate_all",
    "expected_calibration_error",
    "expected_cost",
    "geometric_mean",
    "imbalance_exponent",
    "linear_head_rate",
    "margin_band",
    "margins",
    "matthews_correlation",
    "measures_of",
    "nc1",
    "nc2",
    "nc3",
    "nc4",
    "negative_log_likelihood",
    "neighborhood_uniformity",
    "recall_at_precision",
    "reliability_bins",
    "report_of",
    "required_margin",
    "roc_auc",
    "shot_groups",
    "threshold_curve",
    "uniformity_wi",
    "variance_between",
    "within_groups",
]
