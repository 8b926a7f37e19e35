"""The learning rate against its formula, and which weights are decayed."""

import math

import pytest
import torch
from torch import nn

from midmix.training import Settings
from midmix.training.schedule import make_optimizer, make_schedule


def naive_rate(step: int, peak: float, warmup: int, total: int) -> float:
    """A ramp whose first step is not 0 and whose peak is the step after it, then half a cosine to 0 after the last."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2


@pytest.mark.parametrize(
    ("epochs", "steps", "warmup_epochs"),
    [(10, 7, 5), (3, 4, 0), (4, 5, 0.5), (1, 1, 5), (2, 3, 9), (1, 1, 0)],
)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_every_step_has_the_rate_of_the_formula(epochs, steps, warmup_epochs, optimizer):
    settings = Settings(epochs=epochs, learning_rate=0.3, warmup_epochs=warmup_epochs, optimizer=optimizer)
    made = make_optimizer(nn.Linear(2, 2), settings)
    schedule = make_schedule(made, settings, steps)
    total = epochs * steps
    warmup = min(round(warmup_epochs * steps), total - 1)
    seen = []
    for _ in range(total):
        seen.append(made.param_groups[0]["lr"])
        assert len({group["lr"] for group in made.param_groups}) == 1
        made.step()
        schedule.step()
    assert seen == pytest.approx([naive_rate(step, 0.3, warmup, total) for step in range(total)], rel=1e-12)
    assert min(seen) > 0, "a step at rate 0 trains nothing"
    assert made.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)


def test_the_rate_peaks_at_the_setting_once_warmed_up():
    settings = Settings(epochs=10, learning_rate=0.3, warmup_epochs=2)
    made = make_optimizer(nn.Linear(2, 2), settings)
    schedule = make_schedule(made, settings, steps_per_epoch=5)
    rates = []
    for _ in range(50):
        rates.append(made.param_groups[0]["lr"])
        made.step()
        schedule.step()
    assert rates.index(max(rates)) == 10
    assert rates[10] == 0.3


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_only_weights_are_decayed_and_each_parameter_is_trained_once(optimizer):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    model[3].bias.requires_grad_(False)
    groups = make_optimizer(model, Settings(optimizer=optimizer, weight_decay=0.01)).param_groups
    decayed = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for module, name, expected in [
        (model[0], "weight", 0.01), (model[0], "bias", 0), (model[1], "weight", 0), (model[1], "bias", 0),
        (model[3], "weight", 0.01),
    ]:  # fmt: skip
        assert decayed.pop(id(getattr(module, name))) == expected
    assert not decayed, "a frozen parameter is left alone"


def test_sgd_without_momentum_is_plain():
    optimizer = make_optimizer(nn.Linear(1, 1), Settings(momentum=0))
    assert isinstance(optimizer, torch.optim.SGD)
    assert not optimizer.param_groups[0]["nesterov"]
