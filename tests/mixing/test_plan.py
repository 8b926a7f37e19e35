"""Labels, blend and loss against loops over single rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.losses import balanced_softmax
from midmix.mixing import BothOwners, Linear, OneSided, Plan, TwoSided, cross_entropy
from midmix.mixing.plan import CleanTerm

Y = torch.tensor([3, 5, 0, 3, 1])
PARTNER = torch.tensor([1, 0, 2, 4, 0])
WEIGHT = torch.tensor([0.5, 0.49, 0.9, 1.0, 0.0])
CLASSES = 6


def by_loop(sides: str, both: bool) -> list[tuple[int, int, float, list[tuple[int, float]]]]:
    """Owner, partner, share and weighted labels of each mixed row."""
    rows = []
    pairs = [(i, int(PARTNER[i]), float(WEIGHT[i])) for i in range(len(Y))]
    if both:
        pairs += [(j, i, weight) for i, j, weight in pairs]
    for i, j, weight in pairs:
        own, other = int(Y[i]), int(Y[j])
        larger = own if weight >= 0.5 else other
        targets = [(own, weight), (other, 1 - weight)] if sides == "two" else [(larger, 1.0)]
        rows.append((i, j, weight, targets))
    return rows


@pytest.mark.parametrize(
    ("labels", "sides", "both"),
    [
        (OneSided(), "one", False),
        (TwoSided(), "two", False),
        (BothOwners(), "one", True),
        (BothOwners(TwoSided()), "two", True),
    ],
    ids=str,
)
def test_labels_and_content_equal_a_loop(labels, sides, both, generator):
    plan = labels(Y, PARTNER, WEIGHT)
    z = torch.randn(len(Y), 4, 3, generator=generator)
    mixed = plan.apply(z)
    rows = by_loop(sides, both)
    assert len(mixed) == len(rows)
    for row, (i, j, weight, targets) in enumerate(rows):
        torch.testing.assert_close(mixed[row], weight * z[i] + (1 - weight) * z[j])
        assert [int(label[row]) for label, _ in plan.targets] == [label for label, _ in targets]
        for (_, share), (_, expected) in zip(plan.targets, targets, strict=True):
            assert float(share[row]) == pytest.approx(expected)


def test_both_owners_hold_each_pair_from_both_sides():
    plan = BothOwners()(Y, PARTNER, torch.full((5,), 0.8))
    assert torch.equal(plan.owner[:5], plan.partner[5:])
    assert torch.equal(plan.owner[5:], plan.partner[:5])
    assert torch.equal(plan.targets[0][0], Y[plan.owner])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,)], ids=str)
def test_linear_equals_its_formula(dtype, shape, generator):
    own, other = (torch.randn(5, *shape, generator=generator).to(dtype) for _ in range(2))
    mixed = Linear()(own, other, WEIGHT)
    assert mixed.dtype == dtype
    for row in range(5):
        expected = WEIGHT[row].double() * own[row].double() + (1 - WEIGHT[row].double()) * other[row].double()
        torch.testing.assert_close(
            mixed[row].double(), expected, rtol=1e-2, atol=2e-2 if dtype.itemsize == 2 else 1e-6
        )
    assert torch.equal(mixed[3], own[3])
    assert torch.equal(mixed[4], other[4])


def test_midpoints_of_large_half_precision_numbers_do_not_overflow():
    far = torch.tensor([[60_000.0]], dtype=torch.float16)
    assert Linear()(far, -far, torch.tensor([0.5])).item() == 0
    assert Linear()(far, far, torch.tensor([0.5])).item() == 60_000


def squared(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.softmax(-1) - F.one_hot(labels, logits.shape[-1])).square().sum(-1)


CRITERIA = {
    "cross-entropy": cross_entropy,
    "torch's": nn.CrossEntropyLoss(reduction="none"),
    "torch's, class weights": nn.CrossEntropyLoss(
        reduction="none", weight=torch.tensor([1.0, 2.0, 0.5, 3.0, 0.1, 1.0])
    ),
    "torch's, smoothed": nn.CrossEntropyLoss(reduction="none", label_smoothing=0.1),
    "torch's, margin": nn.MultiMarginLoss(reduction="none"),
    "a function": squared,
    "balanced softmax": balanced_softmax(),
}


@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA)
@pytest.mark.parametrize("clean", [None, 0.25], ids=["alone", "with a clean term"])
@pytest.mark.parametrize("labels", [OneSided(), TwoSided(), BothOwners()], ids=str)
def test_loss_equals_a_loop_over_rows(labels, clean, criterion, generator):
    prior, clean_prior = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0, 9.0]), torch.arange(1.0, 7.0)
    term = None if clean is None else CleanTerm(clean, clean_prior)
    plan = replace(labels(Y, PARTNER, WEIGHT), prior=prior, clean=term)
    rows = len(plan.partner)
    logits = torch.randn(rows + (0 if clean is None else len(Y)), CLASSES, generator=generator)

    def alone(row: Tensor, label: Tensor, frequencies: Tensor) -> float:
        if criterion is CRITERIA["balanced softmax"]:  # written out once more
            scores = row.double().exp() * frequencies.double()
            return float(-(scores[label] / scores.sum()).log())
        return float(criterion(row[None], label[None])[0])

    expected = 0.0
    for row in range(rows):
        for target, share in plan.targets:
            expected += float(share[row]) * alone(logits[row], target[row], prior) / rows
    if clean is not None:
        for row in range(len(Y)):
            expected += clean * alone(logits[rows + row], Y[row], clean_prior) / len(Y)
    if clean is not None:  # a weighted mean, so that a clean term adds no learning rate
        expected /= 1 + clean
    assert float(plan.loss(logits, criterion)) == pytest.approx(expected, rel=1e-5)


def test_an_unmixed_plan_gives_the_plain_mean(generator):
    logits = torch.randn(5, CLASSES, generator=generator)
    plan = Plan.unmixed(Y)
    assert torch.equal(plan.apply(logits), logits)
    torch.testing.assert_close(plan.loss(logits), F.cross_entropy(logits, Y))


def test_gradients_of_features_are_the_shares(generator):
    """d mixed_r / d z_k is the share of row k in mixed row r."""
    plan = BothOwners()(Y, PARTNER, WEIGHT)
    z = torch.randn(5, 1, generator=generator, dtype=torch.float64, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(plan.apply, z)[:, 0, :, 0]
    expected = torch.zeros(10, 5)
    for row, (i, j, weight, _) in enumerate(by_loop("one", both=True)):
        expected[row, i] += weight
        expected[row, j] += 1 - weight
    torch.testing.assert_close(jacobian.float(), expected)


def test_half_precision_losses_are_taken_in_float32(generator):
    plan = TwoSided()(Y, PARTNER, WEIGHT)
    logits = (torch.randn(5, CLASSES, generator=generator) * 1e4).half()
    assert plan.loss(logits).dtype == torch.float32
    torch.testing.assert_close(plan.loss(logits), plan.loss(logits.float()))


def averaged(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels)


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda p: p.apply(torch.zeros(4, 2)), "features: 4 rows, labels: 5; both must be of the same batch"),
        (
            lambda p: p.apply(torch.zeros(5, 2, dtype=torch.int64)),
            r"features: torch\.int64 cannot be mixed; mix floating-point activations .*site=Hidden",
        ),
        (lambda p: p.apply({"x": torch.zeros(5)}), "features: dict cannot be mixed; choose a site"),
        (lambda p: p.loss(torch.zeros(4, CLASSES)), "logits: 4 rows where the plan makes 5 of a batch of 5"),
        (
            lambda p: p.loss(torch.zeros(5, CLASSES), averaged),
            r"loss: returned shape \(\) for 5 rows; a per-sample loss is needed, .*reduction='none'",
        ),
        (
            lambda p: p.loss(torch.zeros(5, CLASSES), lambda logits, labels: logits),
            r"loss: returned shape \(5, 6\) for 5 rows",
        ),
        (
            lambda p: p.loss(torch.zeros(5, CLASSES), balanced_softmax()),
            "AddLogPrior: needs prior, which nobody has given",
        ),
    ],
)
def test_errors_say_what_and_what_to_do(act, says):
    with pytest.raises(InputError, match=says):
        act(OneSided()(Y, PARTNER, WEIGHT))
