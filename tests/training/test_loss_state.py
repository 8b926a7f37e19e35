"""What a loss learns is optimised, what it counts is kept, what it needs is asked for when it is put together."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import midmix
from midmix.errors import InputError
from midmix.losses import ComposedLoss, loss
from midmix.mixing.context import Loss


class Temperature(nn.Module):
    """`s / e^t` with a learnt t, which counts the batches that it sees."""

    batches: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.zeros(()))
        self.register_buffer("batches", torch.zeros(()))

    def observe(self, context):
        self.batches += 1

    def __call__(self, logits, labels, context):
        return logits / self.log.exp()


def learnt_temperature() -> ComposedLoss:
    return ComposedLoss(adjust=[Temperature()])


@pytest.mark.parametrize("line", ["erm", "mixup", "balanced-am-mixup:clean_weight=1"])
def test_a_learnt_loss_is_optimised_and_its_counts_survive_an_interruption(
    line, blobs, short, start, tmp_path
):
    def make(folder, **more):
        fit = start(blobs, short, line, folder=folder, loss=learnt_temperature(), **more)
        return fit, next(iter(fit.loss.state))

    whole, part = make(tmp_path / "whole")
    whole.run()
    terms = 2 if "clean" in line else 1  # mixed rows and clean ones are each a context
    assert float(part.batches) == terms * whole.steps * short.epochs
    assert abs(part.log.item()) > 1e-3

    seen = 0

    def stop() -> bool:
        nonlocal seen
        seen += 1
        return seen == 7

    broken, _ = make(tmp_path / "broken", stop=stop)
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    again, resumed = make(tmp_path / "broken")
    again.run()
    assert torch.equal(resumed.log, part.log)
    assert torch.equal(resumed.batches, part.batches)


def test_what_nobody_can_give_is_refused_when_put_together():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    mix = midmix.am_mixup(num_classes=3)
    with pytest.raises(InputError, match="needs counts; give class_counts"):
        mix.attach(model, loss=loss("ldam"))
    midmix.am_mixup(num_classes=3, class_counts=[5, 2, 1]).attach(model, loss=loss("ldam")).remove()
    with pytest.raises(InputError, match="asks for phase; what there is: prior, counts"):
        ComposedLoss(weight=[type("Odd", (), {"needs": {"phase"}})()])
    with pytest.raises(InputError, match="both the loss of a row"):
        ComposedLoss(base=lambda *_: torch.zeros(1)) + ComposedLoss(base=lambda *_: torch.zeros(1))


def test_a_loss_is_told_progress_features_and_head(blobs, short, start):
    told = []

    class Nosy(Loss):
        needs = frozenset({"progress", "features", "head"})

        def mean(self, context):
            told.append((float(context.progress), context.features.shape, type(context.head)))
            return loss("cross_entropy").mean(context)

    fit = start(blobs, short, "balanced-am-mixup", loss=Nosy())
    fit.run()
    progress = [entry[0] for entry in told]
    assert progress == sorted(progress)
    assert progress[0] == 0
    assert 0.9 < progress[-1] < 1
    assert {entry[2] for entry in told} == {nn.Linear}
    assert told[0][1][1] == fit.model.fc.in_features
