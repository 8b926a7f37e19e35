"""Experts judged one by one, against loops; and what goes with them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from midmix.data import load
from midmix.errors import InputError
from midmix.losses import LossContext, loss
from midmix.methods import ExpertHeads, Method
from midmix.studies.compare import run_rows
from midmix.training import Settings
from midmix.training.run import Run
from midmix.training.train import train_run

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


def softened(row: list[float], temperature: float) -> list[float]:
    powers = [math.exp(z / temperature) for z in row]
    return [power / sum(powers) for power in powers]


def test_it_is_a_loop_over_experts(head, generator):
    given = context(head, generator)
    logits, total = head.each(given.features).tolist(), 0.0
    for row, label in enumerate(LABELS.tolist()):
        mean = [sum(expert[row][c] for expert in logits) / 4 for c in range(3)]
        together = softened(mean, 2.0)
        for expert in logits:
            own = softened(expert[row], 2.0)
            total += math.log(sum(map(math.exp, expert[row]))) - expert[row][label]
            total -= 0.4 * 2.0**2 * sum(m * math.log(m / p) for m, p in zip(together, own, strict=True))
    found = loss("ride", weight=0.4, temperature=2.0).mean(given)
    assert found.item() == pytest.approx(total / 28, rel=1e-9)


@pytest.mark.parametrize("weight", [0.2, 0.9])
def test_experts_that_err_ever_more_are_drawn_back(weight, generator):
    """However far apart they are, cross-entropy draws a wrong expert more than the others push it."""

    class Given(torch.nn.Module):
        def __init__(self, logits: torch.Tensor) -> None:
            super().__init__()
            self.logits = torch.nn.Parameter(logits)

        def each(self, features: torch.Tensor) -> torch.Tensor:
            return self.logits

    for size in (1.0, 30.0, 1e4):
        wrong = torch.tensor([[0.0, size, 0.0]]).expand(7, 3)
        sure = 10 * size * torch.eye(3)[LABELS]
        head = Given(torch.stack([sure, wrong, sure + torch.rand(7, 3, generator=generator)]))
        targets = ((LABELS, torch.ones(7)),)
        given = LossContext(head.logits.detach().mean(0), targets, features=torch.zeros(7, 1), head=head)
        (slope,) = torch.autograd.grad(loss("ride", weight=weight).mean(given), head.logits)
        assert (slope[1].gather(1, LABELS[:, None])[LABELS != 1] < 0).all()
        assert slope.abs().max() <= (1 + weight) / 21


@pytest.mark.parametrize("method", ["erm+ride+experts", "mixup+balanced_softmax+ride+experts"])
def test_a_whole_run_of_experts_stays_finite_and_learns(method, tmp_path):
    source, settings = load("digits"), Settings(epochs=80, learning_rate=0.05, evaluate_every=80)
    for seed in (0, 2):  # with pairs of experts, and a slope through both, these ended in a loss of NaN
        run = Run(Method.parse(method), seed, settings, imbalance=50, ranks="drawn", splits="drawn")
        train_run(run, source, tmp_path / str(seed))
        assert run_rows(tmp_path / str(seed))[0]["accuracy"] > 0.7


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
    plain, diverse = (loss("ride", weight=weight).mean(given) for weight in (0.0, 0.9))
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
    ("option", "value"), [("weight", -0.1), ("weight", 1.0), ("temperature", 0.0), ("temperature", 5.0)]
)
def test_values_that_cannot_be(option, value):
    with pytest.raises(InputError, match=option):
        loss("ride", **{option: value})
