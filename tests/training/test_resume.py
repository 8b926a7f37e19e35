"""A run that is interrupted and goes on ends as one that was not, to the bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from midmix.data import Source
from midmix.errors import InputError
from midmix.mixing.context import as_loss
from midmix.mixing.recipes import CORE
from midmix.training import Fit, Settings
from midmix.training.checkpoint import Checkpoints


class KilledError(Exception):
    """Stands for a kill, in the same process."""


def state(fit: Fit) -> dict[str, Tensor]:
    """Weights and running statistics, the optimizer's momentum, λ's accuracy and the priors."""
    tensors = {f"model.{name}": tensor for name, tensor in fit.model.state_dict().items()}
    tensors |= {f"mix.{name}": tensor for name, tensor in fit.mix.state_dict().items()}
    for number, held in fit.optimizer.state_dict()["state"].items():
        tensors |= {f"{number}.{name}": value for name, value in held.items() if isinstance(value, Tensor)}
    return tensors


def history(fit: Fit) -> list[dict[str, object]]:
    """Without the seconds; NaN as text, which equals itself."""
    return [{name: repr(value) for name, value in row.items() if name != "seconds"} for row in fit.history]


def assert_same(fit: Fit, other: Fit) -> None:
    ours, theirs = state(fit), state(other)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name
    assert history(fit) == history(other)


def stop_after(count: int):
    """A watcher that interrupts the run in the step with this number, before it can be saved."""
    steps = 0

    def watch(moment):
        nonlocal steps
        steps += 1
        if steps == count:
            raise KilledError

    return watch


def with_interruptions(make, at) -> Fit:
    """Trains to the end in several lives; `at` says after how many steps each life but the last ends."""
    for steps in at:
        with pytest.raises(KilledError):
            make(watch=stop_after(steps)).run()
    fit: Fit = make()
    fit.run()
    return fit


@pytest.mark.parametrize(
    "line", [*CORE, "cutmix", "saliency-mix", "balanced-am-mixup:clean_weight=1+balanced_softmax"]
)
def test_every_recipe_resumes_exactly(line, blobs, short, start, tmp_path):
    whole = start(blobs, short, line)
    whole.run()
    # 12 steps in all: within the first epoch, at its end, right after a start, and within the second.
    resumed = with_interruptions(
        lambda **more: start(blobs, short, line, folder=tmp_path, **more), (4, 3, 1, 5)
    )
    assert_same(resumed, whole)


@pytest.mark.parametrize(
    "changed",
    [
        {"accumulate": 4},
        {"optimizer": "adamw", "learning_rate": 1e-3},
        {"precision": "bf16"},
        {"evaluate_every": 2, "epochs": 3},
        {"batch_size": 200},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_every_setting_resumes_exactly(changed, blobs, short, start, tmp_path):
    settings = replace(short, **changed)
    whole = start(blobs, settings)
    whole.run()
    steps = whole.steps * settings.epochs
    lives = (steps // 2, 1) if steps > 2 else (2,)
    resumed = with_interruptions(lambda **more: start(blobs, settings, folder=tmp_path, **more), lives)
    assert_same(resumed, whole)


class WithDropout(nn.Module):
    """Draws from torch's own generator in every forward pass, and keeps running statistics."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(3)
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.4))
            self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.body(x).mean((2, 3)))
        return logits


def test_dropout_augmentation_and_decoded_images_resume_exactly(pictures, short, start, tmp_path):
    settings = replace(short, batch_size=8, augment="crop-flip+autoaugment+cutout", accumulate=2)

    def make(**more) -> Fit:
        fit: Fit = start(pictures, settings, "balanced-am-mixup", model=WithDropout(), **more)
        return fit

    torch.manual_seed(7)
    whole = make()
    whole.run()
    torch.manual_seed(8)  # nothing may depend on the caller's random state
    resumed = with_interruptions(lambda **more: make(folder=tmp_path, **more), (3, 3, 2))
    assert_same(resumed, whole)


def test_the_caller_keeps_its_random_state(blobs, short, start):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    start(blobs, short).run()
    assert torch.equal(torch.rand(3), expected)


def test_the_same_seed_gives_the_same_run_and_another_does_not(blobs, short, start):
    first, again, other = start(blobs, short), start(blobs, short), start(blobs, short, seed=1)
    for fit in (first, again, other):
        fit.run()
    assert_same(first, again)
    assert not torch.equal(state(first)["model.fc.weight"], state(other)["model.fc.weight"])


