"""Mixing methods as assignments of parts: pairing × ratio × labels × blend × site. Imports torch only."""

from midmix.mixing.blend import Blend, Linear
from midmix.mixing.context import Loss, LossContext, RowLoss, cross_entropy
from midmix.mixing.curve import CosineCurve, Curve, ExponentialCurve, LinearCurve, PowerCurve
from midmix.mixing.labels import BothOwners, Labels, OneSided, TwoSided
from midmix.mixing.mix import Batch, Mix
from midmix.mixing.pairing import ClassBalancedPairs, InterClassPairs, Pairing, RandomPairs, SelfPairs
from midmix.mixing.plan import Plan
from midmix.mixing.ratio import AccuracyRatio, BetaRatio, FixedRatio, Ratio
from midmix.mixing.recipes import (
    am_mixup,
    balanced_am_mixup,
    balanced_midpoint,
    erm,
    manifold_mixup,
    mixup,
    recipe,
    recipes,
)
from midmix.mixing.site import Features, Hidden, Input, RandomSite, Site

__all__ = [
    "AccuracyRatio",
    "Batch",
    "BetaRatio",
    "Blend",
    "BothOwners",
    "ClassBalancedPairs",
    "CosineCurve",
    "Curve",
    "ExponentialCurve",
    "Features",
    "FixedRatio",
    "Hidden",
    "Input",
    "InterClassPairs",
    "Labels",
    "Linear",
    "LinearCurve",
    "Loss",
    "LossContext",
    "Mix",
    "OneSided",
    "Pairing",
    "Plan",
    "PowerCurve",
    "RandomPairs",
    "RandomSite",
    "Ratio",
    "RowLoss",
    "SelfPairs",
    "Site",
    "TwoSided",
    "am_mixup",
    "balanced_am_mixup",
    "balanced_midpoint",
    "cross_entropy",
    "erm",
    "manifold_mixup",
    "mixup",
    "recipe",
    "recipes",
]
