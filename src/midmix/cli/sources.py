"""How commands that train open a source: its rows as the network wants them, or an encoder's features of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from midmix import data
from midmix.cli.console import aside, introduce, note
from midmix.data import Source, Splits
from midmix.errors import InputError
from midmix.models import Encoder, ImageInputs
from midmix.models.tuning import ALL, HEAD
from midmix.studies.interruption import interruptible
from midmix.training import Settings, embedded
from midmix.training.encoders import encoder_of
from midmix.training.settings import CROP, parts_of


def open_source(
    source: str, reading: dict[str, Any], training: dict[str, Any], splits: Splits = "fixed"
) -> tuple[Source, dict[str, Any]]:
    """The source, introduced, and what is said of training; features in place of rows where only a head is trained."""
    encoder = encoder_for(training)
    if encoder is not None and training["tune"] is None:
        training = {**training, "tune": HEAD}
    if training["tune"] not in (None, ALL) and encoder is None:
        raise InputError(
            f"--tune {training['tune']}: is for a pretrained encoder; name one with --network, such as timm:NAME"
        )
    head = training["tune"] == HEAD
    crops = CROP in parts_of(
        training["augment"] or "none"
    )  # of the photo, not of the square that it is scaled to
    loaded = data.load(source, **reading_for(reading, encoder, lazy=head or crops))
    introduce(loaded, splits)
    if encoder is None or not head:
        return loaded, training
    return features_of(loaded, encoder), training


def encoder_for(training: dict[str, Any]) -> Encoder | None:
    """The encoder that the flags name, if they name one."""
    if training["network"] is None:
        return None
    settings = Settings.for_kind("images", network=training["network"], weights=training["weights"])
    return encoder_of(settings, say=note)


def reading_for(reading: dict[str, Any], encoder: Encoder | None, *, lazy: bool) -> dict[str, Any]:
    """How to read a source: as is said, and images as the encoder wants them."""
    if encoder is None or not isinstance(encoder.inputs, ImageInputs):
        return {**reading, "lazy": lazy and reading["image_size"] is not None}
    own = {**encoder.inputs.reading(), "lazy": lazy}
    if reading["image_size"] is not None:
        own |= {"image_size": reading["image_size"], "scaled_later": False}
    return {**reading, **own}


def features_of(loaded: Source, encoder: Encoder) -> Source:
    """The source with the encoder's features, computed or found."""
    with interruptible() as stop, progress_of_rows("features") as watch:
        found = embedded(loaded, encoder, watch=watch, stop=stop.is_set)
    assert found.encoding is not None
    note(f"features: {found.train.shape[0]} of {encoder.network}, weights {found.encoding.encoder['digest']}")
    return found


@contextmanager
def progress_of_rows(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar over rows."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=aside, transient=True, refresh_per_second=5,
    ) as progress:  # fmt: skip
        bar = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
