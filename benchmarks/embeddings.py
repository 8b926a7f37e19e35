"""A head over cached embeddings: `MidmixClassifier` beside scikit-learn's and imbalanced-learn's classifiers.

    python benchmarks/embeddings.py --quick          # 20,000 × 64, 20 classes: about a minute
    python benchmarks/embeddings.py                  # 200,000 × 256, 100 classes: tens of minutes
    python benchmarks/embeddings.py --only midmix MLPClassifier

Prints Markdown, a row as soon as it is measured. Features are synthetic and long-tailed (exponential profile): every
class is two Gaussian clouds in 32 dimensions, seen through a random layer with a ReLU; test rows are 50 of each class.
Times are of `fit` in one process, one after the other, standardisation included. Networks train ten epochs.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from imblearn.ensemble import BalancedBaggingClassifier
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from midmix.integrations import MidmixClassifier
from midmix.training.hardware import hardware

EPOCHS, BATCH, HIDDEN, LATENT, TEST_ROWS = 10, 512, 128, 32, 50
Rows = tuple[NDArray[np.float32], NDArray[np.int64]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000, help="training rows (default: %(default)s)")
    parser.add_argument("--width", type=int, default=256, help="features a row (default: %(default)s)")
    parser.add_argument("--classes", type=int, default=100, help="classes (default: %(default)s)")
    parser.add_argument(
        "--imbalance", type=float, default=100, help="largest by smallest class (%(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=1, help="data and training drawn anew (%(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="processor threads")
    parser.add_argument("--quick", action="store_true", help="20,000 rows, 64 features, 20 classes")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="lines whose names contain one of these")
    given = parser.parse_args()
    if given.quick:
        given.rows, given.width, given.classes = 20_000, 64, 20
    torch.set_num_threads(given.threads)
    MidmixClassifier(epochs=1).fit(
        *draw(1000, 8, 4, 10, 0)[0]
    )  # what torch does at first use is no row's time

    names = ("midmix", "torch", "scikit-learn", "imbalanced-learn", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    print(
        f"{hardware(torch.device('cpu'))}; Python {platform.python_version()}, {versions}.\n"
        f"{given.rows:,} × {given.width} float32, {given.classes} classes, imbalance ratio {given.imbalance:g}; "
        f"n = {given.seeds}; networks: {EPOCHS} epochs, batches of {BATCH}, one hidden layer of {HIDDEN} unless "
        "linear.\n\n"
        "| | fit, s | processor time, s | balanced accuracy, % | of the rarest third, % |\n|---|---|---|---|---|"
    )
    for name, make in classifiers().items():
        if given.only and not any(text.lower() in name.lower() for text in given.only):
            continue
        runs = [
            measure(
                make,
                *draw(given.rows, given.width, given.classes, given.imbalance, seed),
                seed,
                given.threads,
            )
            for seed in range(given.seeds)
        ]
        wall, processor, balanced, rare = np.mean(runs, axis=0)
        print(f"| {name} | {wall:.1f} | {processor:.1f} | {balanced:.1f} | {rare:.1f} |", flush=True)


def classifiers() -> dict[str, Callable[[int], Any]]:
    """Every line of the table: makes a classifier of a seed."""
    midmix = partial(MidmixClassifier, aim="balanced", hidden=(HIDDEN,), epochs=EPOCHS, batch_size=BATCH)
    made = {
        f"midmix {method}{', linear' * (hidden == ())}": (
            lambda seed, method=method, hidden=hidden: midmix(method, hidden=hidden, random_state=seed)
        )
        for method, hidden in [
            ("erm", (HIDDEN,)),
            ("erm+balanced_softmax", (HIDDEN,)),
            ("balanced-am-mixup", (HIDDEN,)),
            ("balanced-am-mixup+balanced_softmax", (HIDDEN,)),
            ("balanced-am-mixup:clean_weight=1+balanced_softmax", (HIDDEN,)),
            ("balanced-am-mixup:clean_weight=1+balanced_softmax", ()),
        ]
    }
    logistic = partial(LogisticRegression, max_iter=100)
    return {
        **made,
        "MLPClassifier": lambda seed: make_pipeline(
            StandardScaler(), MLPClassifier((HIDDEN,), batch_size=BATCH, max_iter=EPOCHS, random_state=seed)
        ),
        "LogisticRegression": lambda seed: make_pipeline(StandardScaler(), logistic()),
        "LogisticRegression, class_weight=balanced": lambda seed: make_pipeline(
            StandardScaler(), logistic(class_weight="balanced")
        ),
        "BalancedBaggingClassifier, 10 trees": lambda seed: BalancedBaggingClassifier(random_state=seed),
        "SMOTE + LogisticRegression": lambda seed: make_pipeline(
            StandardScaler(), SMOTE(random_state=seed), logistic()
        ),
    }


def draw(rows: int, width: int, classes: int, imbalance: float, seed: int) -> tuple[Rows, Rows]:
    """Training rows with an exponential profile, the first class the largest, and balanced test rows."""
    random = np.random.default_rng(seed)
    shares = imbalance ** -(np.arange(classes) / (classes - 1))
    counts = np.maximum(2, np.round(rows * shares / shares.sum())).astype(int)
    counts[0] += rows - counts.sum()
    centres = random.normal(size=(classes, 2, LATENT))
    layer = random.normal(size=(LATENT, width)) / np.sqrt(LATENT)

    def sample(labels: NDArray[np.int64]) -> Rows:
        latent = centres[labels, random.integers(0, 2, len(labels))]
        latent += random.normal(size=(len(labels), LATENT))
        return np.maximum(latent @ layer, 0).astype(np.float32), labels

    train = sample(random.permutation(np.repeat(np.arange(classes), counts)))
    return train, sample(np.repeat(np.arange(classes), TEST_ROWS))


def measure(
    make: Callable[[int], Any], train: Rows, test: Rows, seed: int, threads: int
) -> tuple[float, float, float, float]:
    """Seconds and processor seconds of `fit`; accuracy in %, mean over the classes and over the rarest third."""
    classifier = make(seed)
    with warnings.catch_warnings(), threadpool_limits(threads):
        warnings.simplefilter("ignore", ConvergenceWarning)  # ten epochs, a hundred iterations: as announced
        wall, processor = time.perf_counter(), time.process_time()
        classifier.fit(*train)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    recall = 100 * recall_score(test[1], classifier.predict(test[0]), average=None, zero_division=0)
    return wall, processor, float(recall.mean()), float(recall[-(len(recall) // 3) :].mean())


if __name__ == "__main__":
    main()
