"""What a finished run leaves in its folder, read back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from midmix.errors import InputError
from midmix.files import atomic_write, check_folder
from midmix.measures import measures_of
from midmix.measures.table import Table
from midmix.training.history import REMEDY, TESTED, Epoch, chosen_epochs, read_history
from midmix.training.predict import Predictions
from midmix.training.record import RECORD, read_record
from midmix.training.rule import VALIDATION
from midmix.training.tracking import TRACKED

MODEL, HISTORY, TEST = "model.safetensors", "history.parquet", "test.npz"
CHECKPOINTS = "checkpoints"
OWN_PRIOR, RAW = "for the prior of the test rows", "softmax of the logits"
"""Of which probabilities a result's NLL and ECE are."""
WORKING = {"claim.json", "claim.json.lock", "progress.json"}
"""What a runner keeps in the folder while it works there."""


def check_trained(record: Mapping[str, Any], folder: Path) -> None:
    """Sees that a finished run has come to its end.

    Raises:
        InputError: where its training diverged, so that there is no model and nothing that one predicted.
    """
    if record["diverged"]:
        raise InputError(f"{folder}: training diverged, and left no model ({record['diverged']})")


def finished(folder: Path) -> dict[str, Any] | None:
    """The record of the run in this folder, or None where none has finished there.

    One whose training diverged in a comparison has finished too: `check_trained` tells it.

    Raises:
        InputError: where there is a record that is none of midmix's.
    """
    record = read_record(folder)
    return None if record is None else record.as_dict()


def check_run(folder: Path) -> None:
    """Sees that a run, old or new, may be written into this folder.

    Raises:
        InputError: as `check_folder` does.
    """
    check_folder(folder, "run", RECORD, {MODEL, HISTORY, TEST, VALIDATION, CHECKPOINTS, TRACKED, *WORKING})


def read_predictions(folder: Path, *, features: bool = True) -> Predictions:
    """What a finished run's model made of the test rows at the last epoch.

    Args:
        folder: of the run.
        features: whether to read them, which are most of the file; else they have no columns.

    Raises:
        InputError: where they are not there, cannot be read, or are no predictions.
    """
    path, record = folder / TEST, read_record(folder)
    if record is not None:
        check_trained(record.as_dict(), folder)
    try:
        with np.load(path, allow_pickle=False) as file:
            logits, labels = (torch.from_numpy(file[name]) for name in ("logits", "labels"))
            seen = torch.from_numpy(file["features"]) if features else logits.new_empty(len(logits), 0)
            found = Predictions(logits, seen, labels)
        sizes = {len(tensor) for tensor in (found.logits, found.features, found.labels)}
        if (found.logits.dim(), found.features.dim(), found.labels.dim(), len(sizes)) != (2, 2, 1, 1):
            raise ValueError("shapes that do not go together")
        if not found.logits.isfinite().all() or found.labels.is_floating_point():
            raise ValueError("logits that are not finite, or labels that are no whole numbers")
        if (
            len(found.labels)
            and not 0 <= int(found.labels.min()) <= int(found.labels.max()) < found.logits.shape[1]
        ):
            raise ValueError("labels that are no classes")
        if record is not None and found.logits.shape[1] != len(record.classes):
            raise ValueError("other classes than the record's")
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "is cut off, or of another kind"
        raise InputError(f"{path}: {reason}; {REMEDY}") from error
    return found


def result_rows(folder: Path) -> list[dict[str, Any]]:
    """A finished run's rows of the results table, one an epoch choice.

    Accuracies are shares; `ratio` is the mean λ of the epoch; `seconds` are those of training, evaluations left out. A
    run that diverged has one row, whose measures are NaN.
    """
    record = finished(folder)
    if record is None:
        raise InputError(f"{folder}: no finished run there")
    unknown = (
        "train_accuracy",
        "ratio",
        *(TESTED.get(one.name, one.name) for one in measures_of("outcomes")),
    )
    chosen: dict[str, Any] = {"last": {"epoch": 0, **dict.fromkeys(unknown, math.nan)}}
    if not record["diverged"]:
        history: list[Epoch] = read_history(folder / HISTORY).to_dict("records")  # type: ignore[assignment]
        chosen = dict(chosen_epochs(history))
    return [
        {
            "method": record["method"],
            "seed": record["seed"],
            "split_hash": record["split_hash"],
            "epoch_choice": choice,
            "epoch": int(row["epoch"]),
            **_measured(row, "outcomes"),
            "train_accuracy": row["train_accuracy"],
            "ratio": row["ratio"],
            **_measured(row, "two classes"),
            "network": record["network"],
            "parameters": record["parameters"],
            "seconds": record["seconds"],
            "probabilities_for": RAW if record["logit_prior"] is None else OWN_PRIOR,
            "diverged": bool(record["diverged"]),
        }
        for choice, row in chosen.items()
    ]


def _measured(epoch: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """The measures of a table that an epoch has."""
    names = {one.name: TESTED.get(one.name, one.name) for one in measures_of(table)}
    return {name: value for name, column in names.items() if (value := epoch.get(column)) is not None}


def save_model(model: nn.Module, path: Path) -> None:
    # Copies: tied weights share their memory, which the file's form does not know; the network ties them anew.
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
    with atomic_write(path) as part:
        save_file(tensors, part)
