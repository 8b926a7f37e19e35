"""Losses that order rows, against loops, the paper's saddle point and scikit-learn's average precision."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import average_precision_score

from midmix.errors import InputError
from midmix.losses import LossContext, loss

LABELS = torch.tensor([0, 1, 2, 0, 2, 1, 1, 0])
PARTNERS = torch.tensor([1, 1, 0, 2, 0, 2, 1, 3])  # of one row its own class, of one a class without a label


@pytest.fixture
def logits(generator):
    return 2 * torch.randn(8, 5, generator=generator, dtype=torch.float64)


def mixed(logits: torch.Tensor) -> LossContext:
    share = torch.linspace(1, 0.5, 8, dtype=torch.float64)
    return LossContext(logits, ((LABELS, share), (PARTNERS, 1 - share)))


def term(name: str, context: LossContext, **options: float) -> float:
    return float(loss(name, **options).mean(context) - loss("cross_entropy").mean(context))


def shares_of(context: LossContext, c: int) -> list[float]:
    found = [0.0] * len(context.logits)
    for labels, weight in context.targets:
        for row, (label, part) in enumerate(zip(labels.tolist(), weight.tolist(), strict=True)):
            found[row] += part * (label == c)
    return found


@pytest.mark.parametrize("margin", [0.3, 1.0])
def test_auc_margin_is_a_loop_over_classes(logits, margin):
    context = mixed(logits)
    found = []
    for c in range(5):
        scores, own = logits.softmax(1)[:, c].tolist(), shares_of(context, c)
        other = [1 - share for share in own]
        if not sum(own):
            continue
        moments = []
        for side in (own, other):
            mean = sum(w * s for w, s in zip(side, scores, strict=True)) / sum(side)
            moments.append(
                (mean, sum(w * (s - mean) ** 2 for w, s in zip(side, scores, strict=True)) / sum(side))
            )
        (high, v1), (low, v2) = moments
        found.append(v1 + v2 + max(0, margin + low - high) ** 2)
    assert len(found) == 4
    expected = 2.5 * sum(found) / len(found)
    assert term("auc_margin", context, weight=2.5, margin=margin) == pytest.approx(expected, rel=1e-9)


def test_auc_margin_is_the_papers_saddle_point(generator):
    """min over a, b and max over α ≥ 0 of `E⁺(h-a)² + E⁻(h-b)² + 2α(m + E⁻h - E⁺h) - α²`, found by descent."""
    logits = torch.randn(8, 2, generator=generator, dtype=torch.float64)
    labels = (LABELS == 0).long()
    h = logits.softmax(1)[:, 1]
    a, b, alpha = (torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(3))
    for _ in range(400):
        value = (
            (h[labels == 1] - a).square().mean()
            + (h[labels == 0] - b).square().mean()
            + 2 * alpha * (1 + h[labels == 0].mean() - h[labels == 1].mean())
            - alpha**2
        )
        slopes = torch.autograd.grad(value, (a, b, alpha))
        with torch.no_grad():
            a -= 0.1 * slopes[0]
            b -= 0.1 * slopes[1]
            alpha.add_(0.1 * slopes[2]).clamp_(min=0)
    context = LossContext(logits, ((labels, torch.ones(8).double()),))
    assert term("auc_margin", context) == pytest.approx(value.item(), rel=1e-9)  # of both classes the same


def test_average_precision_is_a_loop_over_rows(logits):
    context, odds = mixed(logits), logits.softmax(1).logit()
    found = []
    for c in range(5):
        own = shares_of(context, c)
        if not sum(own):
            continue
        precision = 0.0
        for i, share in enumerate(own):
            of_class, of_all = share, 1.0
            for j, other in enumerate(own):
                if i != j:
                    above = 1 / (1 + math.exp(-(odds[j, c] - odds[i, c]) / 0.7))
                    of_class += other * above
                    of_all += above
            precision += share * of_class / of_all
        found.append(1 - precision / sum(own))
    assert len(found) == 4
    expected = 2.5 * sum(found) / len(found)
    assert term("average_precision", context, weight=2.5, temperature=0.7) == pytest.approx(
        expected, rel=1e-9
    )


def test_cold_it_is_the_average_precision_itself(logits):
    context = LossContext(logits, ((LABELS, torch.ones(8).double()),))
    scores = logits.softmax(1)
    expected = [1 - average_precision_score(LABELS.eq(c), scores[:, c]) for c in range(3)]
    assert term("average_precision", context, temperature=1e-6) == pytest.approx(sum(expected) / 3, rel=1e-6)


@pytest.mark.parametrize("name", ["auc_margin", "average_precision"])
def test_without_two_sides_nothing_is_asked(name, logits):
    one_class = LossContext(logits, ((torch.zeros(8, dtype=torch.int64), torch.ones(8).double()),))
    assert term(name, one_class) == pytest.approx(0, abs=1e-12)
    empty = LossContext(logits[:0], ((LABELS[:0], torch.ones(0).double()),))
    assert term(name, empty) == 0


@pytest.mark.parametrize("name", ["auc_margin", "average_precision"])
def test_a_step_against_the_slope_orders_rows_better(name, logits):
    logits.requires_grad_()
    context = LossContext(logits, ((LABELS, torch.ones(8).double()),))
    total = loss(name, weight=1.0).mean(context) - loss("cross_entropy").mean(context)
    (slope,) = torch.autograd.grad(total, logits)
    numeric = torch.autograd.gradcheck(
        lambda z: loss(name).mean(LossContext(z, ((LABELS, torch.ones(8).double()),))), logits
    )
    assert numeric
    assert slope.abs().sum() > 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("auc_margin", {"margin": 0.0}),
        ("auc_margin", {"weight": -1.0}),
        ("average_precision", {"temperature": 0.0}),
        ("average_precision", {"weight": float("inf")}),
    ],
)
def test_values_that_cannot_be(name, options):
    with pytest.raises(InputError, match=f"{next(iter(options))}: .* must be"):
        loss(name, **options)
