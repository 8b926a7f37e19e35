"""What a table shows of one summary row, the same in the terminal and on the page."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from midmix.reports.columns import Column, outcome_columns
from midmix.reports.lines import parts_of

LEVEL = 0.05
"""Corrected p-values below this decide."""
LEAST_ROWS = 30
"""A measure on fewer test rows than this is marked."""
FEW_ROWS, SAME = "†", "‡"
_NOTES = {
    FEW_ROWS: f"{FEW_ROWS} stands on fewer than {LEAST_ROWS} test rows.",
    SAME: f"{SAME} every seed has the same value or the same difference: that is no certainty, but a step of the few "
    "rows that can change.",
}


@dataclass(frozen=True)
class Cell:
    """One measure of one line, as text."""

    mean: str
    half: str
    """Half the interval's width; ``"n = 1"`` where one seed gives no interval, empty where there is no value."""
    difference: str
    """Paired difference from the baseline; empty where there is none."""
    difference_half: str
    verdict: str
    """``"better"`` or ``"worse"`` where the difference holds after Holm's correction, else ``""``."""
    best: bool
    mark: str = ""
    """``FEW_ROWS`` and ``SAME``, where they hold."""


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    line: str
    is_baseline: bool
    """Whether the others are compared with it."""
    seeds: int
    paired: int
    """The most runs that a difference in this row stands on."""
    cells: tuple[Cell, ...]
    diverged: int = 0
    """Runs of the line whose training broke off; its means are those of the others."""

    @property
    def parts(self) -> list[str]:
        """The line's name, a part of it a row."""
        return parts_of(self.line)


def table_rows(
    summary: pd.DataFrame,
    epoch_choice: str,
    columns: Sequence[Column] | None = None,
    *,
    unranked: Collection[str] = (),
) -> list[Row]:
    """The rows of the table for one epoch choice, a cell per column; methods that are bounds are never the best."""
    if columns is None:
        columns = outcome_columns(summary["measure"].unique())
    chosen = summary[summary["epoch_choice"] == epoch_choice]
    ranked = chosen[~chosen["line"].isin(list(unranked))]
    best = {column.name: _best(ranked, column) for column in columns}
    rows = []
    for name, group in chosen.groupby("line", sort=False):
        by_measure = {str(row["measure"]): row for row in group.to_dict("records")}
        line = str(name)
        cells = tuple(
            _cell(by_measure[column.name], column, math.nan if line in unranked else best[column.name])
            for column in columns
        )
        is_baseline = line == str(group["baseline"].iloc[0])
        seeds, paired, diverged = (int(group[name].max()) for name in ("n", "difference_n", "diverged"))
        rows.append(Row(line, is_baseline, seeds, paired, cells, diverged))
    return rows


def _best(chosen: pd.DataFrame, column: Column) -> float:
    means = chosen.loc[chosen["measure"] == column.name, "mean"]
    if not column.better:
        return math.nan
    return float(means.max() if column.better == "higher" else means.min())


def _cell(row: Mapping[Hashable, Any], column: Column, best: float) -> Cell:
    mean = float(row["mean"])
    return Cell(
        mean=column.text(mean),
        half=_half(row, "", column),
        difference=column.signed(float(row["difference"])) if row["difference_n"] else "",
        difference_half=_half(row, "difference_", column),
        verdict=_verdict(row, column),
        best=column.text(mean) == column.text(best) and math.isfinite(mean),
        mark=_mark(row),
    )


def _half(row: Mapping[Hashable, Any], prefix: str, column: Column) -> str:
    if row[f"{prefix}n"] < 2:
        return "n = 1" if row[f"{prefix}n"] == 1 else ""
    return column.text((float(row[f"{prefix}high"]) - float(row[f"{prefix}low"])) / 2)


def _verdict(row: Mapping[Hashable, Any], column: Column) -> str:
    if column.better and float(row["difference_corrected"]) < LEVEL:
        return "better" if (float(row["difference"]) > 0) == (column.better == "higher") else "worse"
    return ""


def _mark(row: Mapping[Hashable, Any]) -> str:
    few = FEW_ROWS if 0 < int(row["test_rows"]) < LEAST_ROWS else ""
    return few + (SAME if row["same"] or row["difference_same"] else "")


def notes_of(rows: Sequence[Row]) -> list[str]:
    """What the marks of a table mean, those that it has."""
    return notes_on(cell.mark for row in rows for cell in row.cells)


def notes_on(marks: Iterable[str]) -> list[str]:
    """What these marks mean, each once.

    Example:
        >>> notes_on(["", FEW_ROWS, FEW_ROWS])
        ['† stands on fewer than 30 test rows.']
    """
    found = set("".join(marks))
    return [text for mark, text in _NOTES.items() if mark in found]
