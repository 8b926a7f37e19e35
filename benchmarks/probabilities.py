"""Are the estimator's probabilities true, and its decisions balanced, of one training?

    python benchmarks/probabilities.py                 # about ten minutes of one core
    python benchmarks/probabilities.py --quick         # two seeds of 3,000 rows
    python benchmarks/probabilities.py --shares 0.05 --methods erm,erm+balanced_softmax    # a part of it
    python benchmarks/probabilities.py --times         # the last table alone, a minute

Prints Markdown. Synthetic rows of two classes (scikit-learn's `make_classification`: 20 columns, 6 that inform, 4 that
are sums of them, class separation 1.2, 0.5 % of labels drawn anew), half of them held out for testing; positives are
1 %, 5 % and 20 %. Each line is `MidmixClassifier` with its defaults but the method; means over seeds ± half the 95 %
interval (Student's). ECE has 15 bins of the likelier class's probability. The last table has fits by processor time
beside scikit-learn's `MLPClassifier` of the same size, optimizer, batches and epochs, and beside a bare loop of PyTorch
(forward, cross-entropy, backward, fused SGD, and nothing else), in turns in one process.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import t as student
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits
from torch import nn

from midmix.integrations import MidmixClassifier
from midmix.measures import expected_calibration_error

SHARES = (0.01, 0.05, 0.20)
PLAIN, BEFORE = "erm", "balanced-am-mixup"


def rows_of(share: float, seed: int, rows: int) -> tuple[Any, ...]:
    """Training rows, test rows, and the labels of both."""
    x, y = make_classification(
        rows, 20, n_informative=6, n_redundant=4, weights=[1 - share], class_sep=1.2, flip_y=0.005, random_state=seed
    )  # fmt: skip
    return tuple(train_test_split(x.astype(np.float32), y, test_size=0.5, stratify=y, random_state=seed))


def measured(method: str, share: float, seed: int, rows: int) -> list[float]:
    """ECE, average precision, and balanced accuracy at the aims balanced and accuracy, on test rows."""
    x, x_test, y, y_test = rows_of(share, seed, rows)
    model = MidmixClassifier(method, random_state=seed).fit(x, y)
    p = model.predict_proba(x_test)
    balanced = p[:, 1] / y.mean() > p[:, 0] / (1 - y.mean())  # what predict gives with aim="balanced"
    return [
        expected_calibration_error(torch.from_numpy(p).log(), torch.from_numpy(y_test)),
        float(average_precision_score(y_test, p[:, 1])),
        float(balanced_accuracy_score(y_test, balanced)),
        float(balanced_accuracy_score(y_test, model.predict(x_test))),
    ]


def interval(values: list[float]) -> str:
    """Mean ± half the 95 % interval."""
    if len(values) < 2:
        return f"{values[0]:.4f}"
    half = student.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.4f} ±{half:.4f}"


def seconds(fit: Callable[[], object]) -> float:
    """Processor time of a fit."""
    started = time.process_time()
    fit()
    return time.process_time() - started


def bare(x: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """The same network, batches and optimizer in the fewest lines of PyTorch; no mixes, schedule or standardising."""
    rows, labels = torch.from_numpy(x), torch.from_numpy(y)
    network = nn.Sequential(
        nn.Linear(x.shape[1], 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 2)
    )
    optimizer = torch.optim.SGD(network.parameters(), 0.05, 0.9, nesterov=True, weight_decay=5e-4, fused=True)
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(rows)), 64):
            loss = F.cross_entropy(network(rows[batch]), labels[batch])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()


def times(rows: int, epochs: int, repetitions: int) -> str:
    """A row of the table of times: ours, scikit-learn's, the bare loop's, and ratios to scikit-learn's."""
    x, _, y, _ = rows_of(0.05, 0, 2 * rows)
    ours = MidmixClassifier(epochs=epochs, random_state=0)
    theirs = MLPClassifier(
        (128, 128), solver="sgd", learning_rate_init=0.05, momentum=0.9, batch_size=64, max_iter=epochs, tol=0.0,
        n_iter_no_change=epochs + 1, random_state=0,
    )  # fmt: skip
    turns = (lambda: ours.fit(x, y), lambda: theirs.fit(x, y), lambda: bare(x, y, epochs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        found = np.array([[seconds(fit) for fit in turns] for _ in range(repetitions)])
    one, other, least = np.median(found, axis=0)
    ratio, floor = np.median(found[:, [0, 2]] / found[:, [1]], axis=0)
    return f"| {rows:,} | {epochs} | {one:.2f} | {other:.2f} | {least:.2f} | {ratio:.2f} | {floor:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--rows", type=int, default=12_000, help="half for testing (default: %(default)s)")
    parser.add_argument(
        "--shares", default=",".join(map(str, SHARES)), help="of positives (default: %(default)s)"
    )
    parser.add_argument(
        "--methods", help="separated by commas (default: plain, balanced AM-mixup, the default)"
    )
    parser.add_argument("--quick", action="store_true", help="two seeds of 3,000 rows")
    parser.add_argument("--times", action="store_true", help="the table of times alone")
    given = parser.parse_args()
    seeds, rows = (2, 3000) if given.quick else (given.seeds, given.rows)
    torch.set_num_threads(1)
    default = MidmixClassifier().method
    methods = given.methods.split(",") if given.methods else dict.fromkeys((PLAIN, BEFORE, default))
    print(f"n = {seeds} seeds, {rows // 2:,} training and as many test rows, torch {torch.__version__}\n")
    with threadpool_limits(1):
        if not given.times:
            print(
                "| positives | method | ECE | average precision | balanced accuracy, aim balanced | aim accuracy |"
            )
            print("|---|---|---|---|---|---|")
        for share in () if given.times else map(float, given.shares.split(",")):
            for method in methods:
                found = [measured(str(method), share, seed, rows) for seed in range(seeds)]
                cells = " | ".join(interval([row[i] for row in found]) for i in range(4))
                name = f"{method} (default)" if method == default else method
                print(f"| {share:.0%} | {name} | {cells} |", flush=True)
        print(
            "\n| rows | epochs | MidmixClassifier, s | MLPClassifier, s | bare loop, s | ratio | of the bare loop |"
        )
        print("|---|---|---|---|---|---|---|")
        for size in (1000,) if given.quick else (1000, 6000):
            print(times(size, 20, 3 if given.quick else 5), flush=True)


if __name__ == "__main__":
    main()
