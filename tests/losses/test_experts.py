"""Experts judged one by one, against loops; and what goes with them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from midmix.errors import InputError
from midmix.losses import LossContext, loss
from midmix.methods import ExpertHeads

LABELS = torch.tensor([0, 1, 2, 0, 2, 1, 1])
COUNTS = torch.tensor([400.0, 60.0, 9.0], dtype=torch.float64)


@pytest.fixture
def head():
    torch.manual_seed(0)
    return ExpertHeads(5, 3, count=4).double()


def context(head: ExpertHeads, generator: torch.Generator) -> LossContext:
    features = 3 * torch.randn(7, 5, generator=generator, dtype=torch.float64)
    targets = ((LABELS, torch.ones(7, dtype=torch.float64)),)
    known: dict[str, Any] = {"prior": COUNTS / COUNTS.sum(), "counts": COUNTS, "features": features}
    return LossContext(head(features), targets, head=head, **known)


def softened(row: list[float], temperatures: list[float]) -> list[float]:
    powers = [math.exp(z / t) for z, t in zip(row, temperatures, strict=True)]
    return [power / sum(powers) for power in powers]


def test_it_is_a_loop_over_pairs_of_experts(head, generator):
    given = context(head, generator)
    mean = sum(COUNTS.tolist()) / 3
    beta = [0.3 * n / mean + 0.7 for n in COUNTS.tolist()]
    temperatures = [2.0 * (b + 1 - max(beta)) for b in beta]
    temperatures = [max(t, 0.02) for t in temperatures]
    logits, total = head.each(given.features).tolist(), 0.0
    for e in range(4):
        for row, label in zip(logits[e], LABELS.tolist(), strict=True):
            total += math.log(sum(map(math.exp, row))) - row[label]
        for j in range(4):
            for mine, theirs in zip(logits[e], logits[j], strict=True):
                p, q = softened(mine, temperatures), softened(theirs, temperatures)
                total -= 0.4 / 3 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    found = loss("ride", weight=0.4, temperature=2.0, imbalance=0.3).mean(given)
    assert found.item() == pytest.approx(total / 28, rel=1e-9)


@pytest.mark.parametrize("name", ["balanced_softmax", "ldam", "focal", "drw", "lade", "auc_margin"])
def test_each_expert_has_the_loss_that_stands_beside_it(name, head, generator):
    given = context(head, generator)
    given = LossContext(**{**given.__dict__, "progress": torch.tensor(1.0)})
    alone = [
        loss(name).mean(LossContext(**{**given.__dict__, "logits": logits}))
        for logits in head.each(given.features)
    ]
    both = loss("ride", weight=0.0) + loss(name)
    torch.testing.assert_close(both.mean(given), torch.stack(alone).mean())
    assert both.absorbs == loss(name).absorbs


def test_a_step_against_it_parts_experts_that_agree_almost(head, generator):
    given = context(head, generator)
    plain, diverse = (loss("ride", weight=weight).mean(given) for weight in (0.0, 1.0))
    assert diverse < plain
    slopes = [torch.autograd.grad(found, head.experts[0][0].weight)[0] for found in (plain, diverse)]
    assert not torch.equal(*slopes)


def test_what_does_not_go_with_it(head, generator):
    with pytest.raises(InputError, match=r"the classifier is a Linear; write \+experts beside it"):
        loss("ride").prepare(torch.nn.Linear(5, 3), 3)
    with pytest.raises(InputError, match="both judge the parts of a classifier one by one"):
        loss("ride") + loss("ride")
    with pytest.raises(InputError, match="needs features"):
        loss("ride").mean(LossContext(**{**context(head, generator).__dict__, "features": None}))


@pytest.mark.parametrize(
    ("option", "value"), [("weight", -0.1), ("temperature", 0.0), ("imbalance", float("inf"))]
)
def test_values_that_cannot_be(option, value):
    with pytest.raises(InputError, match=f"^{option}: "):
        loss("ride", **{option: value})
