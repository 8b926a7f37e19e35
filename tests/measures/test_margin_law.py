"""What λ does to margins in training: the rate law, the equilibrium and the transition, against naive references."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from midmix.errors import InputError
from midmix.measures import (
    critical_weight,
    equilibrium_margins,
    imbalance_exponent,
    linear_head_rate,
    margin_band,
)


def mixed_right(weight, first, second):
    """Whether every mixed feature of every pair is on its owner's side, by forming them all."""
    own, other = first[:, None], second[None, :]
    return bool((weight * own > (1 - weight) * other).all() and (weight * other > (1 - weight) * own).all())


# --- the rate law -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [1.0, 0.75, 0.6])
@pytest.mark.parametrize(
    "rows", [((1.0, 0.0), (-1.0, 0.0)), ((1.0, 1.0), (-1.0, 1.0)), ((2.0, 0.0), (0.0, 2.0))]
)
def test_a_linear_head_loses_imbalance_at_the_laws_rate(weight, rows):
    """One small step of gradient descent on both owners: `d ln D = e · d ln(1-p)`, by autograd and nothing else."""
    first, second = (torch.tensor(row, dtype=torch.float64) for row in rows)
    head = torch.cat([0.4 * (first - second), torch.tensor([1e-4], dtype=torch.float64)]).requires_grad_()

    def margins():
        return head[:-1] @ first + head[-1], -(head[:-1] @ second + head[-1])

    def state():
        own, other = (float(margin.detach()) for margin in margins())
        drive = (2 * weight - 1) * (own + other) / 2
        return own - other, 1 / (1 + math.exp(drive))

    before = state()
    own, other = margins()
    mixed = torch.stack([weight * own - (1 - weight) * other, weight * other - (1 - weight) * own])
    (slope,) = torch.autograd.grad(torch.nn.functional.softplus(-mixed).sum(), head)
    with torch.no_grad():
        head -= 1e-5 * slope
    after = state()
    measured = math.log(after[0] / before[0]) / math.log(after[1] / before[1])
    assert measured == pytest.approx(imbalance_exponent(weight, linear_head_rate(first, second)), rel=1e-3)


def test_without_a_bias_opposite_rows_never_balance():
    row = torch.tensor([1.0, 2.0])
    assert linear_head_rate(row, -row, bias=False) == 0
    assert imbalance_exponent(0.75, 0.0) == 0
    assert imbalance_exponent(0.5, 0.0) == 0
    assert imbalance_exponent(0.5) == math.inf


def test_rows_the_rate_is_not_for_are_named():
    row = torch.tensor([1.0, 2.0])
    with pytest.raises(InputError, match="equal norm"):
        linear_head_rate(row, -2 * row)
    with pytest.raises(InputError, match="same point"):
        linear_head_rate(row, row.clone())
    with pytest.raises(InputError, match="one width"):
        linear_head_rate(row, row[:1])
    with pytest.raises(InputError, match="rate"):
        imbalance_exponent(0.75, -1.0)
    with pytest.raises(InputError, match="weight"):
        imbalance_exponent(0.4)


# --- the equilibrium ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [1.0, 0.8, 0.6])
@pytest.mark.parametrize("ratio", [1.0, 5.0])
def test_the_equilibrium_is_where_the_gradient_of_the_population_vanishes(weight, ratio):
    """By the trapezoid rule on the two mixed densities, along the line between the means."""
    distance = 3.0
    large, small = equilibrium_margins(weight, distance, ratio)
    slope, offset = (large + small) / distance, (large - small) / 2
    deviation = math.hypot(weight, 1 - weight)
    x = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    share = torch.stack([torch.tensor(ratio), torch.tensor(1.0)]).double() / (1 + ratio)
    pull = torch.zeros(2, dtype=torch.float64)
    for sign, mass in zip((1.0, -1.0), share, strict=True):
        centre = sign * (2 * weight - 1) * distance / 2
        density = torch.exp(-((x - centre) ** 2) / (2 * deviation**2))
        density *= mass / torch.trapezoid(density, x)
        error = sign * torch.sigmoid(-sign * (slope * x + offset)) * density
        pull += torch.stack([torch.trapezoid(error * x, x), torch.trapezoid(error, x)])
    assert pull.abs().max() < 1e-9


def test_both_owners_balance_at_any_weight_and_a_lower_one_shrinks():
    found = [equilibrium_margins(weight, 3.0) for weight in (0.5, 0.6, 0.75, 0.9, 1.0)]
    assert all(large == small for large, small in found)
    assert found == sorted(found)
    assert found[0] == (0.0, 0.0)
    assert found[-1] == (4.5, 4.5)
    with pytest.raises(InputError, match="distance"):
        equilibrium_margins(0.7, -1.0)
    with pytest.raises(InputError, match="owner_ratio"):
        equilibrium_margins(0.7, 1.0, 0.0)


# --- the transition -----------------------------------------------------------------------------------------

some_margins = st.lists(st.floats(-1, 10, allow_subnormal=False), min_size=1, max_size=5)


@given(some_margins, some_margins)
def test_above_the_critical_weight_every_mixed_feature_is_right_and_below_not(first, second):
    one, other = torch.tensor(first, dtype=torch.float64), torch.tensor(second, dtype=torch.float64)
    edge = critical_weight(one, other)
    assert 0.5 <= edge <= 1
    if edge + 1e-6 < 1:
        assert mixed_right(edge + 1e-6, one, other)
    if edge - 1e-6 >= 0.5:
        assert not mixed_right(edge - 1e-6, one, other)


def test_of_one_pair_it_is_where_the_band_ends():
    edge = critical_weight(torch.tensor([1.0]), torch.tensor([3.0]))
    assert margin_band(edge) == pytest.approx((1 / 3, 3.0))
    assert critical_weight(torch.tensor([2.0, 2.0]), torch.tensor([2.0])) == 0.5


def test_margins_it_cannot_take_are_named():
    with pytest.raises(InputError, match="first"):
        critical_weight(torch.zeros(0), torch.ones(1))
    with pytest.raises(InputError, match="second"):
        critical_weight(torch.ones(1), torch.tensor([math.nan]))
    assert critical_weight(torch.tensor([1.0, 0.0]), torch.ones(2)) == 1.0


@pytest.mark.parametrize("weight", [0.55, 0.6, 0.9])
def test_two_sided_labels_want_one_margin_of_all_rows_and_one_sided_ones_ever_larger(weight):
    """Theorem 6: over free scores of three rows of one class and two of the other."""
    scores = torch.linspace(0.1, 3, 5, dtype=torch.float64, requires_grad=True)

    def mixed():
        first, second = scores[:3, None], scores[3:]
        return torch.stack([weight * first - (1 - weight) * second, weight * second - (1 - weight) * first])

    def two_sided():
        s = mixed()
        return (weight * F.softplus(-s) + (1 - weight) * F.softplus(s)).mean()

    optimizer = torch.optim.LBFGS(
        [scores], max_iter=500, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = two_sided()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)
    margin = math.log(weight / (1 - weight)) / (2 * weight - 1)
    torch.testing.assert_close(
        scores.detach(), torch.full((5,), margin, dtype=torch.float64), rtol=1e-5, atol=0
    )
    entropy = -weight * math.log(weight) - (1 - weight) * math.log(1 - weight)
    assert float(two_sided().detach()) == pytest.approx(entropy, abs=1e-10)
    assert F.softplus(-2 * mixed()).mean() < F.softplus(-mixed()).mean(), (
        "one-sided: twice the margins, less loss"
    )
