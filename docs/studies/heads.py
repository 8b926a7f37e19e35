"""The discriminant, untuned, beside the classifiers of fixed features that are tuned on training rows.

    python docs/studies/heads.py EMBEDDINGS                    # all grounds, ten seeds: some 20 processor-minutes
    python docs/studies/heads.py EMBEDDINGS --only "digits"    # grounds whose names contain this

Prints Markdown, a ground as soon as it is measured. EMBEDDINGS holds `cifar10/train.parquet` (`embedding`, `label`) and
`tiny-imagenet/train.parquet` (`embedding`, `fine_label`, `coarse_label`). Of each set's *training* file a fixed part of
each class is the test split and the rest the pool that long-tailed training rows are drawn from, with the ranks of
classes, by each seed; the sets' own test files, on which the discriminant was made, are not read. Ratios, profiles and
subsets of classes are others too, save those of the first three grounds. Rivals are balanced logistic and ridge
regression and shrunk linear discriminants, each with the best value of a grid by balanced accuracy over three folds of
the training rows of the first seed. Intervals count seeds and test rows (`midmix.studies.statistics.crossed`).
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from midmix.data import Labelled, Source, load
from midmix.errors import InputError
from midmix.measures import confusion_matrix
from midmix.methods import Method
from midmix.models import Normalize, fit_normalization
from midmix.studies.search import FOLDS, folds_of
from midmix.studies.statistics import Interval, crossed, holm
from midmix.training import draw_split

OURS = "discriminant"
GRIDS: dict[str, list[str]] = {
    "logistic": [f"logistic:C={value:g}" for value in np.logspace(-6, 1, 15)],
    "ridge": [f"ridge:alpha={value:g}" for value in np.logspace(-1, 5, 13)],
    "lda": [
        f"lda:shrinkage={value}" for value in ("auto", 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
    ],
}
SPLIT, FIRST = 7, 100
"""Seed of the part of each class that is tested, and the first seed of training: none of them was used before."""


@dataclass(frozen=True)
class Ground:
    """Where heads are compared: a source by its rows, and how training rows are drawn from its pool."""

    name: str
    source: Callable[[Path], Source]
    imbalance: float
    profile: Literal["exp", "step"] = "exp"


def embedded(
    folder: str, label: str, tested: int, *, pool: int | None = None, classes: int | None = None
) -> Callable[[Path], Source]:
    """A set's training file, so many rows of each fine class tested, so many of the rest (None: all) the pool."""

    def read(embeddings: Path) -> Source:
        table = pd.read_parquet(embeddings / folder / "train.parquet")
        fine = table["fine_label" if "fine_label" in table else "label"].to_numpy()
        random = np.random.default_rng(SPLIT)
        chosen = random.permutation(np.unique(fine))[:classes]
        train, test = [], []
        for one in chosen:
            rows = random.permutation(np.flatnonzero(fine == one))
            test.append(rows[:tested])
            train.append(rows[tested:][:pool])
        inputs = torch.from_numpy(np.stack(table["embedding"].to_list()).astype(np.float32))
        names, numbers = np.unique(table[label].to_numpy(), return_inverse=True)
        kept, numbers = np.unique(numbers[np.concatenate(train)]), numbers
        places = np.full(len(names), -1)
        places[kept] = np.arange(len(kept))
        labels = torch.from_numpy(places[numbers])

        def rows_of(parts: list[np.ndarray]) -> Labelled:
            rows = torch.from_numpy(np.concatenate(parts))
            return Labelled(inputs[rows], labels[rows], tuple(str(names[one]) for one in kept))

        return Source(folder, rows_of(train), rows_of(test))

    return read


