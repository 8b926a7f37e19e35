"""What test_distributed.py starts in two processes; the reference for one process is made with the same functions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from midmix.data import Labelled, Source
from midmix.errors import InputError
from midmix.methods import Method
from midmix.mixing import BetaRatio, Hidden, Mix, Pairing, Ratio
from midmix.mixing.context import as_loss
from midmix.models import build
from midmix.training import Callback, ClassBalancedSampler, Fit, Run, Settings, Split, predict, train_run
from midmix.training.seeds import stream
from midmix.training.shared import accuracy_shared, predict_shared

SEED = 4
# Seven batches an epoch of 29 and 28 rows, so that the two processes have unequal parts; 56 steps.
SETTINGS = Settings(
    network="mlp-16", epochs=8, batch_size=32, learning_rate=0.05, warmup_epochs=1, evaluate_every=4
)
CASES = {
    "erm": ("erm", SETTINGS),
    "mixup": ("mixup", SETTINGS),
    "mixup, a ratio a row": ("mixup:per_row=true", SETTINGS),
    "manifold-mixup": ("manifold-mixup", SETTINGS),
    "am-mixup": ("am-mixup", SETTINGS),
    "am-mixup, epoch's balanced accuracy": ("am-mixup:accuracy=epoch:balanced_accuracy=true", SETTINGS),
    "balanced-am-mixup": ("balanced-am-mixup", SETTINGS),
    "balanced-am-mixup, all": ("balanced-am-mixup:clean_weight=1+balanced_softmax", SETTINGS),
    "balanced-am-mixup, accumulated": (
        "balanced-am-mixup+balanced_softmax",
        replace(SETTINGS, accumulate=3, epochs=24, evaluate_every=12),
    ),
    "rows by a power of the count": ("erm+power:exponent=0.3", SETTINGS),
    "rows class-balanced, balanced-am-mixup": ("balanced-am-mixup+balanced_softmax+class_balanced", SETTINGS),
    "rows by effective numbers": ("erm+effective_share:beta=0.9", SETTINGS),
    "rows progressively balanced": ("erm+balanced_softmax+progressive", SETTINGS),
    "rows repeated": ("erm+repeat_factor:threshold=0.3", SETTINGS),
    "rows in groups of a class": ("am-mixup+m_per_class:m=3", SETTINGS),
}


def data() -> Source:
    """200 rows of five classes, 90 to 5 a class."""
    generator = torch.Generator().manual_seed(9)
    labels = torch.repeat_interleave(torch.arange(5), torch.tensor([90, 60, 30, 15, 5]))
    centres = torch.randn(5, 8, generator=generator)
    rows = centres[labels] + torch.randn(200, 8, generator=generator)
    part = Labelled(rows, labels, tuple("abcde"))
    return Source("clouds", part, part.select(torch.arange(0, 200, 3)))


def fit_of(case: str, change: Callable[[Mix], None] = lambda mix: None) -> tuple[Fit, list[float]]:
    """A run that is not started yet, and the list of λ after every update that it will fill."""
    text, settings = CASES[case]
    line, source = Method.parse(text), data()
    # Without the classes' counts, so that both priors are learnt: from the batches of all processes.
    mix = line.make_mix(5)
    if line.mix.name == "manifold-mixup":
        mix.site = Hidden("hidden.0")  # each process draws its own site of several; one is the same for all
    change(mix)
    model = build(settings.network, (8,), 5, seed=SEED)
    split = Split(source.train, source.test, None, "all")
    fit = Fit(model, mix, line.make_loss(), split, settings, seed=SEED, order=line.make_order())
    ratios: list[float] = []
    step = fit.schedule.step

    def watched(*given: Any) -> None:
        ratios.append(float(fit.mix.ratio.value))
        step(*given)

    fit.schedule.step = watched  # type: ignore[assignment, method-assign]
    return fit, ratios


def outcome(fit: Fit, ratios: list[float]) -> dict[str, Any]:
    """Trains; what must be the same on one process and on two."""
    history = fit.run()
    return {
        "ratios": ratios,
        "weights": dict(fit.model.state_dict()),
        "mix": dict(fit.mix.state_dict()),
        "losses": [row["train_loss"] for row in history],
        "tested": [row["test_accuracy"] for row in history],
    }


@dataclass(frozen=True)
class HalfPairs:
    """The inner pairing in either half of the batch, with the generator of the process that has that half."""

    pairing: Pairing
    generators: list[torch.Generator]

    def __call__(self, labels: Tensor, num_classes: int, generator: Any = None) -> Tensor:
        first, second = labels.tensor_split(2)
        partners = [
            self.pairing(half, num_classes, drawn)
            for half, drawn in zip((first, second), self.generators, strict=True)
        ]
        return torch.cat([partners[0], partners[1] + len(first)])


class HalfRatio(Ratio):
    """The inner ratio, drawn for either half in the same way."""

    def __init__(self, ratio: BetaRatio, generators: list[torch.Generator]) -> None:
        super().__init__()
        self.ratio, self.generators = ratio, generators

    @property
    def value(self) -> Tensor:
        return self.ratio.value

    def draw(self, labels: Tensor, generator: Any = None) -> Tensor:
        halves = zip(labels.tensor_split(2), self.generators, strict=True)
        return torch.cat([self.ratio.draw(half, drawn) for half, drawn in halves])


def draw_as_two(mix: Mix) -> None:
    """Makes one process draw what two would."""
    generators = [torch.Generator().manual_seed(stream(SEED, 1 + rank)) for rank in (0, 1)]
    mix.pairing = HalfPairs(mix.pairing, generators)
    if isinstance(mix.ratio, BetaRatio):
        mix.ratio = HalfRatio(mix.ratio, generators)


def compare_with_one(folder: Path) -> None:
    """Trains every case on these processes; what each ended with goes into a file of its own."""
    rank = Accelerator().process_index
    found: dict[str, Any] = {case: outcome(*fit_of(case)) for case in CASES}
    labels = data().train.labels
    sampler = ClassBalancedSampler(labels, 101, seed=SEED)
    sampler.set_epoch(2)
    found["sampler"] = list(sampler)
    found["shared"] = shared_predictions()
    found["whole"], found["sharded"] = with_weights("whole"), with_weights("sharded")
    try:
        source = data()
        few = source.train.select(torch.tensor([0, 100, 199]))
        settings = replace(SETTINGS, batch_size=2)
        Fit(build("mlp-4", (8,), 5), Method.parse("erm").make_mix(5), Method.parse("erm").make_loss(),
            Split(few, source.test, None, ""), settings, seed=0)  # fmt: skip
    except InputError as error:
        found["too few rows"] = str(error)
    torch.save(found, folder / f"rank{rank}.pt")


def many_rows() -> Labelled:
    """Rows of three batches of evaluation, the last of them short."""
    inputs = torch.randn(2345, 8, generator=torch.Generator().manual_seed(3))
    return Labelled(inputs, torch.arange(2345) % 5, tuple("abcde"))


def shared_predictions() -> dict[str, Any]:
    """What all processes make of many rows, and of fewer than one batch each."""
    accelerator, model, rows = Accelerator(), build("mlp-16", (8,), 5, seed=SEED), many_rows()
    few = predict_shared(accelerator, model, rows.select(torch.arange(7)))
    found = predict_shared(accelerator, model, rows)
    broken = rows.select(torch.arange(1500))
    inputs = Unreadable(broken.inputs) if accelerator.process_index else broken.inputs
    problem = ""
    try:
        predict_shared(accelerator, model, replace(broken, inputs=inputs))
    except InputError as error:
        problem = str(error)
    return {
        "logits": found.logits, "features": found.features, "few": few.logits, "problem": problem,
        "accuracy": accuracy_shared(accelerator, model, rows),
    }  # fmt: skip


def with_weights(kind: str) -> dict[str, Any]:
    """A loop of one's own, its weights on every process or sharded over them, as Accelerate's FSDP 2 shards them."""
    torch.manual_seed(SEED + Accelerator().process_index)
    model, rows = build("mlp-16", (8,), 5, seed=SEED), data().train
    mix = Method.parse("balanced-am-mixup").make_mix(5).attach(model)
    network: Any = DistributedDataParallel(model) if kind == "whole" else fully_shard(model)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for batch in torch.arange(200).tensor_split(5):
        ours = batch[Accelerator().process_index :: 2]
        with mix(rows.labels[ours]):
            logits = network(rows.inputs[ours])
        mix.loss(logits).backward()
        optimizer.step()
        optimizer.zero_grad()
    kept = [p.to_local() if isinstance(p, DTensor) else p for p in network.parameters()]
    logits = predict(model, rows).logits
    return {"kept": sum(part.numel() for part in kept), "ratio": float(mix.ratio.value), "logits": logits}


@dataclass(frozen=True)
class Unreadable:
    """Rows that one process cannot read."""

    inputs: Any
    shape: tuple[int, ...] = (8,)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: Tensor) -> Tensor:
        raise InputError("row 1001: broken image")

    def select(self, rows: Tensor) -> Unreadable:
        return self


class KilledError(Exception):
    """Stands for a kill of all processes at once."""


def interrupt_and_resume(folder: Path) -> None:
    """Trains one run at a stretch and one in three lives."""
    rank = Accelerator().process_index
    settings = replace(SETTINGS, epochs=3, accumulate=2)
    run = Run(Method.parse("balanced-am-mixup+balanced_softmax"), 1, settings)
    told: list[int] = []
    callback = Callback(on_step=lambda moment: told.append(moment.step), every=1)
    # Each process has a folder of its own here: only that of the main one may be made.
    train_run(run, data(), folder / f"of-rank{rank}", callback=callback)
    (folder / f"told-rank{rank}").write_text(str(len(told)))
    save, left = Fit._save_if_due, 0

    def interrupted(fit: Fit) -> None:
        nonlocal left
        save(fit)
        left -= 1
        if left == 0:
            raise KilledError

    Fit._save_if_due = interrupted  # type: ignore[assignment, method-assign]
    for left in (3, 5, -1):  # noqa: B007
        try:
            train_run(run, data(), folder / "resumed", checkpoint_seconds=0)
        except KilledError:
            Accelerator().wait_for_everyone()
    assert not (folder / "resumed" / "checkpoints").exists()


def stop_together(folder: Path) -> None:
    """A loss that is NaN on one process only stops both, in the same step, with the same words."""
    fit, _ = fit_of("erm")
    calls = 0

    def criterion(logits: Tensor, labels: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        return losses * torch.nan if (calls, fit.rank) == (5, 1) else losses

    fit.loss = as_loss(criterion)
    try:
        fit.run()
    except InputError as error:
        (folder / f"stop-rank{fit.rank}").write_text(str(error))


if __name__ == "__main__":
    torch.set_num_threads(1)
    globals()[sys.argv[1]](Path(sys.argv[2]))
    if sys.argv[1] == "interrupt_and_resume":
        stop_together(Path(sys.argv[2]))
    torch.distributed.barrier()
    sys.stdout.flush()
    os._exit(0)  # taking gloo down can abort the process after its work is done: its threads are not joined
