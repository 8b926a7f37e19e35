"""`torch.compile`: whole graphs, and none made anew while λ changes at every step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

import midmix
from midmix.errors import InputError
from midmix.mixing import AccuracyRatio, Features, Hidden, InterClassPairs, Mix, RandomSite

CLASSES = 3

# dynamo's own modules use what torch deprecates
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


class Net(nn.Module):
    def __init__(self, head: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU())
        self.fc = nn.Linear(16, CLASSES) if head is None else head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(self.encoder(x))
        return logits


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    counters.clear()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch._dynamo.reset()


def train(mix: Mix, compiled: Any, steps: int, rows: tuple[int, ...] = (16,)) -> list[float]:
    """λ at each of `steps` steps, batches of these sizes in turn."""
    optimizer = torch.optim.SGD(compiled.parameters(), lr=0.1)
    ratios = []
    for step in range(steps):
        x = torch.randn(rows[step % len(rows)], 8)
        y = x[:, :CLASSES].argmax(1)
        with mix(y) as batch:
            plan = batch.plan
            logits = compiled(x)
        mix.loss(logits).backward()
        optimizer.step()
        optimizer.zero_grad()
        ratios.append(plan.weight[0].item())
    return ratios


def graphs() -> int:
    return counters["stats"]["unique_graphs"]


@pytest.mark.parametrize("name", ["mixup", "am-mixup", "balanced-am-mixup"])
@pytest.mark.parametrize(
    "order", ["attach, then compile", "compile, then attach", "attach to what was compiled"]
)
def test_a_hundred_steps_without_recompilation(name, order):
    model = Net()
    mix = midmix.recipe(name, num_classes=CLASSES)
    if order == "attach, then compile":
        mix.attach(model)
    compiled: Any = torch.compile(model, backend="eager", fullgraph=True)
    if order == "compile, then attach":
        mix.attach(model)
    if order == "attach to what was compiled":
        mix.attach(compiled)
    with torch._dynamo.config.patch(error_on_recompile=True):
        ratios = train(mix, compiled, steps=100)
    # a hook on the compiled module itself is a frame of its own, or none
    assert graphs() <= (2 if name == "mixup" else 1)
    assert len(set(ratios)) > 50, "λ is to change"


@pytest.mark.parametrize("name", ["mixup", "balanced-am-mixup"])
def test_compiled_and_not_the_gradients_are_the_same(name):
    """Through autograd's own tracing, with a clean term."""
    gradients = []
    for compiles in (False, True):
        torch.manual_seed(1)
        model = Net()
        mix = midmix.recipe(name, num_classes=CLASSES, clean_weight=0.5).attach(model)
        run = torch.compile(model, backend="aot_eager", fullgraph=True) if compiles else model
        train(mix, run, steps=5)
        gradients.append([parameter.detach() for parameter in model.parameters()])
    for plain, compiled in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, compiled)


def test_a_head_with_dropout_and_batch_norm_is_watched_within_the_one_graph():
    model = Net(nn.Sequential(nn.BatchNorm1d(16), nn.Dropout(0.2), nn.Linear(16, CLASSES)))
    mix = midmix.am_mixup(num_classes=CLASSES, site="fc").attach(model)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        train(mix, compiled, steps=20)
    assert graphs() == 1
    assert all(module.training for module in model.modules())


def test_a_random_site_costs_a_graph_a_site_and_no_more():
    model = Net()
    mix = midmix.mixup(
        num_classes=CLASSES, site=RandomSite(Hidden("encoder.0"), Hidden("encoder"), Features())
    )
    mix.attach(model)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    train(mix, compiled, steps=60)
    assert graphs() == 3


@pytest.mark.parametrize("name", ["am-mixup", "balanced-am-mixup"])
def test_odd_last_batches_cost_one_more_graph_and_no_more(name):
    model = Net()
    mix = midmix.recipe(name, num_classes=CLASSES).attach(model)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    train(mix, compiled, steps=20, rows=(16, 16, 7, 16, 5, 11))
    assert graphs() == 2


def test_evaluation_between_epochs_costs_one_more_graph_and_is_unmixed():
    model = Net()
    mix = midmix.balanced_am_mixup(num_classes=CLASSES).attach(model)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    for _ in range(3):
        train(mix, compiled, steps=5)
        model.eval()
        assert compiled(torch.randn(16, 8)).shape == (16, CLASSES)
        model.train()
    assert graphs() == 2


def test_any_curve_compiles():
    model = Net()
    mix = Mix(InterClassPairs(), AccuracyRatio(lambda a: 1 - a / 2), num_classes=CLASSES).attach(model)
    train(mix, torch.compile(model, backend="eager", fullgraph=True), steps=5)
    assert graphs() == 1


def test_attached_after_the_first_compiled_call_the_loss_says_so():
    model = Net()
    compiled = torch.compile(model, backend="eager")
    compiled(torch.randn(16, 8))
    mix = midmix.am_mixup(num_classes=CLASSES).attach(model)
    with pytest.raises(InputError, match="attach before a compiled model's first call"):
        train(mix, compiled, steps=1)
