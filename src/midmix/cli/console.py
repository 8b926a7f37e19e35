"""What the commands print beside their tables, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from midmix.data import Source, Splits
from midmix.data.texts import TextRows
from midmix.training import Settings

console = Console()
aside = Console(stderr=True)


def note(text: str) -> None:
    """A line on standard error, for what a user should know but did not ask for."""
    aside.print(f"[dim]{escape(text)}[/dim]", highlight=False, soft_wrap=True)  # a path stays in one piece


def introduce(source: Source, splits: Splits = "fixed") -> None:
    """What was read: rows, classes, and every choice that was made."""
    shape = "×".join(map(str, source.train.shape))
    what = "texts" if isinstance(source.train.inputs, TextRows) else f"rows of {shape} {source.train.kind}"
    note(
        f"{source.name}: {len(source.train):,} training and {len(source.test):,} test {what}, "
        f"{_counted(len(source.train.classes), 'class', 'classes')}"
    )
    for line in source.notes:
        note(line)
    if source.drawn and splits == "drawn":
        note(
            "test split: that one gives the numbers of rows; each seed draws its own (--splits fixed: one for all)"
        )


def _counted(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def settings_for(source: Source, given: dict[str, Any]) -> Settings:
    """How to train on a source: what is given, and defaults for its rows; a network that was told by them is said."""
    settings = Settings.for_rows(source.train, **given)
    if given["network"] is None and settings.network == "linear":
        note(
            f"network: linear, for {source.train.shape[0]} measured columns alike in scale are taken for an encoder's "
            "features; --network mlp puts hidden layers before the classifier"
        )
    return settings


def note_trained(record: Mapping[str, Any]) -> None:
    """How many of a pretrained encoder's weights a run trained."""
    trained, every = record.get("trained_parameters"), record["parameters"]
    if record.get("encoder") is not None and trained and every:
        tune = record["settings"]["tune"]
        note(f"--tune {tune}: {trained:,} of {every:,} weights were trained ({trained / every:.2%})")
