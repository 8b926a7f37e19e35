"""Mixing methods as assignments of parts: pairing × ratio × labels × blend × site. Imports torch only."""

from midmix.mixing.blend import Blend, Linear
from midmix.mixing.criterion import Criterion, cross_entropy
from midmix.mixing.curve import Cosine, Curve, Exponential, Power, Straight
from midmix.mixing.labels import BothOwners, Labels, OneSided, TwoSided
from midmix.mixing.mix import Mix
from midmix.mixing.pairing import ClassBalancedPairs, InterClassPairs, Pairing, RandomPairs, SelfPairs
from midmix.mixing.plan import Plan
from midmix.mixing.ratio import AccuracyRatio, BetaRatio, FixedRatio, Ratio
from midmix.mixing.recipes import (
    am_mixup,
    balanced_am_mixup,
    erm,
    manifold_mixup,
    mixup,
    recipe,
    recipes,
)
from midmix.mixing.site import Features, Hidden, Input, RandomSite, Site

__all__ = [
    "AccuracyRatio",
    "BetaRatio",
    "Blend",
    "BothOwners",
    "ClassBalancedPairs",
    "Cosine",
    "Criterion",
    "Curve",
    "Exponential",
    "Features",
    "FixedRatio",
    "Hidden",
    "Input",
    "InterClassPairs",
    "Labels",
    "Linear",
    "Mix",
    "OneSided",
    "Pairing",
    "Plan",
    "Power",
    "RandomPairs",
    "RandomSite",
    "Ratio",
    "SelfPairs",
    "Site",
    "Straight",
    "TwoSided",
    "am_mixup",
    "balanced_am_mixup",
    "cross_entropy",
    "erm",
    "manifold_mixup",
    "mixup",
    "recipe",
    "recipes",
]
