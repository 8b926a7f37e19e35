"""An encoder kept, lightly tuned and trained through, and a network from scratch, on the same long-tailed images.

    python docs/studies/encoders.py DATA cifar10 --out encoders/cifar10
    python docs/studies/encoders.py DATA tiny-imagenet-32 --label fine_label --rows 100 --test-rows 10 --epochs 5 \\
        --out encoders/tiny-imagenet

DATA holds a folder of Parquet files a set, `train.parquet` and `test.parquet`, with images and labels. Of each class
the first `--rows` training images are the pool that long-tailed rows are drawn from (ratio 100, ranks of classes by the
seed), and the first `--test-rows` test images are tested. The encoder is `docs/efficientnet_lite0.py`. Every part is a
folder of `midmix compare`: what is finished is not run again, and what is interrupted goes on. Prints Markdown, a row a
part and line: balanced accuracy and that of the rarest classes, mean over seeds, and the paired difference from the
same line from scratch; intervals count seeds and test rows (`midmix.studies.statistics.crossed`).
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from midmix import data
from midmix.data import Labelled, Source
from midmix.methods import Method
from midmix.models import ImageInputs, find_encoder
from midmix.studies import compare
from midmix.studies.runner import RUNS
from midmix.studies.statistics import Interval, crossed
from midmix.training import Run, Settings, embedded
from midmix.training.run_folder import read_predictions

ENCODER = Path(__file__).resolve().parents[1] / "efficientnet_lite0.py"
LINES = ("erm+balanced_softmax", "balanced-midpoint+balanced_softmax", "balanced-am-mixup+balanced_softmax")
CLOSED = ("discriminant", "ridge", "logistic")
PARTS = ("head@112", "head", "scratch", "light", "all")
"""In the order of what they cost; `head@112` has images of 112 pixels."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("set")
    parser.add_argument("--label", default="label")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--methods", nargs="+", default=list(LINES))
    parser.add_argument("--rows", type=int, default=200, help="of each class, at most (default: %(default)s)")
    parser.add_argument("--test-rows", type=int, default=100, help="of each class (default: %(default)s)")
    parser.add_argument(
        "--epochs", type=int, default=10, help="of light and all alike (default: %(default)s)"
    )
    parser.add_argument("--scratch-epochs", type=int, default=60, help="of a ResNet-8 (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {part: carried_out(part, given) for part in given.parts}
    print(f"{given.set}: at most {given.rows} rows a class, ratio 100, {given.seeds} seeds\n")
    print("| part | line | balanced accuracy % | rarest % | each seed | less from scratch | minutes |")
    print("|---|---|---|---|---|---|---|")
    for part, results in found.items():
        for line, runs in results.groupby("method", sort=False):
            print(row(given.out, part, str(line), runs))


def carried_out(part: str, given: argparse.Namespace) -> pd.DataFrame:
    """The results of one part, at the last epoch, a row a line and seed."""
    started, folder = time.process_time(), given.out / part
    name = f"{ENCODER}:lite0_at_{112 if part.endswith('@112') else 64}"
    tune = part.partition("@")[0]
    if part == "scratch":
        source = subset(given, {})
        settings = Settings.for_kind("images", network="resnet-8", epochs=given.scratch_epochs)
    else:
        encoder = find_encoder(name)
        assert isinstance(encoder.inputs, ImageInputs)
        source = subset(given, {**encoder.inputs.reading(), "lazy": tune == "head"})
        if tune == "head":
            source = embedded(source, encoder)
            settings = Settings.for_rows(source.train, network=name, tune=tune)
        else:
            settings = Settings.for_kind(
                "images", network=name, tune=tune, epochs=given.epochs, augment="none"
            )
    settings = replace(settings, evaluate_every=settings.epochs)
    closed = CLOSED if tune == "head" else ()
    lines = [Method.parse(text) for text in (*given.methods, *closed)]
    results = compare(source, lines, folder, settings, seeds=given.seeds, imbalance=100, jobs=1)
    print(
        f"{part}: {(time.process_time() - started) / 60:.1f} processor-minutes in this turn; {settings}\n",
        flush=True,
    )
    return results[results["epoch_choice"] == "last"]


def subset(given: argparse.Namespace, reading: dict[str, Any]) -> Source:
    """The first rows of each class."""
    whole = data.load(given.data / given.set, label=given.label, **{"lazy": False, **reading})
    return replace(
        whole, train=first(whole.train, given.rows), test=first(whole.test, given.test_rows), reading={}
    )


def first(rows: Labelled, most: int) -> Labelled:
    """At most so many rows of each class, the first in the file."""
    places: list[Tensor] = [
        (rows.labels == label).nonzero().flatten()[:most] for label in range(len(rows.classes))
    ]
    return rows.select(torch.cat(places))


def right(folder: Path, line: str, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether each test row is decided as labelled, `[S, R]`, and the labels."""
    runs = [Run(Method.parse(line), seed, Settings()) for seed in range(seeds)]
    found = [read_predictions(folder / RUNS / run.name) for run in runs]
    return np.stack([(one.logits.argmax(1) == one.labels).numpy() for one in found]).astype(float), (
        found[0].labels.numpy()
    )


def row(out: Path, part: str, line: str, runs: pd.DataFrame) -> str:
    """Of the table."""
    seeds = len(runs)
    values, labels = right(out / part, line, seeds)
    share = np.tile(1 / np.bincount(labels)[labels] / len(np.unique(labels)), (seeds, 1))
    less = ""
    if part != "scratch" and (out / "scratch" / RUNS / Run(Method.parse(line), 0, Settings()).name).is_dir():
        less = text(crossed(values - right(out / "scratch", line, seeds)[0], share, labels), sign="+")
    each = ", ".join(f"{100 * value:.1f}" for value in runs.sort_values("seed")["balanced_accuracy"])
    mean, few = text(crossed(values, share, labels)), 100 * runs["few"].mean()
    return f"| {part} | `{line}` | {mean} | {few:.1f} | {each} | {less} | {runs['seconds'].sum() / 60:.1f} |"


def text(interval: Interval, sign: str = "") -> str:
    found = f"{100 * interval.mean:{sign}.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    return found.replace("-", "−")


if __name__ == "__main__":
    main()
