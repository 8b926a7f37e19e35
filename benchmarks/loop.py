"""What the training loop costs beside its steps: rows a second of `midmix.training.Fit` by those of a bare step.

    python benchmarks/loop.py                        # about two minutes
    python benchmarks/loop.py --repetitions 400      # narrower intervals

Prints Markdown. One process trains two copies of a network in turns: a step of the loop, which fetches rows,
augments, mixes, takes the loss, counts, and tells its watcher; then a bare step (forward, cross-entropy, backward,
optimizer) over a batch that lies ready as floats. A ratio is the median over repetitions of the bare step's time by the
loop's right before it, with a 95 % interval from the bootstrap. The loop's evaluations and checkpoints are not counted.
"""

from __future__ import annotations

import argparse
import copy
import gc
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from midmix.data import Labelled
from midmix.methods import Method
from midmix.models import build, describe, to_float
from midmix.training import Callback, Fit, Settings, Split, StepInfo
from midmix.training.hardware import hardware
from midmix.training.schedule import make_optimizer

CLASSES, SHAPE, BATCHES = 10, (3, 32, 32), 16
TARGET = 0.95
# The target is for the loop itself, and so for the first line; the others say what they add.
LINES = {
    "loop": ("erm", "none"),
    "loop with crop and flip": ("erm", "crop-flip"),
    "loop with crop and flip, balanced-am-mixup": ("balanced-am-mixup", "crop-flip"),
}


def main() -> None:
    """Measures every line and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="resnet-8", help="of midmix.models (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="rows a batch (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=100, help="of each line (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="processor threads")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall",
        help="cpu counts the process's own time: for a machine that others use too (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--check", action="store_true", help=f"exit with 1 where the loop is below {TARGET}")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    clock = time.perf_counter if given.clock == "wall" else time.process_time

    model = build(given.network, SHAPE, CLASSES, seed=0)
    print(
        f"{hardware(torch.device('cpu'))}; {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {torch.__version__}, accelerate {version('accelerate')}, midmix {version('midmix')}.\n"
        f"{describe(model)}, batches of {given.batch} uint8 images of {'×'.join(map(str, SHAPE))}, float32, "
        f"channels_last, SGD; n = {given.repetitions} steps of each, {given.clock} time.\n"
    )
    print("| | images a second | bare step | ratio [95 %] | target |\n|---|---|---|---|---|")
    held = True
    for name, (line, augment) in LINES.items():
        loop, bare = measure(copy.deepcopy(model), line, augment, given, clock)
        ratios = np.asarray(bare) / np.asarray(loop)
        draws = np.random.default_rng(0).choice(ratios, size=(4000, len(ratios)))
        low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
        says = ""
        if name == "loop":
            held = bool(np.median(ratios) >= TARGET)
            says = f"≥ {TARGET}, {'held' if held else 'missed'}"
        rates = [f"{given.batch / np.median(seconds):.0f}" for seconds in (loop, bare)]
        print(
            f"| {name} | {' | '.join(rates)} | {np.median(ratios):.3f} [{low:.3f}, {high:.3f}] | {says} |",
            flush=True,
        )
    if given.check and not held:
        sys.exit(1)


def measure(
    model: nn.Module, line: str, augment: str, given: argparse.Namespace, clock: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Seconds of every step of the loop, and of the bare step after each."""
    generator = torch.Generator().manual_seed(0)
    rows = given.batch * BATCHES
    images = torch.randint(256, (rows, *SHAPE), dtype=torch.uint8, generator=generator)
    labels = torch.randint(CLASSES, (rows,), generator=generator)
    data = Labelled(images, labels, tuple(map(str, range(CLASSES))))
    few = data.select(torch.arange(10))  # evaluations are not measured, and should not take long

    # The first step of an epoch is not counted, because an evaluation may lie before it; nor are two to warm up.
    epochs = -(-(given.repetitions + 2) // (BATCHES - 1))
    settings = Settings(
        network=given.network, epochs=epochs, batch_size=given.batch, augment=augment, evaluate_every=epochs
    )  # fmt: skip
    bare = copy.deepcopy(model).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = make_optimizer(bare, settings)
    floats = to_float(images).contiguous(memory_format=torch.channels_last)
    ready = [
        batch.contiguous(memory_format=torch.channels_last) for batch in torch.split(floats, given.batch)
    ]
    ready_labels = torch.split(labels, given.batch)
    loop_seconds: list[float] = []
    bare_seconds: list[float] = []
    resumed = 0.0

    def watch(moment: StepInfo) -> None:
        nonlocal resumed
        stepped = clock()
        place = moment.step - 1
        F.cross_entropy(bare(ready[place]), ready_labels[place]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        if moment.step > 1:
            loop_seconds.append(stepped - resumed)
            bare_seconds.append(clock() - stepped)
        else:
            gc.collect()  # never within what is measured
        resumed = clock()

    parsed = Method.parse(line)
    fit = Fit(
        model, parsed.make_mix(CLASSES, data.counts()), parsed.make_loss(), Split(data, few, None, ""), settings,
        seed=0, callback=Callback(on_step=watch, every=1),
    )  # fmt: skip
    gc.disable()
    fit.run()
    gc.enable()
    chosen = slice(2, 2 + given.repetitions)
    return loop_seconds[chosen], bare_seconds[chosen]


if __name__ == "__main__":
    main()
