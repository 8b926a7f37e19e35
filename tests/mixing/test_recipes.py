"""Recipes are the assignments that their documentation says, and wrong names and values get a line that helps."""

from __future__ import annotations

import inspect
import math

import pytest
import torch

import midmix
from midmix.errors import InputError
from midmix.mixing import (
    AccuracyRatio,
    BetaRatio,
    BothOwners,
    ClassBalancedPairs,
    ExponentialCurve,
    Features,
    FixedRatio,
    Hidden,
    Input,
    InterClassPairs,
    Linear,
    Mix,
    OneSided,
    RandomPairs,
    RandomSite,
    SelfPairs,
    TwoSided,
)
from midmix.mixing.recipes import RECIPES

PARTS = {
    "erm": (SelfPairs, FixedRatio, OneSided(), Features),
    "mixup": (RandomPairs, BetaRatio, TwoSided(), Input),
    "manifold-mixup": (RandomPairs, BetaRatio, TwoSided(), RandomSite),
    "am-mixup": (InterClassPairs, AccuracyRatio, OneSided(), Features),
    "balanced-midpoint": (ClassBalancedPairs, FixedRatio, BothOwners(OneSided()), Features),
    "balanced-am-mixup": (ClassBalancedPairs, AccuracyRatio, BothOwners(OneSided()), Features),
}


def test_every_recipe_is_the_assignment_that_it_is_named_for():
    assert set(midmix.recipes()) >= set(PARTS)
    for name, (pairing, ratio, labels, site) in PARTS.items():
        mix = midmix.recipe(name, num_classes=4)
        assert isinstance(mix.pairing, pairing)
        assert isinstance(mix.ratio, ratio)
        assert mix.labels == labels
        assert mix.blend == Linear()
        assert isinstance(mix.site, site)
        assert mix.clean_weight == 0
        assert type(mix) is Mix, "a method is never a class of its own"


def test_options_reach_their_parts():
    assert midmix.mixup(4, alpha=0.2, per_row=True).ratio.alpha == 0.2
    assert midmix.manifold_mixup(4).ratio.alpha == 2.0
    assert midmix.am_mixup(4, beta=0.5).ratio.curve == ExponentialCurve(0.5)
    ratio = midmix.balanced_am_mixup(4, accuracy="epoch", balanced_accuracy=True).ratio
    assert ratio.source == "epoch"
    assert bool(ratio.balanced)
    assert midmix.am_mixup(4, site="fc").site == Features("fc")
    assert midmix.mixup(4, clean_weight=2.0).clean_weight == 2.0


@pytest.mark.parametrize("name", midmix.recipes())
def test_every_recipe_documents_its_options(name):
    make = RECIPES.find(name)
    assert make.__doc__
    assert "Example:" in make.__doc__
    options = set(inspect.signature(make).parameters) - {"num_classes", "settings", "site"}
    missing = {option for option in options if f"{option}:" not in make.__doc__}
    assert not missing or "as for `am_mixup`" in make.__doc__.replace("Args: ", "")


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (
            lambda: midmix.recipe("am-mixpu", 3),
            "unknown method 'am-mixpu': did you mean am-mixup.* Known: am-mixup",
        ),
        (
            lambda: midmix.recipe("am-mixup", 3, betta=1),
            "unknown option of am-mixup 'betta': did you mean beta.*clean_weight",
        ),
        (
            lambda: midmix.recipe("am-mixup", 3, beta="much"),
            "am-mixup:beta=much: must be a number",
        ),
        (lambda: midmix.recipe("am-mixup", 3, beta=0.9), r"beta: 0\.9 would take the ratio out of"),
        (lambda: midmix.recipe("mixup", 3, alpha=-1), "alpha: -1 must be above 0"),
        (lambda: midmix.recipe("erm", 3, clean_weight=1.0), "unknown option of erm 'clean_weight'"),
        (lambda: midmix.erm(0), "num_classes: 0; at least one class is needed"),
        (lambda: midmix.mixup(3, clean_weight=-1), "clean_weight: -1 must be 0 or more, and finite"),
        (lambda: midmix.mixup(3, clean_weight=math.nan), "clean_weight: nan must be"),
        (lambda: midmix.mixup(3, clean_weight=math.inf), "clean_weight: inf must be"),
        (lambda: midmix.erm(3, class_counts=[1, 2]), r"class_counts: .* for each of 3 classes"),
        (
            lambda: midmix.am_mixup(3, site=Hidden("layer1")),
            r"AccuracyRatio follows the accuracy of clean features, and Hidden\(name='layer1'\) shows mixed ones only: "
            r"use site=Features\(\), or clean_weight above 0, or accuracy='given'",
        ),
        (
            lambda: Mix(InterClassPairs(), AccuracyRatio(num_classes=4, balanced=True), num_classes=3),
            "AccuracyRatio: num_classes=4 in a mix with num_classes=3; both must be the same",
        ),
        (
            lambda: midmix.erm(3).plan(torch.tensor([0, 3])),
            "labels: 3 is not a class; there are 3, numbered from 0",
        ),
        (lambda: midmix.erm(3).plan(torch.tensor([-1, 2])), "labels: -1 is not a class; there are 3"),
        (
            lambda: midmix.erm(3).plan(torch.tensor([0.0])),
            r"labels: torch\.float32 of shape \(1,\); class indices",
        ),
        (lambda: midmix.erm(3).plan(torch.tensor([[0]])), r"labels: torch\.int64 of shape \(1, 1\)"),
        (lambda: midmix.erm(3).plan([0, 1]), "labels: a list; class indices are needed, an int64 tensor"),  # type: ignore[arg-type]
        (lambda: midmix.am_mixup(3).observe(), "observe: give either clean logits and labels, or accuracy="),
        (lambda: midmix.am_mixup(3).observe(torch.zeros(1, 3)), "observe: give either"),
        (
            lambda: midmix.am_mixup(3).observe(torch.zeros(1, 3), torch.zeros(1).long(), accuracy=0.5),
            "observe: give either",
        ),
        (lambda: midmix.am_mixup(3).observe(accuracy=2), r"accuracy: 2 is a share and must lie in \[0, 1\]"),
    ],
)
def test_errors_say_what_and_what_to_do(act, says):
    with pytest.raises(InputError, match=says) as caught:
        act()
    assert "\n" not in str(caught.value)
