"""Any batch, any classes, any ratio, any dtype and layout: what must hold of every plan, by hypothesis.

A hundred examples each by default; `make fuzz` takes thousands.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import midmix
from midmix.losses import loss as make_loss
from midmix.mixing import (
    AccuracyRatio,
    BetaRatio,
    BothOwners,
    ClassBalancedPairs,
    CosineCurve,
    ExponentialCurve,
    FixedRatio,
    InterClassPairs,
    Linear,
    LinearCurve,
    Mix,
    OneSided,
    Plan,
    PowerCurve,
    RandomPairs,
    SelfPairs,
    TwoSided,
)

seeds = st.integers(0, 2**32 - 1)
shares = st.floats(0, 1, width=32)
dtypes = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])
pairings = st.sampled_from([SelfPairs(), RandomPairs(), InterClassPairs(), ClassBalancedPairs()])
labelings = st.sampled_from([OneSided(), TwoSided(), BothOwners(), BothOwners(TwoSided())])
curves = st.one_of(
    st.floats(0, math.log(2)).map(ExponentialCurve),
    st.just(LinearCurve()),
    st.just(CosineCurve()),
    st.floats(1e-3, 1e3).map(PowerCurve),
)


@st.composite
def ratios(draw: Any) -> Any:
    kind = draw(st.sampled_from(["fixed", "beta", "accuracy"]))
    if kind == "fixed":
        return FixedRatio(draw(shares))
    if kind == "beta":
        return BetaRatio(10.0 ** draw(st.floats(-40, 15)), per_row=draw(st.booleans()))
    ratio = AccuracyRatio(draw(curves))
    ratio.observe_accuracy(draw(shares))
    return ratio


@st.composite
def batches(draw: Any) -> tuple[Tensor, int]:
    """Labels and the number of classes: from no rows to 257, from one class to a thousand, even or skewed."""
    rows = draw(st.one_of(st.integers(0, 4), st.integers(1, 257)))
    classes = draw(st.one_of(st.integers(1, 4), st.integers(1, 1000)))
    generator = torch.Generator().manual_seed(draw(seeds))
    skew = draw(st.sampled_from([1.0, 3.0, 30.0]))
    labels = (torch.rand(rows, generator=generator) ** skew * classes).long().clamp_max(classes - 1)
    if draw(st.booleans()):
        labels = classes - 1 - labels
    if draw(st.booleans()):
        labels = labels.repeat_interleave(2)[::2]  # not contiguous
    return labels, classes


@st.composite
def activations(draw: Any, rows: int) -> Tensor:
    """Rows of any shape, an empty one too, in any layout and of any magnitude that the dtype can double."""
    shape = draw(st.sampled_from([(), (0,), (1,), (5,), (3, 2), (2, 3, 4), (2, 0, 3)]))
    dtype = draw(dtypes)
    generator = torch.Generator().manual_seed(draw(seeds))
    scale = draw(st.sampled_from([0.0, 1e-6, 1.0, 1e3, torch.finfo(dtype).max / 16]))
    z = torch.randn(2 * rows, *shape, generator=generator, dtype=torch.float64).clamp(-7, 7) * scale
    z = z.to(dtype)
    layout: str = draw(st.sampled_from(["contiguous", "strided", "transposed", "expanded"]))
    layouts: dict[str, Tensor] = {
        "contiguous": z[:rows],
        "strided": z[::2],
        "transposed": z[:rows].transpose(0, -1).contiguous().transpose(0, -1),
        "expanded": z[:1].expand(rows, *shape) if rows else z[:0],
    }
    return layouts[layout]


def make(draw: Any, classes: int, **settings: Any) -> Mix:
    return Mix(
        draw(pairings),
        draw(ratios()),
        draw(labelings),
        num_classes=classes,
        clean_weight=draw(st.sampled_from([0.0, 0.5])),
        **settings,
    )


def rounding(own: Tensor, other: Tensor) -> Tensor:
    """What a blend of two rows of their dtype may be off by: a few units in the last place, of a subnormal at least."""
    info = torch.finfo(own.dtype)
    return info.eps * (4 * (own.double().abs() + other.double().abs()) + 2 * info.tiny)


def owners(plan: Plan) -> Tensor:
    return torch.arange(len(plan.labels)) if plan.owner is None else plan.owner


@given(batches(), pairings, seeds)
def test_partners_are_rows_of_the_batch_and_of_another_class_where_promised(batch, pairing, seed):
    labels, classes = batch
    kept = labels.clone()
    partner = pairing(labels, classes, torch.Generator().manual_seed(seed))
    rows = torch.arange(len(labels))
    assert partner.dtype == torch.int64
    assert partner.shape == labels.shape
    assert bool(((partner >= 0) & (partner < max(len(labels), 1))).all())
    assert torch.equal(labels, kept)
    assert torch.equal(partner, pairing(labels, classes, torch.Generator().manual_seed(seed)))
    if isinstance(pairing, InterClassPairs | ClassBalancedPairs):
        if len(labels.unique()) > 1:
            assert bool((labels[partner] != labels).all())
        else:
            assert torch.equal(partner, rows)
    if isinstance(pairing, RandomPairs):
        assert torch.equal(partner.sort().values, rows)


@given(st.data())
def test_plans_are_whole(data):
    """Weights sum to 1, targets are labels of the two rows mixed, priors are shares."""
    labels, classes = data.draw(batches())
    mix = make(data.draw, classes)
    plan = mix.plan(labels, torch.Generator().manual_seed(data.draw(seeds)))
    both = isinstance(mix.labels, BothOwners) and not isinstance(mix.pairing, SelfPairs)
    rows = len(labels) * (2 if both else 1)
    assert plan.partner.shape == plan.weight.shape == (rows,)
    assert plan.weight.dtype == torch.float32
    assert bool(((plan.weight >= 0) & (plan.weight <= 1)).all())
    total = torch.zeros(rows)
    for target, weight in plan.targets:
        total += weight
        assert bool((weight >= 0).all())
        assert bool(((target == labels[owners(plan)]) | (target == labels[plan.partner])).all())
    torch.testing.assert_close(total, torch.ones(rows))
    for prior in (plan.prior, mix.prior.of_data()):
        assert prior.shape == (classes,)
        assert bool((prior >= 0).all())
        assert prior.sum().item() == pytest.approx(1, abs=1e-4)
    assert not mix.eval().plan(labels).weight.ne(1).any()


@given(st.data())
def test_mixed_rows_are_the_formula_and_the_input_is_untouched(data):
    labels, classes = data.draw(batches())
    plan = make(data.draw, classes).plan(labels, torch.Generator().manual_seed(data.draw(seeds)))
    z = data.draw(activations(len(labels)))
    kept = z.clone()
    mixed = plan.apply(z)
    rows = len(plan.partner)
    assert torch.equal(z, kept)
    assert mixed.dtype == z.dtype
    assert mixed.shape == (rows + (0 if plan.clean is None else len(labels)), *z.shape[1:])
    assert bool(mixed.isfinite().all())
    own, other = z[owners(plan)], z[plan.partner]
    weight = plan.weight.double().reshape(-1, *[1] * (z.dim() - 1))
    expected = weight * own.double() + (1 - weight) * other.double()
    assert bool(((mixed[:rows].double() - expected).abs() <= rounding(own, other)).all())
    still = (owners(plan) == plan.partner) | (plan.weight == 1)
    assert torch.equal(mixed[:rows][still], z[owners(plan)][still])
    if plan.clean is not None:
        assert torch.equal(mixed[rows:], z)


@given(st.data())
def test_losses_are_finite_scalars_with_finite_gradients(data):
    labels, classes = data.draw(batches())
    plan = make(data.draw, classes).plan(labels, torch.Generator().manual_seed(data.draw(seeds)))
    dtype = data.draw(dtypes)
    generator = torch.Generator().manual_seed(data.draw(seeds))
    scale = data.draw(st.sampled_from([0.0, 1.0, 100.0, 8000.0]))
    logits = (torch.randn(len(labels), classes, generator=generator).clamp(-7, 7) * scale).to(dtype)
    logits = plan.apply(logits).requires_grad_()
    plan = replace(plan, counts=torch.arange(1.0, classes + 1), progress=torch.tensor(0.9))
    loss = plan.loss(
        logits, make_loss(data.draw(st.sampled_from(["cross_entropy", "balanced_softmax", "ldam", "drw"])))
    )
    assert loss.shape == ()
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert bool(loss.isfinite())
    assert loss.item() >= -1e-5
    loss.backward()
    assert bool(logits.grad.isfinite().all())
    assert len(labels) > 0 or loss.item() == 0


@given(st.data())
def test_what_a_ratio_sees_keeps_it_in_bounds(data):
    """λ stays in [0.5, 1] and the accuracy in [0, 1], whatever comes in whatever order."""
    classes = data.draw(st.integers(1, 50))
    ratio = AccuracyRatio(
        data.draw(curves),
        classes,
        accuracy=data.draw(st.sampled_from(["running", "epoch", "given"])),
        balanced=data.draw(st.booleans()),
        window=10.0 ** data.draw(st.floats(-3, 9)),
    )
    for event in data.draw(st.lists(st.sampled_from(["batch", "empty", "epoch", "told"]), max_size=6)):
        generator = torch.Generator().manual_seed(data.draw(seeds))
        rows = 0 if event == "empty" else data.draw(st.integers(1, 257))
        if event in ("batch", "empty"):
            labels = torch.randint(classes, (rows,), generator=generator)
            ratio.observe(torch.randn(rows, classes, generator=generator), labels)
        elif event == "epoch":
            ratio.end_epoch()
        else:
            ratio.observe_accuracy(data.draw(shares))
        accuracy = ratio.get_buffer("accuracy").item()
        assert 0 <= accuracy <= 1
        assert 0.5 <= ratio.value.item() <= 1
        weight = ratio.draw(torch.zeros(rows, dtype=torch.int64))
        assert weight.shape == (rows,)
        assert bool((weight == ratio.value).all())


@given(shares, st.data())
def test_blends_stay_between_their_rows_and_turn_round(share, data):
    """Never beyond either row by more than rounding; own and other exchanged with the shares, the same."""
    z = data.draw(activations(8))
    own, other, weight = z[:4], z[4:], torch.full((4,), share)
    mixed = Linear()(own, other, weight).double()
    span = rounding(own, other)
    assert bool((mixed >= torch.minimum(own, other).double() - span).all())
    assert bool((mixed <= torch.maximum(own, other).double() + span).all())
    turned = Linear()(other, own, 1 - weight).double()
    weights = 1e-7 * (own.double().abs() + other.double().abs())  # 1 - λ is rounded in float32
    assert bool(((mixed - turned).abs() <= 2 * span + weights).all())


@given(st.sampled_from(midmix.recipes()), batches(), shares, seeds)
def test_recipes_resume_from_their_state_alone(name, batch, accuracy, seed):
    labels, classes = batch
    mix, fresh = (midmix.recipe(name, num_classes=classes) for _ in range(2))
    mix.observe(accuracy=accuracy)
    rows = torch.linspace(0, 1, len(labels) * 36).reshape(-1, 1, 6, 6)

    def plan(of: Mix) -> Plan:
        generator = torch.Generator().manual_seed(seed)
        return of.plan(
            labels, generator, inputs=rows, answer=lambda x: x.flatten(1) @ torch.ones(36, classes)
        )

    plan(mix)
    fresh.load_state_dict(mix.state_dict())
    one, two = plan(mix), plan(fresh)
    assert torch.equal(one.partner, two.partner)
    assert torch.equal(one.weight, two.weight)
    assert one.prior.tolist() == two.prior.tolist()
    assert mix.ratio.value.item() == fresh.ratio.value.item()
