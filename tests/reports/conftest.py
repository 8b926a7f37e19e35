"""A finished comparison with invented numbers, in the shape that ``compare`` writes."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from midmix.measures import shot_groups

LINES = (
    ("erm", "cross_entropy"),
    ("mixup", "cross_entropy"),
    ("manifold-mixup", "cross_entropy"),
    ("am-mixup", "cross_entropy"),
    ("balanced-am-mixup", "cross_entropy"),
    ("balanced-am-mixup", "balanced_softmax"),
)


def _long_tail(classes, most=100, least=2):
    return np.geomspace(most, least, classes).round().astype(int)


def _shots(counts):
    found = shot_groups(torch.from_numpy(counts))
    return {"many": list(found.many), "medium": list(found.medium), "few": list(found.few)}


def _history(generator, epochs, skill):
    epoch = np.arange(1, epochs + 1)
    train = 1 - 0.8 * np.exp(-epoch / (4 + generator.random()))
    test = skill * (1 - np.exp(-epoch / 6)) + generator.normal(0, 0.01, epochs)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "train_accuracy": train,
            "train_loss": 1 - train,
            "ratio": np.exp(-0.67 * train),
            "test_accuracy": test,
            "test_balanced_accuracy": test,
            "many": test,
            "medium": test,
            "few": test,
            "nll": 1 - test,
            "ece": 0.1,
            "validation_accuracy": np.nan,
            "learning_rate": 0.1,
            "seconds": 0.05,
        }
    )


def _test_outputs(generator, centres, counts, strength, rows):
    """Features around class centres; rare classes lose to frequent ones, less so with more strength."""
    classes = len(counts)
    labels = np.arange(rows) % classes
    features = centres[labels] + generator.normal(0, 1.8, (rows, centres.shape[1]))
    logits = (
        features @ centres.T / 3
        - (centres**2).sum(1) / 6
        + (1 - strength) * 1.5 * np.log(counts / counts.sum())
    )
    return {
        "logits": logits.astype(np.float32),
        "labels": labels.astype(np.int64),
        "features": np.maximum(features, 0).astype(np.float32),
    }


def write_comparison(
    folder: Path, *, lines=LINES, seeds=3, names=None, rows=200, width=16, epochs=12, missing=(), shots=None
):
    """A folder as ``midmix compare`` leaves it; ``missing`` names files that no run has."""
    names = list(names or (f"digit {i}" for i in range(10)))
    counts = _long_tail(len(names))
    shots = _shots(counts) if shots is None else shots
    results = []
    for position, (method, criterion) in enumerate(lines):
        for seed in range(seeds):
            generator = np.random.default_rng([position, seed])
            centres = np.random.default_rng(seed).normal(0, 1, (len(names), width)) * np.geomspace(
                2.5, 0.3, width
            )
            arrays = _test_outputs(generator, centres, counts, position / 6, rows)
            right = arrays["logits"].argmax(1) == arrays["labels"]
            accuracy = right.mean()
            group = {
                name: right[np.isin(arrays["labels"], members)].mean() if members else np.nan
                for name, members in shots.items()
            }
            split = f"{seed:016x}"
            for choice in ("last", "validation", "test_oracle"):
                bonus = {"last": 0.0, "validation": 0.004, "test_oracle": 0.012}[choice]
                results.append(
                    {
                        "method": method,
                        "criterion": criterion,
                        "seed": seed,
                        "split_hash": split,
                        "epoch_choice": choice,
                        "epoch": epochs,
                        "accuracy": accuracy + bonus,
                        "balanced_accuracy": accuracy + bonus,
                        **group,
                        "nll": 1.5 - accuracy,
                        "ece": 0.2 - accuracy / 10,
                        "train_accuracy": 0.99,
                        "ratio": 0.515,
                        "network": "mlp 64-128-64",
                        "parameters": 17226,
                        "seconds": 0.9,
                    }
                )
            slug = f"{position}-{re.sub(r'[^a-z-]+', '-', f'{method}-{criterion}')}-{seed}"
            run = folder / "runs" / slug
            run.mkdir(parents=True)
            about = {
                "method": method,
                "criterion": criterion,
                "seed": seed,
                "shape": [64],
                "columns": [],
                "seconds": 0.9,
                "classes": list(names),
                "class_counts": counts.tolist(),
                "shot_rule": "thirds of the classes by training count (too small for > 100 / 20 to 100 / < 20)",
                "shots": shots,
                "split_hash": split,
                "network": "mlp 64-128-64",
                "parameters": 17226,
                "source": "digits",
                "imbalance": 50,
                "profile": "exp",
                "validation": 0.1,
                "settings": {
                    "epochs": epochs,
                    "learning_rate": 0.1,
                },
                "versions": {"midmix": "0.1.0", "torch": "2.13.0", "python": "3.11"},
                "health": [],
                "hardware": "2 × Xeon, 24 GiB, no accelerator",
            }
            (run / "run.json").write_text(json.dumps(about))
            if "history" not in missing:
                _history(generator, epochs, accuracy).to_parquet(run / "history.parquet")
            if "test" not in missing:
                np.savez(run / "test.npz", **arrays)
    pd.DataFrame(results).to_parquet(folder / "results.parquet")
    return folder


@pytest.fixture(scope="session")
def make_comparison():
    """The writer itself, for comparisons with something odd about them."""
    return write_comparison


@pytest.fixture(scope="session")
def comparison_folder(tmp_path_factory):
    """An everyday comparison: six lines, three seeds, ten classes."""
    return write_comparison(tmp_path_factory.mktemp("comparison"))


@pytest.fixture
def results(comparison_folder):
    return pd.read_parquet(comparison_folder / "results.parquet")
