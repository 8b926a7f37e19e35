"""What is written down of every evaluated epoch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import pandas as pd
import torch

from midmix.decisions import LogitPrior, for_own_prior
from midmix.errors import InputError
from midmix.measures import (
    Outputs,
    alignment,
    class_uniformity,
    evaluate_all,
    measures_of,
)
from midmix.training.predict import Predictions

LAST_PART = 0.1  # of a training, before which and at whose end all training rows are run through
REMEDY = "bring it back from a copy, or remove its folder and run the same again"
TESTED = {"accuracy": "test_accuracy", "balanced_accuracy": "test_balanced_accuracy"}
"""Measures that have another name in a history, beside that of the training rows."""
MOST_ROWS = 1000  # a class; alignment over the pairs of more is estimated from a sample


class Epoch(TypedDict):
    """One evaluated epoch. Accuracies are shares of the test split, save where the name says otherwise.

    `nll` and `ece` are of probabilities for the shares of the classes among the test rows, where the prior that the
    logits answer for is known, else of softmax over the logits. Two classes have the measures of two classes too, and
    every measure that an installed package declares for the same tables is there by its name.

    `train_accuracy` is that of all training rows at the last epoch and a tenth of the training before it. At others it
    is that of the epoch's own batches, as the network saw them while it was trained, or NaN where its mix shows it no
    clean rows: to run through all training rows once more each epoch would cost a third of the training.

    `alignment` and `class_uniformity` are those of the test features, at the epochs where they are measured, else NaN.
    """

    epoch: int
    train_accuracy: float
    train_loss: float
    ratio: float
    test_accuracy: float
    test_balanced_accuracy: float
    many: float
    medium: float
    few: float
    nll: float
    ece: float
    alignment: float
    class_uniformity: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    average_precision: NotRequired[float]
    roc_auc: NotRequired[float]
    precision: NotRequired[float]
    recall: NotRequired[float]
    f1: NotRequired[float]
    recall_at_precision: NotRequired[float]
    brier: NotRequired[float]


NEEDED = (
    "epoch", "train_accuracy", "ratio", "test_accuracy", "test_balanced_accuracy", "many", "medium", "few", "nll",
    "ece", "validation_accuracy",
)  # fmt: skip
"""What results are made of, which histories of every age have."""


def epoch_record(
    *,
    epoch: int,
    train_accuracy: float,
    test: Predictions,
    validation: Predictions | None,
    counts: list[int],
    train_loss: float,
    ratio: float,
    learning_rate: float,
    seconds: float,
    geometry: bool,
    trained: LogitPrior | None,
) -> Epoch:
    """The record of an epoch.

    Args:
        counts: training rows a class.
        geometry: whether to measure the features.
        trained: the prior that the logits answer for; None where it is not known.
    """
    record = {
        "epoch": epoch,
        "train_accuracy": train_accuracy,
        "train_loss": train_loss,
        "ratio": ratio,
        **{TESTED.get(name, name): value for name, value in _outcomes(test, counts, trained).items()},
        "alignment": float(alignment(test.features, test.labels, max_rows=MOST_ROWS))
        if geometry
        else math.nan,
        "class_uniformity": float(class_uniformity(test.features, test.labels)) if geometry else math.nan,
        "validation_accuracy": math.nan if validation is None else validation.accuracy(),
        "learning_rate": learning_rate,
        "seconds": seconds,
    }
    return cast("Epoch", record)


def _outcomes(test: Predictions, counts: list[int], trained: LogitPrior | None) -> dict[str, float]:
    log_p = None if trained is None else for_own_prior(trained, test.logits, test.labels)
    outputs = Outputs(test.labels, test.logits, torch.tensor(counts), log_probabilities=log_p)
    shown = measures_of("outcomes", *(("two classes",) if "two classes" in outputs.given else ()))
    return evaluate_all(outputs, [one.name for one in shown])


def read_history(path: Path) -> pd.DataFrame:
    """A run's `history.parquet`: a row an evaluated epoch, in their order.

    Raises:
        InputError: where it is not there, was cut, or is of another kind.
    """
    try:
        table = pd.read_parquet(path)
        numbers = [name for name in NEEDED if pd.api.types.is_numeric_dtype(table[name])]
    except (OSError, ValueError, KeyError, ImportError) as error:  # Arrow's own errors are of these
        reason = "is missing" if isinstance(error, FileNotFoundError) else "is cut off, or of another kind"
        raise InputError(f"{path}: {reason}; {REMEDY}") from error
    if not len(table) or len(numbers) < len(NEEDED):
        raise InputError(f"{path}: holds no epoch, or no numbers; {REMEDY}")
    return table


def chosen_epochs(history: list[Epoch]) -> dict[str, Epoch]:
    """The epochs that a results table reports: the last; the best on the validation split, where there is one;
    and the best on the test split, which only an oracle could choose. The earliest of equals.

    Example:
        >>> rows = [{"epoch": e, "test_accuracy": t, "validation_accuracy": v}
        ...         for e, t, v in ((1, 0.5, 0.7), (2, 0.6, 0.6), (3, 0.4, 0.5))]
        >>> {choice: row["epoch"] for choice, row in chosen_epochs(rows).items()}
        {'last': 3, 'validation': 1, 'test_oracle': 2}
    """
    chosen = {"last": history[-1]}
    if not math.isnan(history[-1]["validation_accuracy"]):
        chosen["validation"] = max(history, key=lambda row: row["validation_accuracy"])
    chosen["test_oracle"] = max(history, key=lambda row: row["test_accuracy"])
    return chosen
