"""What a transfer from groups to their members has shown: the table, the page, and the tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from rich.console import RenderableType

from midmix.reports.cells import table_rows
from midmix.reports.columns import Column
from midmix.reports.commands import paste
from midmix.reports.drawing import Drawing, panel
from midmix.reports.figures.axes import percent
from midmix.reports.figures.dots import beside_names, dots
from midmix.reports.figures.projection import Projection
from midmix.reports.figures.projection import projection as projected
from midmix.reports.health import health_of
from midmix.reports.markdown import markdown_table, save_tables
from midmix.reports.page import facts, legend, title_of
from midmix.reports.rendering import publish_all, render, save
from midmix.reports.subjects import Classes, Output, Subject
from midmix.reports.summary import summarise
from midmix.reports.terminal import terminal_table
from midmix.reports.theme import CLASS_COLOURS
from midmix.reports.transfer_verdict import transfer_verdict
from midmix.reports.transferred import (
    BOUNDS,
    TRANSFER_COLUMNS,
    WITHIN_COLUMNS,
    Outcome,
    Transferred,
    read_transfer,
)
from midmix.reports.verdict import in_terminal

_SHOWN = ("accuracy", "knn_accuracy", "finetuned_accuracy")


def transfer_table(found: Transferred) -> RenderableType:
    """The headline table for ``rich``; see ``terminal_table``."""
    spread = next(column for column in WITHIN_COLUMNS if column.name == "within_spread")
    return terminal_table(
        found.results,
        (*found.known(TRANSFER_COLUMNS), spread),
        dropped=("probe ECE", "probe NLL", "groups", "spread"),
        unranked=BOUNDS,
        tested=found.tested,
    )


def terminal_transfer_verdict(found: Transferred, again: Sequence[str] = ()) -> RenderableType:
    """The verdict for ``rich``, with the next command at its end; arguments as for `transfer_verdict`."""
    return in_terminal(transfer_verdict(found, again))


def write_transfer(folder: Path | str, *, projection: Projection = "pca", again: Sequence[str] = ()) -> Path:
    """Write ``report.html``, ``figures/`` and ``tables.md`` into the folder of a finished transfer; returns the page.

    Args:
        folder: what ``midmix transfer --out`` wrote.
        projection: ``"pca"`` or ``"umap"``.
        again: the command that wrote it, see `transfer_verdict`.

    Raises:
        InputError: no results of a transfer in the folder, or UMAP is asked for and not installed.
    """
    folder = Path(folder)
    found = read_transfer(folder)
    comparison, results, outcomes = found.comparison, found.results, found.outcomes
    columns, within = found.known(TRANSFER_COLUMNS), found.known(WITHIN_COLUMNS)
    verdict = transfer_verdict(found, again)
    summary = summarise(
        results, measures=[column.name for column in (*columns, *within)], tested=found.tested
    )
    lines = comparison.lines
    subjects = [_subject(position, line, outcomes) for position, line in enumerate(lines)]
    shown = _largest_group(outcomes[0])
    drawings = (
        _accuracies(subjects, found),
        _collapse(subjects, results),
        _one_group(subjects, outcomes[0], shown, projection),
    )
    about = outcomes[0].about
    html = render(
        "transfer.html.j2",
        title=title_of(comparison),
        in_short=f"{len(lines)} lines · {results['seed'].nunique()} seeds · {len(about['fine'])} classes in "
        f"{len(about['coarse'])} groups · {results['network'].iloc[0]}",
        verdict=verdict,
        next=[(step.why, paste(step.command)) for step in verdict.next],
        baseline=comparison.baseline,
        has_baseline=comparison.baseline in lines,
        rows=table_rows(summary, "last", columns, unranked=BOUNDS),
        columns=columns,
        within_rows=table_rows(summary, "last", within, unranked=BOUNDS),
        within_columns=within,
        figures=publish_all(drawings, folder / "figures"),
        health=health_of(comparison),
        legend=legend(lines),
        groups=_members(about),
        facts=facts(comparison),
    )
    tables = [
        f"## Fine classes, last epoch\n\n{markdown_table(summary, 'last', columns)}",
        f"## Measures within groups, test features at the last epoch\n\n{markdown_table(summary, 'last', within)}",
    ]
    save_tables(folder, tables, comparison.baseline)
    return save(html, folder)


def _subject(position: int, line: str, outcomes: Sequence[Outcome]) -> Subject:
    """A line with the outputs of its first seed: no figure draws more of them."""
    first = min((one for one in outcomes if one.line == line), key=lambda one: int(one.about["row"]["seed"]))
    return Subject(position, line, [first.output()])


def _largest_group(outcome: Outcome) -> int:
    """The group with most classes that ten colours can tell apart, else the first of the smallest."""
    sizes = np.bincount(outcome.about["group"])
    few = np.flatnonzero(sizes <= len(CLASS_COLOURS))
    return int(few[sizes[few].argmax()]) if len(few) else int(sizes.argmin())


def _values(subjects: Sequence[Subject], results: pd.DataFrame, column: str) -> dict[str, np.ndarray]:
    return {one.label: results.loc[results["method"] == one.label, column].to_numpy() for one in subjects}


def _accuracies(subjects: Sequence[Subject], found: Transferred) -> Drawing:
    """Fine accuracy of every line and seed, by each way to ask for it."""
    panels, results = [], found.results
    columns = [column for column in found.known(TRANSFER_COLUMNS) if column.name in _SHOWN]
    for column in columns:

        def draw(figure: Figure, column: Column = column) -> None:
            axes = dots(figure, subjects, _values(subjects, results, column.name))
            percent(axes.xaxis)
            axes.set_xlabel("accuracy on the fine classes, %")

        name = f"fine-accuracy-{column.name.replace('_', '-')}"
        panels.append(panel(name, column.heading, 3.4, draw, margins=beside_names(subjects)))
    return Drawing(
        "fine-accuracy",
        "Fine classes from features that were trained on groups",
        "Each small mark is a seed, the large one their mean with its 95 % interval; to the right is better. "
        "fine-labels was trained on the fine classes themselves, random-encoder not at all.",
        panels,
        results[["method", "seed", *(column.name for column in columns)]],
    )


def _collapse(subjects: Sequence[Subject], results: pd.DataFrame) -> Drawing:
    """Spread and variability of the members within their groups."""
    shown = {
        "within_spread": "members' distance / groups' distance",
        "within_nc1": "NC1 of the classes within their group",
    }
    panels = []
    for name, axis in shown.items():

        def draw(figure: Figure, name: str = name, axis: str = axis) -> None:
            axes = dots(figure, subjects, _values(subjects, results, name))
            axes.set_xlabel(axis, fontsize=10)

        title = "spread" if name == "within_spread" else "NC1"
        panels.append(panel(f"members-{title.lower()}", title, 3.4, draw, margins=beside_names(subjects)))
    return Drawing(
        "members",
        "Collapse within groups",
        "Mean over groups, a mark a seed. Spread: 0 where the classes of a group lie on one point; to the right they "
        "lie farther apart, measured by the distance of the groups. NC1: scatter of the rows within a class against "
        "that of the classes within their group; to the left the classes of a group are easier to tell apart.",
        panels,
        results[["method", "seed", *shown]],
    )


def _one_group(
    subjects: Sequence[Subject], outcome: Outcome, group: int, projection: Projection
) -> Drawing | None:
    """The members of one group, projected."""
    about = outcome.about
    members = np.flatnonzero(np.asarray(about["group"]) == group)
    inside = [replace(one, outputs=[_only(output, members) for output in one.outputs]) for one in subjects]
    drawing = projected(inside, Classes([about["fine"][c] for c in members]), projection)
    if drawing is None:
        return None
    return replace(
        drawing,
        name="one-group",
        heading=f"Inside one group: {about['coarse'][group]} ({projection.upper()})",
        caption=f"Test rows of the {len(members)} fine classes of this group only. {drawing.caption}",
    )


def _only(output: Output, members: np.ndarray) -> Output:
    """The rows of these classes, which are numbered anew."""
    kept = torch.from_numpy(members)
    rows = torch.isin(output.labels, kept)
    return Output(output.features[rows], torch.searchsorted(kept, output.labels[rows]))


def _members(about: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [
        (name, [fine for fine, group in zip(about["fine"], about["group"], strict=True) if group == index])
        for index, name in enumerate(about["coarse"])
    ]
