"""What a table shows of one summary row, the same in the terminal and on the page."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from midmix.reports.columns import COLUMNS, Column
from midmix.reports.lines import BASELINE, Line


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
    """``"better"`` or ``"worse"`` where the difference's interval excludes 0, else ``""``."""
    best: bool


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    line: Line
    seeds: int
    paired: int
    """The most runs that a difference in this row stands on."""
    cells: tuple[Cell, ...]

    @property
    def is_baseline(self) -> bool:
        return self.line == BASELINE


def table_rows(
    summary: pd.DataFrame,
    epoch_choice: str,
    columns: Sequence[Column] = COLUMNS,
    *,
    unranked: Collection[str] = (),
) -> list[Row]:
    """The rows of the table for one epoch choice, a cell per column; methods that are bounds are never the best."""
    chosen = summary[summary["epoch_choice"] == epoch_choice]
    ranked = chosen[~chosen["method"].isin(list(unranked))]
    best = {column.name: _best(ranked, column) for column in columns}
    rows = []
    for key, group in chosen.groupby(["method", "criterion"], sort=False):
        by_measure = {str(row["measure"]): row for row in group.to_dict("records")}
        line = Line(*map(str, key)) if isinstance(key, tuple) else Line(str(key), "")
        cells = tuple(
            _cell(by_measure[column.name], column, math.nan if line.method in unranked else best[column.name])
            for column in columns
        )
        rows.append(Row(line, int(group["n"].max()), int(group["difference_n"].max()), cells))
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
    )


def _half(row: Mapping[Hashable, Any], prefix: str, column: Column) -> str:
    if row[f"{prefix}n"] < 2:
        return "n = 1" if row[f"{prefix}n"] == 1 else ""
    return column.text((float(row[f"{prefix}high"]) - float(row[f"{prefix}low"])) / 2)


def _verdict(row: Mapping[Hashable, Any], column: Column) -> str:
    low, high = float(row["difference_low"]), float(row["difference_high"])
    if column.better and (low > 0 or high < 0):
        return "better" if (low > 0) == (column.better == "higher") else "worse"
    return ""
