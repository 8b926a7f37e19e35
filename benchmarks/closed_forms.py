"""Closed forms and convex fits on a comparison's own splits: what a head over fixed features must stand beside.

    python benchmarks/closed_forms.py                                         # digits: some seconds
    python benchmarks/closed_forms.py embeddings/ --imbalance 100 --seeds 5 --beside comparison

Prints Markdown. Every classifier standardises the features by the training rows and is fitted on the rows that
`midmix compare` draws for the same seed. With `--beside` (the folder that `compare --out` wrote) the difference of each
from each line of that comparison follows, paired over seeds and test rows. Their settings are fixed here, not tuned:
they come from earlier trials on features of CIFAR-10, see `docs/results/embeddings-cifar10.md`.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from midmix.data import Labelled, load
from midmix.measures import Outputs
from midmix.reports import read_comparison, tested_runs
from midmix.reports.outcomes import RunKey, Tested, interval_of
from midmix.training import draw_split
from midmix.training.run import hardware

MEASURES = ("accuracy", "balanced_accuracy", "few")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", nargs="?", default="digits", help="as compare takes it (%(default)s)")
    parser.add_argument("--imbalance", type=float, default=50, help="largest by smallest class (%(default)s)")
    parser.add_argument("--profile", choices=("exp", "step"), default="exp", help="of counts (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="splits drawn (%(default)s)")
    parser.add_argument("--beside", type=Path, metavar="FOLDER", help="a comparison with the same splits")
    given = parser.parse_args()

    names = ("scikit-learn", "numpy", "torch")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    print(
        f"{hardware(torch.device('cpu'))}; Python {platform.python_version()}, {versions}. n = {given.seeds}.\n"
    )
    print("| classifier | overall % | balanced % | few % | fit, s |\n|---|---|---|---|---|")

    source = load(given.source)
    splits = [
        draw_split(source, seed=seed, imbalance=given.imbalance, profile=given.profile)
        for seed in range(given.seeds)
    ]
    found: dict[str, dict[RunKey, Tested]] = {}
    for name, make in classifiers(len(source.train.classes)).items():
        found[name], seconds = {}, []
        for seed, split in enumerate(splits):
            model = make_pipeline(StandardScaler(), make())
            began = time.perf_counter()
            model.fit(_rows(split.train), split.train.labels.numpy())
            seconds.append(time.perf_counter() - began)
            logits = torch.from_numpy(model.decision_function(_rows(split.test)))
            outputs = Outputs(split.test.labels, logits, split.train.counts())
            found[name][RunKey(seed, split.hash)] = Tested(outputs, "", None)
        cells = [_cell(found[name], measure) for measure in MEASURES]
        print(f"| {name} | {' | '.join(cells)} | {np.mean(seconds):.2f} |", flush=True)

    if given.beside is None:
        return
    print("\n| difference | overall | balanced | few | n |\n|---|---|---|---|---|")
    for name, ours in found.items():
        for line, theirs in tested_runs(read_comparison(given.beside)).items():
            both = [key for key in ours if key in theirs]
            if both:
                mine = {key: ours[key] for key in both}
                cells = [_cell(mine, measure, theirs) for measure in MEASURES]
                print(f"| {name} − {line} | {' | '.join(cells)} | {len(both)} |")


def classifiers(classes: int) -> dict[str, Callable[[], Any]]:
    """Every row of the table: makes a classifier."""
    return {
        "LogisticRegression, balanced, C = .01": lambda: LogisticRegression(
            C=0.01, class_weight="balanced", max_iter=2000
        ),
        "RidgeClassifier, balanced, α = 1000": lambda: RidgeClassifier(alpha=1000, class_weight="balanced"),
        "LinearDiscriminantAnalysis, uniform prior, shrinkage .3": lambda: LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage=0.3, priors=np.full(classes, 1 / classes)
        ),
    }


def _rows(data: Labelled) -> np.ndarray[Any, Any]:
    """Features of all rows, `[N, D]`."""
    if not isinstance(data.inputs, torch.Tensor) or data.inputs.ndim != 2:
        raise SystemExit(
            "closed_forms.py: these classifiers take features, one row a sample; this source has images"
        )
    return data.inputs.double().numpy()


def _cell(runs: dict[RunKey, Tested], measure: str, against: Any = None) -> str:
    """Mean or paired difference in percent with its 95 % interval."""
    values = {key: _value(run, measure) for key, run in runs.items()}
    if against is not None:
        values = {key: value - _value(against[key], measure) for key, value in values.items()}
    interval, _ = interval_of(values, runs, measure, against)
    mean, low, high = (100 * value for value in (interval.mean, interval.low, interval.high))
    sign = "+" if against is not None else ""
    return f"{mean:{sign}.1f} [{low:.1f}, {high:.1f}]".replace("-", "−")


def _value(run: Tested, measure: str) -> float:
    rows = run.of(measure)
    return float("nan") if rows is None else float((rows.weights * rows.values).sum())


if __name__ == "__main__":
    main()
