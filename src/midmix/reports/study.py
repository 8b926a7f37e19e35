"""What a study has shown: a table for each set, regrets over all of them, and curves over the options with bands."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from midmix.files import atomic_write
from midmix.reports.cells import LEVEL
from midmix.reports.columns import Column
from midmix.reports.comparison import Comparison, read_comparison
from midmix.reports.drawing import publish
from midmix.reports.figures.study_curves import study_curves
from midmix.reports.lines import BASELINE
from midmix.reports.markdown import markdown_table
from midmix.reports.outcomes import TestedRuns, tested_runs
from midmix.reports.summary import summarise
from midmix.studies.grid import Grid, GridLine
from midmix.studies.study import SETS

CURVES = "curves"
LEAST_METHOD = 24
"""Columns of a terminal that a method has at least."""


@dataclass(frozen=True)
class StudyTables:
    """What was found of a study's runs.

    Attributes:
        grid: what was asked for.
        summary: as `summarise` gives it, of each set, with the column `set`.
        regrets: a row a line and set: `regret`, `low`, `high`, `corrected`, and `best`, the oracle's line there; empty
            where no oracle was asked for.
    """

    grid: Grid
    summary: pd.DataFrame
    regrets: pd.DataFrame

    @property
    def columns(self) -> list[Column]:
        """The measures."""
        return [Column.of(name) for name in self.grid.measures]


def read_study(grid: Grid, folder: Path) -> StudyTables:
    """Summaries of the grid's runs in a study's folder.

    Raises:
        InputError: where a set has no results.
    """
    summaries, regrets = [], []
    for one in grid.sets:
        comparison = _of_grid(read_comparison(folder / SETS / one.name), grid)
        tested = tested_runs(comparison)
        baseline = grid.baseline or (BASELINE if BASELINE in comparison.lines else None)
        known = [name for name in grid.measures if name in comparison.results]
        summary = summarise(comparison.results, measures=known, baseline=baseline, tested=tested)
        summaries.append(summary.assign(set=one.name))
        if grid.oracle is not None:
            regrets.append(_regrets(grid, comparison, tested).assign(set=one.name))
    found = pd.concat(regrets, ignore_index=True) if regrets else pd.DataFrame()
    return StudyTables(grid, pd.concat(summaries, ignore_index=True), found)


def write_study(grid: Grid, folder: Path) -> StudyTables:
    """Writes `tables.md`, `summary.csv` and `curves/` into a study's folder; returns what they say."""
    found = read_study(grid, folder)
    parts = [f"## Regret\n\n{regret_table(found)}"] if len(found.regrets) else []
    for one in grid.sets:
        summary = found.summary[found.summary["set"] == one.name]
        columns = [column for column in found.columns if column.name in set(summary["measure"])]
        parts.append(f"## {one.name}\n\n{markdown_table(summary, 'last', columns)}")
    baseline = found.summary["baseline"].iloc[0]
    parts.append(
        "Last epoch. Mean over seeds ± half the 95 % interval, over seeds and test rows; in brackets the paired "
        f"difference from {baseline}, bold where it holds after Holm's correction over the lines of the set."
    )
    with atomic_write(folder / "tables.md") as path:
        path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    with atomic_write(folder / "summary.csv") as path:
        found.summary[["set", *found.summary.columns.drop("set")]].to_csv(path, index=False)
    (folder / CURVES).mkdir(exist_ok=True)
    for column in found.columns:
        drawing = study_curves(grid, found.summary, column)
        if drawing is not None:
            publish(drawing, folder / CURVES)
    return found


def regret_table(found: StudyTables) -> str:
    """How far each line is behind the best value of the oracle's family, set by set, in Markdown.

    The best value is chosen on the same test rows, so it is an oracle that nobody has, and lucky by as much as its
    family is long: a line can be ahead of it, and its regret is then negative.
    """
    column, sets = found.columns[0], [one.name for one in found.grid.sets]
    head = f"| line | {' | '.join(sets)} | largest |\n|{'---|' * (len(sets) + 2)}"
    lines = []
    for line in found.grid.lines:
        mine = found.regrets[found.regrets["line"] == str(line)].to_dict("records")
        rows = {row["set"]: row for row in mine}
        cells = [_regret(column, rows[name]) if name in rows else "–" for name in sets]
        worst = column.signed(max((row["regret"] for row in mine), default=math.nan)).removeprefix("+")
        lines.append(f"| {line} | {' | '.join(cells)} | {worst} |")
    best = found.regrets.drop_duplicates("set").set_index("set")["best"]
    chosen = "; ".join(f"{name}: {best[name]}" for name in sets)
    unit = "points of " if column.percent else ""
    return "\n".join(
        [
            f"In {unit}{column.heading}, with the 95 % interval; bold where it holds after Holm's correction over the "
            f"lines of the set. Best by the test rows: {chosen}.",
            "",
            head,
            *lines,
        ]
    )


