"""A comparison's tables as Markdown, for a paper's draft, a README or an issue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from midmix.files import atomic_write
from midmix.reports.cells import Cell, table_rows
from midmix.reports.collapse import collapse_measures
from midmix.reports.columns import Column, collapse_columns, outcome_columns
from midmix.reports.commands import choices_of, tuning_of
from midmix.reports.comparison import read_comparison
from midmix.reports.decisions import decided_columns, decided_tables
from midmix.reports.outcomes import tested_runs
from midmix.reports.summary import summarise

CHOICES = {
    "last": "Last epoch",
    "validation": "Epoch chosen on the validation split",
    "test_oracle": "Best evaluated epoch on the test split (an oracle)",
}


def markdown_table(
    summary: pd.DataFrame, epoch_choice: str = "last", columns: Sequence[Column] | None = None
) -> str:
    """One epoch choice of what `summarise` found: mean ± half the 95 % interval, and in brackets the paired
    difference from the baseline ± half its interval; bold where it holds after Holm's correction over the lines.

    Example:
        >>> runs = pd.DataFrame({"method": ["erm", "mixup"], "seed": 0,
        ...     "split_hash": "a", "epoch_choice": "last", "accuracy": [0.75, 0.5]})
        >>> print(markdown_table(summarise(runs, measures=["accuracy"])))
        | method | overall % | seeds |
        |---|---|---|
        | erm | 75.0 (n = 1) | 1 |
        | mixup | 50.0 (n = 1) [−25.0] | 1 |
    """
    table = text_table(summary, epoch_choice, columns)
    lines = [f"| {' | '.join(table.columns)} |", f"|{'---|' * len(table.columns)}"]
    lines += [f"| {' | '.join(row)} |" for row in table.itertuples(index=False)]
    return "\n".join(lines)


def text_table(
    summary: pd.DataFrame, epoch_choice: str = "last", columns: Sequence[Column] | None = None
) -> pd.DataFrame:
    """The cells of `markdown_table`, as texts."""
    if columns is None:
        columns = outcome_columns(summary["measure"].unique())
    headings = [f"{column.heading}{' %' if column.percent else ''}{_arrow(column)}" for column in columns]
    rows = [
        [
            row.line,
            *map(_text, row.cells),
            f"{row.seeds}{f' ({row.diverged} diverged)' if row.diverged else ''}",
        ]
        for row in table_rows(summary, epoch_choice, columns)
    ]
    return pd.DataFrame(rows, columns=["method", *headings, "seeds"])


def write_tables(folder: Path | str, *, baseline: str | None = None) -> Path:
    """Writes `tables.md` into a comparison's folder: every epoch choice, decisions of two classes, collapse."""
    folder = Path(folder)
    comparison = read_comparison(folder, baseline)
    results, tested = comparison.results, tested_runs(comparison)
    summary = summarise(results, baseline=baseline, tested=tested)
    parts = [
        f"## {title}\n\n{markdown_table(summary, choice)}"
        for choice, title in CHOICES.items()
        if choice in set(results["epoch_choice"])
    ]
    parts += [
        f"## {decided.heading}\n\n{markdown_table(decided.summary, 'last', decided_columns())}"
        for decided in decided_tables(comparison, tested)
    ]
    measured = collapse_measures(comparison)
    if len(measured):
        columns = collapse_columns(measured.columns)
        names = [column.name for column in columns]
        table = markdown_table(summarise(measured, measures=names, baseline=baseline), "last", columns)
        parts.append(f"## Measures of collapse, test features at the last epoch\n\n{table}")
    records = [run.about for run in comparison.runs]
    choices = [f"- {choice}" for choice in choices_of(records)]
    parts.append("\n".join([tuning_of(records), *([""] if choices else []), *choices]))
    return save_tables(folder, parts, comparison.baseline)


def save_tables(folder: Path, parts: Sequence[str], baseline: str) -> Path:
    """Writes these parts to `tables.md`, and below them how to read a cell."""
    note = (
        "Mean over seeds ± half the 95 % interval, which counts seeds and test rows at the last epoch and seeds alone "
        f"elsewhere and for ECE and collapse; in brackets the paired difference from {baseline} on the same seeds and "
        "splits, bold where it holds after Holm's correction over the lines. "
        "† fewer than 30 test rows; ‡ the same value or difference in every seed."
    )
    path = folder / "tables.md"
    with atomic_write(path) as part:
        part.write_text("\n\n".join([*parts, note]) + "\n", encoding="utf-8")
    return path


def _text(cell: Cell) -> str:
    half = f" ±{cell.half}" if cell.half and "n" not in cell.half else f" ({cell.half})" if cell.half else ""
    if not cell.difference:
        return f"{cell.mean}{half}{cell.mark}"
    difference = cell.difference
    if cell.difference_half and "n" not in cell.difference_half:
        difference += f" ±{cell.difference_half}"
    return f"{cell.mean}{half} [{f'**{difference}**' if cell.verdict else difference}]{cell.mark}"


def _arrow(column: Column) -> str:
    return " ↓" if column.better == "lower" else ""
