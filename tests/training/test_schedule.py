"""The learning rate against its formula, and which weights are decayed."""

import math
import subprocess
import sys
from tempfile import TemporaryDirectory

import pytest
import torch
from torch import nn

from midmix.models import build
from midmix.training import Settings
from midmix.training.schedule import FusedSGD, make_optimizer, make_schedule


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


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_fused_step_is_that_of_torchs_own_optimizer(momentum, late):
    """To the bit; nearly for weights that have their first gradient late, which torch's fused form does not take."""
    settings = Settings(momentum=momentum, weight_decay=0.02)
    networks = [build("mlp-8", (4,), 3, seed=0) for _ in range(2)]
    ours = make_optimizer(networks[0], settings)
    assert isinstance(ours, FusedSGD)
    groups = [{**group, "params": [], "fused": not late} for group in ours.param_groups]
    names = {id(weight): name for name, weight in networks[0].named_parameters()}
    for group, same in zip(ours.param_groups, groups, strict=True):
        same["params"] = [networks[1].get_parameter(names[id(weight)]) for weight in group["params"]]
    theirs = torch.optim.SGD(groups)
    rows, labels = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2] * 2)
    for step in range(5):
        for network, optimizer in zip(networks, (ours, theirs), strict=True):
            network.fc.weight.requires_grad_(step > 1 or not late)
            nn.functional.cross_entropy(network(rows), labels).backward()
            network.hidden[0][0].bias.grad = None
            optimizer.step()
            optimizer.zero_grad()
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6 if late else 0, atol=1e-7 if late else 0)
    if momentum:
        theirs.load_state_dict(ours.state_dict())


def test_training_does_not_wait_for_a_compiler_that_nobody_asked_for():
    """torch's takes a second to import, in every worker of a comparison."""
    program = """
import sys
from midmix.data import from_arrays
from midmix.methods import Method
from midmix.training import Run, Settings, train_run
from pathlib import Path
import torch
source = from_arrays(torch.eye(3).repeat(20, 1), torch.arange(3).repeat(20))
run = Run(Method.parse("balanced-am-mixup+balanced_softmax"), 0, Settings(network="mlp-8", epochs=1))
train_run(run, source, Path(sys.argv[1]))
print("torch._dynamo" in sys.modules)
"""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-c", program, folder]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"
