"""Collapse within groups against the plain measures, group by group."""

from __future__ import annotations

import math

import pytest
import torch

from midmix.errors import InputError
from midmix.measures import class_uniformity, collapse_report, nc1, within_groups

GROUP = torch.tensor([0, 1, 0, 1, 1, 0])


@pytest.fixture
def rows(generator):
    labels = torch.arange(6).repeat(9)
    features = torch.randn(6, 5, generator=generator)[labels] + 0.3 * torch.randn(54, 5, generator=generator)
    return features, labels


def test_each_group_is_measured_alone(rows, generator):
    features, labels = rows
    logits = 9 * torch.eye(6)[labels] + torch.randn(54, 6, generator=generator)
    head = torch.randn(6, 5, generator=generator), torch.randn(6, generator=generator)
    found = within_groups(features, labels, GROUP, logits, head, ["a", "b"])
    assert found.per_group["group"] == ["a", "b"]
    assert found.per_group["classes"] == [3, 3]
    assert found.per_group["count"] == [27, 27]
    for g, members in enumerate(([0, 2, 5], [1, 3, 4])):
        mine = torch.isin(labels, torch.tensor(members))
        anew = torch.tensor([members.index(c) for c in labels[mine].tolist()])
        alone = collapse_report(
            features[mine], anew, logits[mine][:, members], (head[0][members], head[1][members])
        )
        for name, value in alone.totals.items():
            assert found.per_group[name][g] == pytest.approx(value, nan_ok=True), name
    for name, value in found.totals.items():
        assert value == pytest.approx(float(torch.tensor(found.per_group[name]).mean()), rel=1e-5), name
    assert found.totals["nc1"] == pytest.approx(
        (nc1(*_only(features, labels, 0)) + nc1(*_only(features, labels, 1))) / 2
    )


def _only(features, labels, g):
    mine = GROUP[labels] == g
    return features[mine], labels[mine]


def test_spread_is_the_ratio_of_centre_distances(rows):
    features, labels = rows
    found = within_groups(features, labels, GROUP)
    apart = class_uniformity(features, GROUP[labels])
    for g in (0, 1):
        assert found.per_group["spread"][g] == pytest.approx(
            class_uniformity(*_only(features, labels, g)) / apart
        )


def test_a_collapsed_group_has_no_spread(rows):
    features, labels = rows
    mine = GROUP[labels] == 0
    features[mine] = torch.tensor([1.0, 2, 3, 4, 5])
    found = within_groups(features, labels, GROUP)
    assert found.per_group["spread"][0] == pytest.approx(0, abs=1e-9)
    assert found.per_group["spread"][1] > 0.1


def test_scale_and_order_do_not_matter(rows):
    features, labels = rows
    order = torch.randperm(54, generator=torch.Generator().manual_seed(1))
    one, other = (
        within_groups(features, labels, GROUP),
        within_groups(7 * features[order], labels[order], GROUP),
    )
    for name, value in one.totals.items():
        assert other.totals[name] == pytest.approx(value, rel=1e-4), name


def test_a_group_without_rows(rows):
    features, labels = rows
    mine = GROUP[labels] == 0
    found = within_groups(features[mine], labels[mine], GROUP)
    assert found.per_group["count"] == [27, 0]
    assert torch.tensor(found.per_group["nc1"]).isnan().tolist() == [False, True]
    assert found.totals["nc1"] == found.per_group["nc1"][0]
    assert math.isnan(found.totals["spread"]), "there is no other group"


def test_what_does_not_fit(rows):
    features, labels = rows
    with pytest.raises(InputError, match="labels"):
        within_groups(features, labels, GROUP[:3])
    with pytest.raises(InputError, match="from 0 to 1, of 3 names"):
        within_groups(features, labels, GROUP, groups=["a", "b", "c"])
    with pytest.raises(InputError, match="from -1"):
        within_groups(features, labels, GROUP - 1)
    with pytest.raises(InputError, match="logits: 4 columns, but 6 classes"):
        within_groups(features, labels, GROUP, logits=torch.zeros(54, 4))
    with pytest.raises(InputError, match="head: 4 rows, but 6 classes"):
        within_groups(features, labels, GROUP, head=(torch.zeros(4, 5), None))