GROUNDS = [
    Ground("CIFAR-10, ratio 100", embedded("cifar10", "label", 1000), 100),
    Ground("Tiny-ImageNet, 186 classes, ratio 50", embedded("tiny-imagenet", "fine_label", 50), 50),
    Ground("Tiny-ImageNet, 19 groups, ratio 50", embedded("tiny-imagenet", "coarse_label", 50), 50),
    Ground("CIFAR-10, ratio 10", embedded("cifar10", "label", 1000), 10),
    Ground("CIFAR-10, ratio 200", embedded("cifar10", "label", 1000), 200),
    Ground("CIFAR-10, ratio 50, step", embedded("cifar10", "label", 1000), 50, "step"),
    Ground("CIFAR-10, at most 200 rows a class, ratio 20", embedded("cifar10", "label", 1000, pool=200), 20),
    Ground("Tiny-ImageNet, 186 classes, ratio 10", embedded("tiny-imagenet", "fine_label", 50), 10),
    Ground(
        "Tiny-ImageNet, 40 classes, ratio 20", embedded("tiny-imagenet", "fine_label", 50, classes=40), 20
    ),
    Ground("Tiny-ImageNet, 19 groups, ratio 200", embedded("tiny-imagenet", "coarse_label", 50), 200),
    Ground("digits, 64 pixels, ratio 20", lambda _: load("digits"), 20),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("embeddings", type=Path)
    parser.add_argument("--seeds", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--only", default="", help="grounds whose names contain this")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| ground | rows | discriminant | logistic | ridge | lda | less logistic | less ridge | less lda | chosen |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    started = time.process_time()
    found: list[tuple[str, str, Interval]] = []
    for ground in GROUNDS:
        if given.only in ground.name:
            found += measure(ground, ground.source(given.embeddings), given.seeds)
    corrected = holm(np.array([interval.p for *_, interval in found]))
    minutes = (time.process_time() - started) / 60
    print(f"\nHolm's correction over {len(found)} differences; processor-minutes: {minutes:.1f}")
    for (ground_name, rival, interval), p in zip(found, corrected, strict=True):
        verdict = "holds" if p < 0.05 else "not told apart"
        print(f"- {ground_name}: less {rival} {text(interval)}, corrected p {p:.3g}: {verdict}")


def measure(ground: Ground, source: Source, seeds: int) -> list[tuple[str, str, Interval]]:
    """Prints the ground's row; returns the differences of the discriminant from each rival."""
    methods, right = {OURS: OURS}, {name: list[Tensor]() for name in (OURS, *GRIDS)}
    rows = []
    for seed in range(FIRST, FIRST + seeds):
        split = draw_split(
            source, seed=seed, imbalance=ground.imbalance, profile=ground.profile, ranks="drawn"
        )
        rows.append(len(split.train))
        if seed == FIRST:
            methods |= {name: tuned(grid, split.train) for name, grid in GRIDS.items()}
        for name, method in methods.items():
            right[name].append((decided(method, split.train, split.test) == split.test.labels).double())
    labels = source.test.labels.numpy()
    share = 1 / np.bincount(labels)[labels] / len(np.unique(labels))
    values = {name: torch.stack(found).numpy() for name, found in right.items()}
    weights = np.tile(share, (seeds, 1))
    mean = {name: f"{100 * float((found * weights).sum(1).mean()):.1f}" for name, found in values.items()}
    less = {rival: crossed(values[OURS] - values[rival], weights, labels) for rival in GRIDS}
    chosen = ", ".join(methods[name].partition(":")[2] for name in GRIDS)
    cells = [ground.name, f"{np.mean(rows):,.0f}", *mean.values(), *map(text, less.values()), chosen]
    print(f"| {' | '.join(cells)} |", flush=True)
    return [(ground.name, rival, interval) for rival, interval in less.items()]


def tuned(grid: list[str], train: Labelled) -> str:
    """The method with the highest balanced accuracy over the held-out rows of all folds; of equal ones the first."""
    folds = folds_of(train.labels, FOLDS, seed=FIRST)

    def score(method: str) -> float:
        matrix = torch.zeros(len(train.classes), len(train.classes), dtype=torch.long)
        for held_out in folds:
            rest = torch.ones(len(train), dtype=torch.bool)
            rest[held_out] = False
            others, own = train.select(rest.nonzero().flatten()), train.select(held_out)
            try:
                matrix += confusion_matrix(
                    torch.nn.functional.one_hot(decided(method, others, own), len(train.classes)).double(),
                    own.labels,
                )
            except InputError:
                return -1.0
        return float((matrix.diagonal() / matrix.sum(1)).nanmean())

    return max(grid, key=score)


def decided(method: str, train: Labelled, test: Labelled) -> Tensor:
    """Classes of the test rows by a classifier of the training rows, both standardised by the latter."""
    normalize = Normalize(train.shape)
    assert isinstance(train.inputs, Tensor)
    assert isinstance(test.inputs, Tensor)
    fit_normalization(normalize, train.inputs)
    baseline = Method.parse(method).make_baseline()
    assert baseline is not None
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of fits that have not quite converged
        scores = baseline.fit(normalize(train.inputs.float()).clone(), train.labels, len(train.classes), 0)
        return scores(normalize(test.inputs.float())).argmax(1)


def text(interval: Interval) -> str:
    return f"{100 * interval.mean:+.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]".replace(
        "-", "−"
    )


if __name__ == "__main__":
    main()
