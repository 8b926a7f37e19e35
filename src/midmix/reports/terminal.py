"""The comparison's table in a terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from midmix.reports.cells import Cell, Row, notes_of, table_rows
from midmix.reports.columns import Column, outcome_columns
from midmix.reports.lines import baseline_of, with_methods
from midmix.reports.outcomes import TestedRuns
from midmix.reports.summary import summarise

_DROPPED_WHEN_NARROW = (
    "Brier", "ROC-AUC", "recall at 90%", "NLL", "many", "medium", "ECE", "precision", "recall", "balanced"
)  # fmt: skip
_STYLES = {"better": "green", "worse": "red", "": "dim"}


def terminal_table(
    results: pd.DataFrame,
    columns: Sequence[Column] | None = None,
    *,
    dropped: Sequence[str] = _DROPPED_WHEN_NARROW,
    unranked: Collection[str] = (),
    baseline: str | None = None,
    tested: TestedRuns | None = None,
) -> RenderableType:
    """The headline table (last epoch) for ``rich``: mean ± half the 95 % interval; below it the paired difference.

    A terminal that is too narrow gets fewer columns (those headed as in ``dropped``, in that order), and is told which
    are left out; no number is ever cut.

    Raises:
        InputError: as ``summarise``.

    Example:
        >>> runs = pd.DataFrame({"method": ["erm"], "seed": 0, "split_hash": "a",
        ...     "epoch_choice": "last", "accuracy": 0.779, "balanced_accuracy": 0.7, "many": 0.9, "medium": 0.7,
        ...     "few": 0.445, "nll": 0.9, "ece": 0.1})
        >>> console = Console(width=100, force_terminal=False)
        >>> with console.capture() as capture:
        ...     console.print(terminal_table(runs))
        >>> "77.9" in capture.get() and "n = 1" in capture.get()
        True
    """
    results = with_methods(results)
    baseline = baseline_of(results, baseline)
    if columns is None:
        columns = outcome_columns(results.columns)
    summary = summarise(
        results,
        measures=[column.name for column in columns],
        baseline=baseline if (results["method"] == baseline).any() else None,
        tested=tested,
    )
    return _Headline(table_rows(summary, "last", columns, unranked=unranked), columns, dropped, baseline)


class _Headline:
    """Picks its columns when it learns the terminal's width."""

    def __init__(
        self, rows: list[Row], columns: Sequence[Column], dropped: Sequence[str], baseline: str
    ) -> None:
        self.rows, self.columns, self.dropped, self.baseline = rows, columns, dropped, baseline

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        left_out: list[str] = []
        table = self._table(left_out)
        there = {column.heading for column in self.columns}
        for heading in (one for one in self.dropped if one in there):
            if Measurement.get(console, options.update(width=10_000), table).maximum <= options.max_width:
                break
            left_out.append(heading)
            table = self._table(left_out)
        yield table
        yield Text(self._note(left_out), style="dim")

    def _table(self, left_out: list[str]) -> Table:
        table = Table(title="Last epoch, mean over seeds ± half the 95 % interval", title_justify="left")
        table.add_column("method", no_wrap=True)
        shown = [i for i, column in enumerate(self.columns) if column.heading not in left_out]
        for i in shown:
            column = self.columns[i]
            arrow = " ↓" if column.better == "lower" else ""
            table.add_column(
                column.heading + (" %" if column.percent else arrow), justify="right", no_wrap=True
            )
        table.add_column("seeds", justify="right", no_wrap=True)
        for row in self.rows:
            label = Text("\n".join(row.parts))
            seeds = f"{row.seeds}\n{row.diverged} diverged" if row.diverged else str(row.seeds)
            table.add_row(label, *(_text(row.cells[i]) for i in shown), seeds, end_section=True)
        return table

    def _note(self, left_out: list[str]) -> str:
        notes = []
        if any(row.paired for row in self.rows):
            notes.append(
                f"Second line: paired difference from {self.baseline} on the same seeds and splits; in colour where "
                "it holds after Holm's correction."
            )
        elif not any(row.is_baseline for row in self.rows):
            notes.append(f"No differences: the baseline {self.baseline} was not run.")
        notes += notes_of(self.rows)
        if left_out:
            notes.append(f"Left out for the terminal's width: {', '.join(left_out)}.")
        return " ".join(notes)


def _text(cell: Cell) -> Text:
    text = Text(cell.mean, style="bold" if cell.best else "")
    if cell.half:
        text.append(f" {_plus_minus(cell.half)}", style="not bold dim")
    text.append(cell.mark, style="not bold dim")
    if cell.difference:
        text.append(f"\n{cell.difference}", style=f"not bold {_STYLES[cell.verdict]}")
        text.append(f" {_plus_minus(cell.difference_half)}", style="not bold dim")
    return text


def _plus_minus(half: str) -> str:
    return half if half.startswith("n") else f"±{half}"
