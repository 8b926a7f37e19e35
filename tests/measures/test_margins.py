from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from midmix.errors import InputError
from midmix.measures import margin_band, margins, required_margin


def test_margins_are_the_naive_loop():
    g = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(200, 5, generator=g), torch.randint(0, 4, (200,), generator=g)
    logits[torch.arange(200), labels] += 1.5
    found = margins(logits, labels, levels=(0.1, 0.5))
    rows = [
        float(row[y]) - max(float(x) for c, x in enumerate(row) if c != y)
        for row, y in zip(logits, labels, strict=True)
    ]
    for c in range(4):
        theirs = [m for m, y in zip(rows, labels, strict=True) if y == c]
        assert found.mean[c].item() == pytest.approx(np.mean(theirs))
        assert found.quantiles[c].tolist() == pytest.approx(np.quantile(theirs, [0.1, 0.5]))
        assert found.count[c] == len(theirs)
    assert math.isnan(found.mean[4])
    assert found.quantiles[4].isnan().all()
    means = found.mean[:4].tolist()
    assert found.balance == pytest.approx(min(means) / max(means))


def test_balance():
    labels = torch.tensor([0, 1])
    assert margins(torch.tensor([[4.0, 0.0], [0.0, 4.0]]), labels).balance == 1
    assert margins(torch.tensor([[4.0, 0.0], [0.0, 1.0]]), labels).balance == 0.25
    assert margins(torch.tensor([[4.0, 0.0], [4.0, 0.0]]), labels).balance == -1
    assert math.isnan(margins(torch.tensor([[0.0, 1.0], [4.0, 0.0]]), labels).balance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_keeps_what_it_has(dtype):
    logits = torch.tensor([[3.0, 1.0], [60000.0, -60000.0]]).to(dtype)
    found = margins(logits, torch.tensor([1, 0])).mean  # the difference does not fit into float16
    assert found.tolist() == pytest.approx([120000, -2], rel=1e-2)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="two classes"):
        margins(torch.zeros(2, 1), torch.tensor([0, 0]))
    with pytest.raises(InputError, match="levels"):
        margins(torch.zeros(2, 2), torch.tensor([0, 1]), levels=(0.5, 1.5))


# --- the law ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.5, 0.512, 0.6, 0.75, 0.9, 0.999, 1.0])
def test_balance_is_exact_for_any_linear_head_and_any_pair(weight):
    """Part 1, both ways: both owners are right if and only if the ratio of margins is in the band."""
    g = torch.Generator().manual_seed(0)
    low, high = margin_band(weight)
    inside = 0
    for _ in range(500):
        w, b = (
            torch.randn(2, 8, generator=g, dtype=torch.float64),
            torch.randn(2, generator=g, dtype=torch.float64),
        )
        z_i, z_j = torch.randn(2, 8, generator=g, dtype=torch.float64)

        def score(z, w=w, b=b):
            first, second = w @ z + b
            return float(first - second)

        if score(z_i) < score(z_j):
            z_i, z_j = z_j, z_i
        s_i, s_j = score(z_i), -score(z_j)
        if s_i <= 0 or s_j <= 0:
            continue
        both_right = score(weight * z_i + (1 - weight) * z_j) > 0 > score(weight * z_j + (1 - weight) * z_i)
        if weight != 0.5:  # there the two points are one and rounding alone would decide
            assert both_right == (low < s_i / s_j < high)
            inside += both_right
        else:
            assert not low < s_i / s_j < high
    assert weight == 0.5 or inside


@pytest.mark.parametrize("ratio", [0.2, 1 / 3, 0.5, 1.0, 2.0, 3.0, 4.0])
def test_the_ends_of_the_band_are_outside_it(ratio):
    """On an end one of the two mixed features lies on the boundary: at λ = 3/4 the band is (1/3, 3)."""
    low, high = margin_band(0.75)
    s_i, s_j = ratio, 1.0
    own_i, own_j = 0.75 * s_i - 0.25 * s_j, 0.75 * s_j - 0.25 * s_i
    assert (own_i > 1e-12 and own_j > 1e-12) == (low + 1e-12 < ratio < high - 1e-12)


@pytest.mark.parametrize("weight", [0.51, 0.6, 0.75, 1.0])
@pytest.mark.parametrize("confidence", [0.1, 0.5, 0.9, 0.999])
def test_breadth_is_where_the_confidence_is_reached(weight, confidence):
    """Part 2: at balanced margins m both owners have confidence sigmoid((2λ - 1) m)."""
    m = required_margin(weight, confidence)
    mixed = torch.tensor(weight * m - (1 - weight) * m, dtype=torch.float64)
    assert mixed.sigmoid().item() == pytest.approx(confidence)
    assert required_margin(weight, confidence) == pytest.approx(
        required_margin(1.0, confidence) / (2 * weight - 1)
    )


def test_at_the_midpoint_the_loss_of_a_pair_has_floor_ln_2_and_asks_for_balance_alone():
    scores = torch.linspace(-5, 5, 1001, dtype=torch.float64)
    loss = (torch.nn.functional.softplus(-scores) + torch.nn.functional.softplus(scores)) / 2
    assert loss.min().item() == pytest.approx(math.log(2))
    assert scores[loss.argmin()].abs() < 1e-9  # the score of the midpoint, (s_i - s_j) / 2, is 0
    assert required_margin(0.5, 0.5) == 0
    assert required_margin(0.5, 0.6) == math.inf
    assert required_margin(0.5, 0.4) == -math.inf


def test_the_band_closes_on_one():
    assert margin_band(1.0) == (0.0, math.inf)
    assert margin_band(0.5) == (1.0, 1.0)
    widths = [high / low for low, high in map(margin_band, (0.9, 0.8, 0.7, 0.6, 0.51))]
    assert widths == sorted(widths, reverse=True)
    low, high = margin_band(math.exp(-0.67))
    assert low * high == pytest.approx(1)
    assert high < 1.05


@pytest.mark.parametrize("weight", [0.49, 1.01, math.nan])
def test_a_weight_that_is_not_an_owners_share_is_named(weight):
    with pytest.raises(InputError, match="weight"):
        margin_band(weight)
    with pytest.raises(InputError, match="weight"):
        required_margin(weight, 0.9)


@pytest.mark.parametrize("confidence", [0.0, 1.0, math.nan])
def test_a_confidence_that_cannot_be_is_named(confidence):
    with pytest.raises(InputError, match="confidence"):
        required_margin(0.7, confidence)
