"""From logits to what is done: probabilities for a stated prior, decisions for a stated aim."""

from __future__ import annotations

from midmix.decisions.aim import (
    AIMS,
    Accuracy,
    Aim,
    BalancedAccuracy,
    ClasswiseAim,
    Costs,
    FMeasure,
    Outcomes,
    RecallAtPrecision,
    aim_of,
    parse_aim,
    read_costs,
)
from midmix.decisions.calibrate import Calibration, fit_calibration
from midmix.decisions.estimate import PriorEstimate, estimate_prior
from midmix.decisions.prior import LogitPrior, for_own_prior, posterior, shares_of, stated_prior
from midmix.decisions.rule import CALIBRATIONS, DecisionRule, decision_rule
from midmix.decisions.thresholds import (
    Offsets,
    OffsetsChoice,
    Threshold,
    ThresholdChoice,
    choose_offsets,
    choose_threshold,
)

__all__ = [
    "AIMS",
    "CALIBRATIONS",
    "Accuracy",
    "Aim",
    "BalancedAccuracy",
    "Calibration",
    "ClasswiseAim",
    "Costs",
    "DecisionRule",
    "FMeasure",
    "LogitPrior",
    "Offsets",
    "OffsetsChoice",
    "Outcomes",
    "PriorEstimate",
    "RecallAtPrecision",
    "Threshold",
    "ThresholdChoice",
    "aim_of",
    "choose_offsets",
    "choose_threshold",
    "decision_rule",
    "estimate_prior",
    "fit_calibration",
    "for_own_prior",
    "parse_aim",
    "posterior",
    "read_costs",
    "shares_of",
    "stated_prior",
]
