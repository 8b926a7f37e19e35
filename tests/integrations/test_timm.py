"""Models of timm's families, and timm's training task."""

from __future__ import annotations

import sys

import pytest
import torch

import midmix
from midmix.errors import InputError

timm = pytest.importorskip("timm")

from timm.optim import create_optimizer_v2  # noqa: E402

from midmix.integrations.timm import MixTask, attach, classifiers  # noqa: E402

# One or two linear heads, whose logits the model averages: mixing features is then mixing logits.
LINEAR = [
    ("test_resnet", {}, 1),
    ("test_vit", {"img_size": 32}, 1),
    ("test_convnext", {}, 1),
    ("test_efficientnet", {}, 1),
    ("test_byobnet", {}, 1),
    ("test_nfnet", {}, 1),
    ("test_mambaout", {}, 1),
    ("deit_tiny_distilled_patch16_224", {"img_size": 32}, 2),
]
OTHER = [
    ("levit_128s", 2, 224),
    ("repvit_m0_9", 1, 32),
    ("dla34", 1, 64),
]  # batch norm in heads, a convolution


def batch(rows: int = 6, size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, 3, size, size, generator=generator), torch.arange(rows) % 3


@pytest.mark.parametrize(("name", "options", "heads"), LINEAR)
def test_features_are_mixed_before_every_head(name, options, heads):
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=3, **options).eval()
    x, y = batch()
    with torch.no_grad():
        plain = model(x)
        assert len(classifiers(model)) == heads
        mix = midmix.balanced_am_mixup(num_classes=3, accuracy="given", clean_weight=1.0)
        mix.observe(accuracy=1.0)
        attach(mix, model)
        with mix(y):
            torch.testing.assert_close(model(x), plain)  # in evaluation nothing is mixed
        model.training = (
            True  # the network as in evaluation, its heads in training: no batch norm, no dropout
        )
        for head in classifiers(model):
            head.training = True
        with mix(y) as mixed:
            plan = mixed.plan
            logits = model(x)
    torch.testing.assert_close(logits, plan.apply(plain), atol=1e-5, rtol=1e-4)
    assert bool(mix.loss(logits).isfinite())


@pytest.mark.parametrize(("name", "heads", "size"), OTHER)
def test_heads_that_are_more_than_linear(name, heads, size):
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=3)
    x, y = batch(size=size)
    mix = attach(midmix.balanced_am_mixup(num_classes=3), model)
    with mix(y):
        logits = model(x)
    mix.loss(logits).backward()
    assert len(classifiers(model)) == heads
    assert logits.shape == (12, 3)
    assert float(mix.ratio.tally.counts[1].sum()) == 6  # the clean rows were seen, once


def test_the_training_task_trains_resumes_and_evaluates():
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=3)
    task = MixTask(model, midmix.balanced_am_mixup(num_classes=3), verbose=False)
    optimizer = create_optimizer_v2(task.get_trainable_module(), opt="adamw", lr=3e-3)
    x, y = batch(12)
    for _ in range(8):
        result = task(x, y)
        optimizer.zero_grad()
        result["loss"].backward()
        optimizer.step()
    assert 0.5 < float(task.mix.ratio.value) < 0.95

    saved = task.get_checkpoint_state()
    other = MixTask(
        timm.create_model("test_resnet", num_classes=3), midmix.balanced_am_mixup(3), verbose=False
    )
    other.load_checkpoint_state(saved["state_dict"], saved["task_state"])
    assert float(other.mix.ratio.value) == float(task.mix.ratio.value)
    with torch.no_grad():
        torch.testing.assert_close(other.get_eval_model().eval()(x), task.get_eval_model().eval()(x))


def test_an_averaged_copy_of_the_model_never_mixes():
    task = MixTask(
        timm.create_model("test_resnet", num_classes=3), midmix.balanced_am_mixup(3), verbose=False
    )
    average = task.setup_ema(decay=0.5).module
    x, y = batch()
    task(x, y)
    assert average.train()(x).shape == (6, 3)


def test_another_site_is_left_as_it_is():
    model = timm.create_model("test_resnet", num_classes=3)
    mix = attach(midmix.mixup(num_classes=3), model)
    assert mix.site == midmix.mixing.Input()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: timm.create_model("test_resnet", num_classes=5), "3 classes, the model for 5"),
        (lambda: timm.create_model("test_resnet", num_classes=0), "3 classes, the model for 0"),
        (lambda: torch.nn.Linear(4, 3), "not timm's"),
    ],
)
def test_what_does_not_fit_is_said(model, message):
    with pytest.raises(InputError, match=message):
        attach(midmix.am_mixup(num_classes=3), model())


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm.task", None)
    monkeypatch.delitem(sys.modules, "midmix.integrations.timm")
    with pytest.raises(ImportError, match=r"pip install 'midmix\[timm\]'"):
        __import__("midmix.integrations.timm")
