"""A finished transfer, read back: what each run came to on the fine classes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from midmix.errors import InputError
from midmix.measures import Outputs, measures_of
from midmix.reports.columns import Column
from midmix.reports.comparison import Comparison, read_comparison, test_rows_in
from midmix.reports.lines import method_of
from midmix.reports.outcomes import RunKey, Tested, TestedRuns, pool_of
from midmix.reports.subjects import Output

TRANSFER_COLUMNS = (
    Column.of("accuracy", heading="linear probe"),
    Column.of("accuracy", "knn_accuracy", "k-NN"),
    Column.of("accuracy", "finetuned_accuracy", "fine-tuned"),
    Column.of("accuracy", "coarse_accuracy", "groups"),
    Column.of("nll", heading="probe NLL"),
    Column.of("ece", heading="probe ECE"),
)
"""Accuracies are on the fine classes, save that of the groups."""
WITHIN_COLUMNS = tuple(
    Column.of(measure.name, f"within_{measure.name}") for measure in measures_of("groups", "collapse")
)
BOUNDS = ("fine-labels", "random-encoder")
"""Lines that are no methods: they show between which accuracies the methods' stand."""


@dataclass(frozen=True)
class Outcome:
    """One run: what ``transfer.json`` says, and its folder."""

    about: dict[str, Any]
    folder: Path

    @property
    def line(self) -> str:
        return method_of(self.about["row"])

    @property
    def key(self) -> RunKey:
        return RunKey(int(self.about["row"]["seed"]), str(self.about["row"]["split_hash"]))

    def output(self) -> Output:
        """Features, fine labels and the linear probe's logits of the test rows."""
        with np.load(self.folder / "fine.npz", allow_pickle=False) as arrays:
            return Output(*(torch.from_numpy(arrays[name]) for name in ("features", "labels", "logits")))


@dataclass(frozen=True)
class Transferred:
    """A transfer's results and runs."""

    comparison: Comparison
    outcomes: list[Outcome]

    @property
    def results(self) -> pd.DataFrame:
        return self.comparison.results

    @property
    def lines(self) -> list[str]:
        """Methods and bounds, in the order in which a report shows them."""
        return self.comparison.lines

    @property
    def methods(self) -> list[str]:
        return [line for line in self.lines if line not in BOUNDS]

    @cached_property
    def tested(self) -> TestedRuns:
        """What the linear probes made of the test rows, for intervals that count these."""
        found: dict[str, dict[RunKey, Tested]] = {line: {} for line in self.lines}
        pool = pool_of(self.comparison.about)
        for one in self.outcomes:
            output = one.output()
            if one.line not in found or output.logits is None:
                continue
            counts = torch.tensor(one.about["class_counts"])
            labels = output.labels.long()
            # The first run's record names the rows' digest, but the untrained encoder has no record.
            rows = hashlib.sha256(labels.numpy().tobytes()).hexdigest()
            if self.comparison.about.get("splits") == "drawn":
                rows += f", seed {one.key.seed}"
            numbers = test_rows_in(one.folder / "fine.npz")
            found[one.line][one.key] = Tested(Outputs(labels, output.logits, counts), rows, pool, numbers)
        return found

    def known(self, columns: Sequence[Column]) -> tuple[Column, ...]:
        """The columns that these results have: fine-tuning is an option."""
        return tuple(
            column
            for column in columns
            if column.name in self.results and self.results[column.name].notna().any()
        )


def read_transfer(folder: Path) -> Transferred:
    """Reads what ``midmix transfer --out`` wrote.

    Raises:
        InputError: no results of a transfer in the folder.
    """
    comparison = read_comparison(folder)
    outcomes = [
        Outcome(json.loads(path.read_text(encoding="utf-8")), path.parent)
        for path in sorted(folder.glob("runs/*/transfer.json"))
    ]
    if not outcomes:
        raise InputError(f"{folder}: holds no transfer; give the folder that `midmix transfer --out` wrote")
    return Transferred(comparison, outcomes)
