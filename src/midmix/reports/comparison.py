"""A finished comparison folder, read back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from midmix.decisions import for_own_prior
from midmix.errors import InputError
from midmix.reports.lines import baseline_of, lines_of, method_of, with_methods
from midmix.reports.subjects import Classes, Output, Subject
from midmix.training import read_predictions
from midmix.training.history import read_history
from midmix.training.rule import trained_prior


@dataclass(frozen=True)
class Run:
    """One run of a comparison: ``run.json``, ``history.parquet`` and ``test.npz``, each read on first use."""

    folder: Path
    about: dict[str, Any]

    @property
    def line(self) -> str:
        return method_of(self.about)

    @property
    def seed(self) -> int:
        return int(self.about["seed"])

    @property
    def learned(self) -> bool:
        """Whether its features were learned; those of a baseline are the inputs."""
        specification = self.about.get("specification")
        return not (isinstance(specification, dict) and specification.get("baseline"))

    @cached_property
    def counts(self) -> np.ndarray:
        """Training rows per class, ``[C]``."""
        return np.asarray(self.about["class_counts"], dtype=np.int64)

    @cached_property
    def ranking(self) -> np.ndarray:
        """The classes from most to fewest training rows, ``[C]``; equal ones in their order."""
        return np.argsort(-self.counts, kind="stable")

    @cached_property
    def ranked(self) -> Output | None:
        """The output with classes numbered by rank, the most frequent 0."""
        if self.output is None:
            return None
        ranking = torch.from_numpy(self.ranking)
        logits, log = (
            None if found is None else found[:, ranking]
            for found in (self.output.logits, self.output.log_probabilities)
        )
        return Output(self.output.features, ranking.argsort()[self.output.labels.long()], logits, log)

    @cached_property
    def history(self) -> pd.DataFrame | None:
        """A row per evaluated epoch; None where the file is missing."""
        path = self.folder / "history.parquet"
        return read_history(path) if path.exists() else None

    @cached_property
    def output(self) -> Output | None:
        """The last epoch on the test split; None where the file is missing."""
        path = self.folder / "test.npz"
        if not path.exists():
            return None
        found = read_predictions(self.folder)
        trained = trained_prior(self.about)
        log = None if trained is None else for_own_prior(trained, found.logits, found.labels.long())
        return Output(found.features, found.labels, found.logits, log)


def test_rows_in(path: Path) -> np.ndarray | None:
    """Numbers of the test rows in a run's file of outputs; None where all seeds have the same."""
    with np.load(path, allow_pickle=False) as file:
        found: np.ndarray | None = file["rows"] if "rows" in file.files else None
    return found


@dataclass(frozen=True)
class Comparison:
    """The results and the runs of a comparison, every list in the order in which a report shows it."""

    folder: Path
    results: pd.DataFrame
    lines: list[str]
    baseline: str
    """The line that the others are compared with; it may be missing."""
    runs: list[Run]

    @property
    def about(self) -> dict[str, Any]:
        """What the first run says about all of them; empty where no run is kept."""
        return self.runs[0].about if self.runs else {}

    @cached_property
    def by_rank(self) -> bool:
        """Whether runs rank the classes differently, so that a figure by class has to be one by rank."""
        return any(not np.array_equal(run.ranking, self.runs[0].ranking) for run in self.runs)

    @cached_property
    def classes(self) -> Classes:
        """The classes as the first run has them; the ranks, with their mean counts, where runs differ in them."""
        if not self.runs:
            return Classes([])
        first, shots = self.runs[0], self.about.get("shots")
        if not self.by_rank:
            return Classes([str(name) for name in self.about.get("classes", [])], first.counts, shots)
        counts = np.mean([run.counts[run.ranking] for run in self.runs], axis=0).round().astype(np.int64)
        place = np.argsort(first.ranking)
        ranked = {group: sorted(int(place[c]) for c in members) for group, members in (shots or {}).items()}
        return Classes([f"rank {i + 1}" for i in range(len(counts))], counts, ranked or None)

    @cached_property
    def subjects(self) -> list[Subject]:
        """A subject per line, with the test outputs of every seed that kept them; by rank where `classes` are ranks."""
        outputs = [
            [run.ranked if self.by_rank else run.output for run in self.runs_of(line)] for line in self.lines
        ]
        return [
            Subject(position, line, [output for output in kept if output is not None])
            for position, (line, kept) in enumerate(zip(self.lines, outputs, strict=True))
        ]

    def runs_of(self, line: str) -> list[Run]:
        """The line's runs, by seed."""
        return [run for run in self.runs if run.line == line]


def read_comparison(folder: Path, baseline: str | None = None) -> Comparison:
    """Read ``results.parquet`` and the ``run.json`` of every run; larger files wait until they are needed.

    Raises:
        InputError: no results in the folder, no rows in them, a ``run.json`` that is not whole, or no line of the
            baseline's name.
    """
    path = folder / "results.parquet"
    if not path.exists():
        raise InputError(
            f"{folder}: no results.parquet here; give the folder that `midmix compare --out` wrote"
        )
    results = with_methods(pd.read_parquet(path))
    if results.empty:
        raise InputError(f"{path}: no rows; run `midmix compare` to its end first")
    baseline = baseline_of(results, baseline)
    lines = lines_of(results, baseline)
    runs = [_read_run(about) for about in sorted(folder.glob("runs/*/run.json"))]
    runs = [run for run in runs if run.line in lines]
    runs.sort(key=lambda run: (lines.index(run.line), run.seed))
    return Comparison(folder, results, lines, baseline, runs)


def _read_run(path: Path) -> Run:
    try:
        run = Run(path.parent, json.loads(path.read_text(encoding="utf-8")))
        _ = run.line, run.seed, run.counts
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not a whole run description ({error}); remove its folder and run again"
        ) from None
    return run
