"""Mixing methods as assignments of parts: pairing × ratio × labels × blend or mask × site. Imports torch only."""

from midmix.mixing.blend import Blend, Linear
from midmix.mixing.confusion import ConfusedPairs, TransportPairs
from midmix.mixing.context import Loss, LossContext, RowLoss, cross_entropy
from midmix.mixing.curve import CosineCurve, Curve, ExponentialCurve, LinearCurve, PowerCurve
from midmix.mixing.frequency import FrequencyRatio, MarginLabels, PartnerOwns, RemixLabels, WeightedPairs
from midmix.mixing.labels import BothOwners, Labels, OneSided, TwoSided
from midmix.mixing.mask import Box, Channels, Mask, ResizedBox, SalientBox
from midmix.mixing.mask_recipes import cutmix, resize_mix, saliency_mix
from midmix.mixing.mix import Batch, Mix
from midmix.mixing.pairing import ClassBalancedPairs, InterClassPairs, Pairing, RandomPairs, SelfPairs
from midmix.mixing.plan import Plan
from midmix.mixing.ratio import AccuracyRatio, BetaRatio, FixedRatio, Ratio, ScaleRatio
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
from midmix.mixing.site import Features, Hidden, Input, RandomSite, Site, site_of
from midmix.mixing.tail_recipes import cmo, cp_mix, h2t, mamix, otmix, regmixup, remix, unimix

__all__ = [
    "AccuracyRatio",
    "Batch",
    "BetaRatio",
    "Blend",
    "BothOwners",
    "Box",
    "Channels",
    "ClassBalancedPairs",
    "ConfusedPairs",
    "CosineCurve",
    "Curve",
    "ExponentialCurve",
    "Features",
    "FixedRatio",
    "FrequencyRatio",
    "Hidden",
    "Input",
    "InterClassPairs",
    "Labels",
    "Linear",
    "LinearCurve",
    "Loss",
    "LossContext",
    "MarginLabels",
    "Mask",
    "Mix",
    "OneSided",
    "Pairing",
    "PartnerOwns",
    "Plan",
    "PowerCurve",
    "RandomPairs",
    "RandomSite",
    "Ratio",
    "RemixLabels",
    "ResizedBox",
    "RowLoss",
    "SalientBox",
    "ScaleRatio",
    "SelfPairs",
    "Site",
    "TransportPairs",
    "TwoSided",
    "WeightedPairs",
    "am_mixup",
    "balanced_am_mixup",
    "balanced_midpoint",
    "cmo",
    "cp_mix",
    "cross_entropy",
    "cutmix",
    "erm",
    "h2t",
    "mamix",
    "manifold_mixup",
    "mixup",
    "otmix",
    "recipe",
    "recipes",
    "regmixup",
    "remix",
    "resize_mix",
    "saliency_mix",
    "site_of",
    "unimix",
]
