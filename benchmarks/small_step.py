"""What a step of a small network costs beside a loop written by hand with the same arithmetic.

    python benchmarks/small_step.py                   # under a minute

Prints Markdown. An MLP 64-128-128-10 over the digits' training rows, batches of 64, SGD with Nesterov momentum, one
thread; processor time a step, so that other work on the machine counts little. Each repetition takes the loops in
turn; a ratio is the median over repetitions of ours by another's in the same repetition. The hand-written loop is there
twice: with torch's optimizer as it is by default, and with the fused one that ours takes, which rounds otherwise.
With `--evaluate`, both evaluate the test rows after each epoch, the hand-written loop by accuracy, likelihood and
accuracy by class.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from midmix.data import load
from midmix.methods import Method
from midmix.models import MLP, build, fit_normalization
from midmix.training import Fit, Settings, draw_split
from midmix.training.schedule import make_schedule

BATCH, RATE = 64, 0.05
SPLIT = draw_split(load("digits"), seed=0)
STEPS = math.ceil(len(SPLIT.train) / BATCH)


def by_hand(epochs: int, *, balanced: bool, fused: bool | None, evaluate: bool) -> float:
    """Seconds a step of the hand-written loop."""
    model = MLP((64,), 10)
    fit_normalization(model, SPLIT.train.inputs)
    settings = Settings(epochs=epochs, learning_rate=RATE)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in model.parameters() if p.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, RATE, settings.momentum, nesterov=True, fused=fused)
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
        if evaluate:
            measured(model)
    return (time.process_time() - started) / (epochs * STEPS)


def measured(model: MLP) -> tuple[float, float, list[float]]:
    """Accuracy, likelihood and accuracy by class of the test rows: the fewest operations that do it."""
    x, y = SPLIT.test.inputs, SPLIT.test.labels
    assert isinstance(x, torch.Tensor)
    model.eval()
    with torch.inference_mode():
        logits = model(x)
        right = logits.argmax(1) == y
        by_class = torch.zeros(10).scatter_add_(0, y, right.float()) / torch.bincount(y, minlength=10)
        found = float(right.float().mean()), float(F.cross_entropy(logits, y)), by_class.tolist()
    model.train()
    return found


def partners(labels: torch.Tensor) -> torch.Tensor:
    """A row of another class for each, classes with equal chance: the fewest operations that do it."""
    counts = torch.bincount(labels, minlength=10).float()
    weight = 1 / counts[labels]
    table = weight[None, :].expand(len(labels), -1) * (labels[:, None] != labels[None, :])
    return torch.multinomial(table, 1)[:, 0]


def ours(epochs: int, line: str, *, evaluate: bool) -> float:
    """Seconds a step of the training loop."""
    model = fit_normalization(build("mlp", (64,), 10, seed=0), SPLIT.train.inputs)
    method = Method.parse(line)
    mix, settings = method.make_mix(10, SPLIT.train.counts()), Settings(epochs=epochs, learning_rate=RATE)
    fit = Fit(model, mix, method.make_loss(), SPLIT, settings, seed=0)
    if not evaluate:
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
    parser.add_argument("--evaluate", action="store_true", help="the test rows after each epoch, in both")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"n = {given.repetitions} repetitions of {given.epochs * STEPS} steps, torch {torch.__version__}\n")
    print("| method | ours, µs a step | by hand, µs | ratio | by hand, fused optimizer, µs | ratio |")
    print("|---|---|---|---|---|---|")
    for line in ("erm", "balanced-am-mixup"):
        other = partial(by_hand, given.epochs, balanced=line != "erm", evaluate=given.evaluate)
        turns = [
            (ours(given.epochs, line, evaluate=given.evaluate), other(fused=None), other(fused=True))
            for _ in range(given.repetitions)
        ]
        mine, plain, fused = (1e6 * statistics.median(times) for times in zip(*turns, strict=True))
        ratios = [statistics.median(turn[0] / turn[i] for turn in turns) for i in (1, 2)]
        print(f"| {line} | {mine:.0f} | {plain:.0f} | {ratios[0]:.2f} | {fused:.0f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