def terminal_study(found: StudyTables, width: int = 80) -> RenderableType:
    """The first measure of every line on every set, for a terminal: in as many tables as its width asks."""
    column = found.columns[0]
    unit = " %" if column.percent else ""
    last = found.summary[
        (found.summary["measure"] == column.name) & (found.summary["epoch_choice"] == "last")
    ]
    shown = {(row["line"], row["set"]): row for row in last.to_dict("records")}

    def cell(line: str, name: str) -> str:
        row = shown.get((line, name), {"mean": math.nan, "low": math.nan, "high": math.nan})
        text, half = column.text(row["mean"]), (row["high"] - row["low"]) / 2
        return text if math.isnan(half) else f"{text} ±{column.text(half)}"

    lines = [str(line) for line in found.grid.lines]
    sets = {one.name: [cell(line, one.name) for line in lines] for one in found.grid.sets}
    room = width - LEAST_METHOD - 4
    blocks: list[list[str]] = [[]]
    for name, cells in sets.items():
        needed = max(map(len, (name, *cells))) + 3
        if needed > room and blocks[-1]:
            blocks.append([])
            room = width - LEAST_METHOD - 4
        blocks[-1].append(name)
        room -= needed
    tables: list[Table] = []
    for block in blocks:
        title = "" if tables else f"{column.heading}{unit}, last epoch, mean over seeds"
        table = Table(title=title or None, title_justify="left")
        table.add_column("method", overflow="fold", min_width=LEAST_METHOD)
        for name in block:
            table.add_column(escape(name), justify="right", no_wrap=True)
        for place, line in enumerate(lines):
            table.add_row(escape(line), *(sets[name][place] for name in block))
        tables.append(table)
    return Group(*tables)


def _of_grid(comparison: Comparison, grid: Grid) -> Comparison:
    """A set's comparison without what the grid no longer names."""
    lines = [str(line) for line in grid.lines if str(line) in comparison.lines]
    results = comparison.results
    kept = results[results["method"].isin(lines) & (results["seed"] < grid.seeds)]
    runs = [run for run in comparison.runs if run.line in lines and run.seed < grid.seeds]
    return replace(comparison, results=kept, lines=lines, runs=runs)


def _regrets(grid: Grid, comparison: Comparison, tested: TestedRuns) -> pd.DataFrame:
    """Each line's regret on one set."""
    column = Column.of(grid.measures[0])
    last = comparison.results[comparison.results["epoch_choice"] == "last"]
    best = _best(last, [line for line in grid.lines if line.family == grid.oracle], column)
    found = summarise(last, measures=[column.name], baseline=best, tested=tested)
    sign = -1.0 if column.better == "higher" else 1.0
    ends = [sign * found["difference_low"], sign * found["difference_high"]]
    regret = (sign * found["difference"]).where(found["line"] != best, 0.0)
    return pd.DataFrame(
        {
            "line": found["line"],
            "best": best,
            "regret": regret,
            "low": ends[1] if sign < 0 else ends[0],
            "high": ends[0] if sign < 0 else ends[1],
            "corrected": found["difference_corrected"],
        }
    )


def _best(results: pd.DataFrame, lines: Sequence[GridLine], column: Column) -> str:
    means = {str(line): results.loc[results["method"] == str(line), column.name].mean() for line in lines}
    pick = min if column.better == "lower" else max
    return pick(means, key=lambda line: means[line])


def _regret(column: Column, row: Mapping[Hashable, Any]) -> str:
    text, *ends = (column.signed(row[name]).removeprefix("+") for name in ("regret", "low", "high"))
    if row["line"] == row["best"] or math.isnan(row["low"]):
        return text
    return f"{f'**{text}**' if row['corrected'] < LEVEL else text} [{', '.join(ends)}]"
