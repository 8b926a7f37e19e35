"""What the commands print beside their tables: notes and progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from midmix.data import Source
from midmix.studies import Progress as Standing
from midmix.training import Settings, StepInfo

console = Console()
aside = Console(stderr=True)


def note(text: str) -> None:
    """A line on standard error, for what a user should know but did not ask for."""
    aside.print(f"[dim]{escape(text)}[/dim]", highlight=False, soft_wrap=True)  # a path stays in one piece


def introduce(source: Source) -> None:
    """What was read: rows, classes, and every choice that was made."""
    shape = "×".join(map(str, source.train.shape))
    note(
        f"{source.name}: {len(source.train):,} training and {len(source.test):,} test rows of {shape} "
        f"{source.train.kind}, {len(source.train.classes)} classes"
    )
    for line in source.notes:
        note(line)


def settings_for(source: Source, given: dict[str, Any]) -> Settings:
    """How to train on a source: what is given, and defaults for its rows; a network that was told by them is said."""
    settings = Settings.for_rows(source.train, **given)
    if given["network"] is None and settings.network == "linear":
        note(
            f"network: linear, for {source.train.shape[0]} measured columns alike in scale are taken for an encoder's "
            "features; --network mlp puts hidden layers before the classifier"
        )
    return settings


@contextmanager
def progress_of_runs() -> Iterator[Callable[[Standing], None]]:
    """A bar over all runs, and one for each run in progress with its rate, λ and clean training accuracy."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[facts]}"), console=aside, transient=True, refresh_per_second=5,
    ) as progress:  # fmt: skip
        everything = progress.add_task("all runs", total=None, facts="")
        bars: dict[str, TaskID] = {}

        def watch(standing: Standing) -> None:
            progress.update(everything, completed=standing.done, total=standing.total)
            if standing.ended:
                if standing.run in bars:
                    progress.remove_task(bars.pop(standing.run))
                return
            if standing.run not in bars:
                bars[standing.run] = progress.add_task(escape(standing.run), total=None, facts="")
            if (moment := standing.moment) is not None:
                done = (moment.epoch - 1) * moment.steps + moment.step
                total = moment.epochs * moment.steps
                progress.update(bars[standing.run], completed=done, total=total, facts=_facts(moment))

        yield watch


def _facts(moment: StepInfo) -> str:
    accuracy = "" if math.isnan(moment.train_accuracy) else f" · clean accuracy {moment.train_accuracy:.1%}"
    return f"{moment.rate:,.0f} rows/s · λ {moment.ratio:.3f}{accuracy}"
