"""The share of the variance between classes: a plain loop, its mean for noise, and its ends."""

from __future__ import annotations

import math

import pytest
import torch

from midmix.measures import variance_between


def test_the_share_of_variance_between_classes_is_that_of_a_plain_loop():
    draw = torch.Generator().manual_seed(1)
    labels = torch.tensor([0, 0, 0, 2, 2, 2, 2, 1])
    features = torch.randn(8, 5, generator=draw) + labels[:, None]
    unit = features.double() / features.double().norm(dim=1, keepdim=True)
    within = sum(
        float((unit[row] - unit[labels == labels[row]].mean(0)).square().sum()) for row in range(len(labels))
    )
    total = sum(float((row - unit.mean(0)).square().sum()) for row in unit)
    # Class 3 has no rows, and is none of the K.
    assert variance_between(features, labels) == pytest.approx(1 - (within / (8 - 3)) / (total / (8 - 1)))


def test_features_of_noise_have_none_of_their_variance_between_classes_on_average():
    draw = torch.Generator().manual_seed(2)
    labels = torch.arange(20).repeat(3)
    found = [variance_between(torch.randn(60, 10, generator=draw), labels) for _ in range(200)]
    assert abs(sum(found) / len(found)) < 0.01, "three rows a class are enough, freed of the bias"
    assert variance_between(torch.ones(60, 10), labels) == 0, "one point"
    assert math.isnan(variance_between(torch.eye(4), torch.arange(4))), "a row a class says nothing"
