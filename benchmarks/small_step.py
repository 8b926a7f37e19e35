"""What a step of a small network costs beside a loop written by hand with the same arithmetic.

    python benchmarks/small_step.py                   # under a minute

Prints Markdown. An MLP 64-128-128-10 over the digits' training rows, batches of 64, SGD with Nesterov momentum, one
thread; processor time a step, so that other work on the machine counts little. Each repetition takes both loops in
turn; a ratio is the median over repetitions of ours by the other's in the same repetition.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from midmix.data import load
from midmix.methods import Method
from midmix.models import MLP, build, fit_normalization
from midmix.training import Fit, Settings, draw_split
from midmix.training.schedule import make_optimizer, make_schedule

BATCH, RATE = 64, 0.05
SPLIT = draw_split(load("digits"), seed=0)
STEPS = math.ceil(len(SPLIT.train) / BATCH)


def by_hand(epochs: int, balanced: bool) -> float:
    """Seconds a step of the hand-written loop."""
    model = MLP((64,), 10)
    fit_normalization(model, SPLIT.train.inputs)
    settings = Settings(epochs=epochs, learning_rate=RATE)
    optimizer = make_optimizer(model, settings)
    schedule = make_schedule(optimizer, settings, STEPS)
    x, y = SPLIT.train.inputs, SPLIT.train.labels
    assert isinstance(x, torch.Tensor)
    right, seen, accuracy = torch.zeros(()), torch.zeros(()), torch.zeros(())
    started = time.process_time()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).tensor_split(STEPS):
            labels = y[rows]
            if not balanced:
                loss = F.cross_entropy(model(x[rows]), labels)
            else:
                z = model.features(x[rows])
                with torch.no_grad():
                    hits = (model.fc(z).argmax(1) == labels).float().sum()
                    right = right * 0.97 + hits
                    seen = seen * 0.97 + len(labels)
                    accuracy = right / seen
                    share = torch.exp(-0.67 * accuracy)
                partner = partners(labels)
                owner = torch.cat([torch.arange(len(rows)), partner])
                other = torch.cat([partner, torch.arange(len(rows))])
                mixed = torch.lerp(z[other], z[owner], share.expand(len(owner))[:, None])
                loss = F.cross_entropy(model.fc(mixed), labels[owner])
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return (time.process_time() - started) / (epochs * STEPS)


def partners(labels: torch.Tensor) -> torch.Tensor:
    """A row of another class for each, classes with equal chance: the fewest operations that do it."""
    counts = torch.bincount(labels, minlength=10).float()
    weight = 1 / counts[labels]
    table = weight[None, :].expand(len(labels), -1) * (labels[:, None] != labels[None, :])
    return torch.multinomial(table, 1)[:, 0]


def ours(epochs: int, line: str) -> float:
    """Seconds a step of the training loop."""
    model = fit_normalization(build("mlp", (64,), 10, seed=0), SPLIT.train.inputs)
    method = Method.parse(line)
    mix, settings = method.make_mix(10, SPLIT.train.counts()), Settings(epochs=epochs, learning_rate=RATE)
    fit = Fit(model, mix, method.make_loss(), SPLIT, settings, seed=0)
    untyped: Any = fit
    untyped.evaluate = dict  # steps alone
    started = time.process_time()
    fit.run()
    return (time.process_time() - started) / (epochs * STEPS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=20, help="of each loop (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=7, help="(default: %(default)s)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
        "erm": (lambda: ours(given.epochs, "erm"), lambda: by_hand(given.epochs, balanced=False)),
        "balanced-am-mixup": (
            lambda: ours(given.epochs, "balanced-am-mixup"),
            lambda: by_hand(given.epochs, balanced=True),
        ),
    }
    print(f"n = {given.repetitions} repetitions of {given.epochs * STEPS} steps, torch {torch.__version__}\n")
    print("| method | ours, µs a step | by hand, µs a step | ratio |\n|---|---|---|---|")
    for name, (one, other) in lines.items():
        pairs = [(one(), other()) for _ in range(given.repetitions)]
        ratio = statistics.median(a / b for a, b in pairs)
        means = [1e6 * statistics.median(values) for values in zip(*pairs, strict=True)]
        print(f"| {name} | {means[0]:.0f} | {means[1]:.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