def test_a_truncated_newest_checkpoint_costs_steps_but_no_exactness(blobs, short, start, tmp_path):
    whole = start(blobs, short)
    whole.run()
    with pytest.raises(KilledError):
        start(blobs, short, folder=tmp_path, watch=stop_after(5)).run()
    newest = max(tmp_path.iterdir())
    assert newest.name == "step-00000004.pt"
    newest.write_bytes(newest.read_bytes()[:-300])
    said: list[str] = []
    resumed = start(blobs, short, folder=tmp_path)
    resumed.checkpoints = Checkpoints(tmp_path, said.append)
    resumed.run()
    assert len(said) == 1
    assert said[0].endswith("going on from step-00000003.pt")
    assert_same(resumed, whole)


def test_a_run_that_had_ended_does_nothing_more(blobs, short, start, tmp_path):
    whole = start(blobs, short, folder=tmp_path)
    whole.run()
    again = start(blobs, short, folder=tmp_path, watch=stop_after(1))
    again.run()
    assert_same(again, whole)


@pytest.mark.parametrize(
    ("changed", "line", "seed", "said"),
    [
        ({"network": "mlp-8"}, "am-mixup", 0, "network is 'mlp-16' there and 'mlp-8' here"),
        ({"epochs": 3}, "am-mixup", 0, "epochs is 2 there and 3 here"),
        ({}, "am-mixup:beta=0.5", 0, "ExponentialCurve(beta=0.5)"),
        ({}, "mixup", 0, "RandomPairs()"),
        ({}, "am-mixup+balanced_softmax", 0, "loss"),
        ({}, "am-mixup", 1, "seed is 0 there and 1 here"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(changed, line, seed, said, blobs, short, start, tmp_path):
    with pytest.raises(KilledError):
        start(blobs, short, folder=tmp_path, watch=stop_after(3)).run()
    before = sorted(path.name for path in tmp_path.iterdir())
    other: Settings = replace(short, **changed)
    with pytest.raises(InputError, match="is of another run") as error:
        start(blobs, other, line, seed=seed, folder=tmp_path).run()
    assert said in str(error.value)
    assert "choose another folder" in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_checkpoint_of_other_rows_is_refused(part, blobs, short, start, tmp_path):
    with pytest.raises(KilledError):
        start(blobs, short, folder=tmp_path, watch=stop_after(3)).run()
    rows = getattr(blobs, part)
    other: Source = replace(blobs, **{part: replace(rows, inputs=rows.inputs + 1)})
    with pytest.raises(InputError, match=f"is of another run .{part}_rows is"):
        start(other, short, folder=tmp_path).run()


def test_a_checkpoint_of_other_class_names_is_refused(blobs, short, start, tmp_path):
    with pytest.raises(KilledError):
        start(blobs, short, folder=tmp_path, watch=stop_after(3)).run()
    names = (*blobs.train.classes[1:], blobs.train.classes[0])
    other: Source = replace(
        blobs, train=replace(blobs.train, classes=names), test=replace(blobs.test, classes=names)
    )
    with pytest.raises(InputError, match=r"is of another run .class_names is"):
        start(other, short, folder=tmp_path).run()


def test_a_checkpoint_from_before_rows_were_written_down_goes_on(blobs, short, start, tmp_path):
    whole = start(blobs, short)
    whole.run()
    with pytest.raises(KilledError):
        start(blobs, short, folder=tmp_path, watch=stop_after(3)).run()
    saved = Checkpoints(tmp_path)
    old = saved.latest()
    assert old is not None
    for name in ("train_rows", "test_rows", "channels_last"):
        del old["run"][name]
    saved.save(2, old)
    resumed = start(blobs, short, folder=tmp_path)
    resumed.run()
    assert_same(resumed, whole)


def test_plain_data_that_is_no_checkpoint_is_refused(blobs, short, start, tmp_path):
    Checkpoints(tmp_path).save(1, {"weights": torch.ones(2)})
    with pytest.raises(InputError, match="is of another run"):
        start(blobs, short, folder=tmp_path).run()


def test_a_criterion_without_a_name_of_its_own_resumes(blobs, short, start, tmp_path):
    def losses(logits: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=0.1)

    def make(**more) -> Fit:
        fit: Fit = start(blobs, short, folder=tmp_path, **more)
        fit.loss = as_loss(lambda *given: losses(*given))  # at another address in every life
        return fit

    with_interruptions(make, (3,))
