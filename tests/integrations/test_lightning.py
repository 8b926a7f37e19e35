"""The Lightning callback, with either package's Trainer and modules."""

from __future__ import annotations

import importlib
import sys
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import midmix
from midmix.errors import InputError

PACKAGES = ("lightning.pytorch", "pytorch_lightning")
pytest.importorskip("lightning")

with warnings.catch_warnings():  # Lightning imports what has been deprecated since
    warnings.simplefilter("ignore")
    from midmix.integrations.lightning import MixCallback, batch_labels

    STACKS = {name: importlib.import_module(name) for name in PACKAGES}

# Lightning's own advice (more workers, no logger) is no error.
pytestmark = pytest.mark.filterwarnings("default")


def make_module(stack, step="mix"):
    class Module(stack.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
            self.rows: list[int] = []
            self.ratios: list[float] = []

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, batch_idx):
            x, y = batch
            logits = self(x)
            self.rows.append(len(logits))
            if step == "mix":
                self.ratios.append(float(self.mix.mixing.ratio.value))
                return self.mix.loss(logits)
            return F.cross_entropy(logits[: len(y)], y)

        def validation_step(self, batch, batch_idx):
            logits = self(batch[0])
            assert len(logits) == len(batch[1])
            self.log("val_loss", F.cross_entropy(logits, batch[1]))

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), lr=0.02)

    torch.manual_seed(0)
    return Module()


def loader(rows: int = 48) -> DataLoader[tuple[torch.Tensor, ...]]:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(rows) % 3
    x = torch.randn(rows, 4, generator=generator) + 3 * F.one_hot(y, 4)
    return DataLoader(TensorDataset(x, y), batch_size=16)


def make_trainer(stack, callback, tmp_path, **options):
    return stack.Trainer(**{
        "callbacks": [callback],
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": tmp_path,
        **options,
    })  # fmt: skip


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize(
    "options",
    [{}, {"accumulate_grad_batches": 2}, {"precision": "bf16-mixed"}],
    ids=["plain", "accumulated", "bf16"],
)
def test_training_mixes_and_validation_does_not(package, options, tmp_path):
    stack = STACKS[package]
    module = make_module(stack)
    callback = MixCallback(midmix.balanced_am_mixup(num_classes=3))
    trainer = make_trainer(stack, callback, tmp_path, max_epochs=6, enable_checkpointing=False, **options)
    trainer.fit(module, loader(), loader())
    assert set(module.rows) == {32}  # both owners
    assert module.ratios[0] == 1.0
    assert module.ratios[-1] < 0.8
    assert float(trainer.callback_metrics["mix_ratio"]) == pytest.approx(float(callback.mixing.ratio.value))
    assert float(trainer.callback_metrics["val_loss"]) < 0.8
    assert not hasattr(module, "mix")  # what is left is the module as it was
    assert module.train()(torch.zeros(5, 4)).shape == (5, 3)


def test_a_resumed_run_goes_on_with_the_ratio_it_had(tmp_path):
    stack = STACKS["lightning.pytorch"]

    def run(epochs, checkpoint=None):
        module, callback = make_module(stack), MixCallback(midmix.am_mixup(num_classes=3))
        trainer = make_trainer(stack, callback, tmp_path, max_epochs=epochs)
        torch.manual_seed(epochs)
        trainer.fit(module, loader(), ckpt_path=checkpoint)
        return module, trainer.checkpoint_callback.best_model_path, float(callback.mixing.ratio.value)

    first, checkpoint, ratio = run(2)
    second, _, _ = run(3, checkpoint)
    assert second.ratios[0] == ratio < 1
    assert set(first.state_dict()) == set(torch.load(checkpoint, weights_only=True)["state_dict"])


def test_a_training_step_that_does_not_ask_the_mix_is_stopped(tmp_path):
    stack = STACKS["lightning.pytorch"]
    module = make_module(stack, step="own")
    before = [p.clone() for p in module.parameters()]
    trainer = make_trainer(
        stack, MixCallback(midmix.am_mixup(3)), tmp_path, max_epochs=1, enable_checkpointing=False
    )
    with pytest.raises(InputError, match=r"return self\.mix\.loss\(logits\)"):
        trainer.fit(module, loader())
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    assert module.train()(torch.zeros(5, 4)).shape == (5, 3)


def test_a_part_of_the_module_may_be_named(tmp_path):
    stack = STACKS["lightning.pytorch"]
    module = make_module(stack)
    callback = MixCallback(midmix.mixup(num_classes=3), network="net")
    make_trainer(stack, callback, tmp_path, max_epochs=1, enable_checkpointing=False).fit(module, loader())
    assert set(module.rows) == {16}


def test_labels_are_found_or_asked_for():
    labels = torch.tensor([0, 1])
    assert batch_labels((None, labels)) is labels
    assert batch_labels({"image": None, "label": labels}) is labels
    for strange in ([labels], {"image": labels}, labels):
        with pytest.raises(InputError, match="labels=lambda batch"):
            batch_labels(strange)


def test_without_lightning_the_extra_is_named(monkeypatch):
    for package in PACKAGES:
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "midmix.integrations.lightning")
    with pytest.raises(ImportError, match=r"pip install 'midmix\[lightning\]'"):
        importlib.import_module("midmix.integrations.lightning")
