"""Another test split of a source that has none of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from midmix.data.dataset import Inputs, Labelled, Source
from midmix.data.images import LazyImages
from midmix.data.mapped import MappedRows
from midmix.data.split import draw_per_class
from midmix.data.texts import TextRows
from midmix.errors import InputError

Splits = Literal["drawn", "fixed"]
"""Whether each seed draws a test split of its own, or all have that of the source as it was loaded."""


def redrawn(source: Source, *, seed: int) -> tuple[Source, Tensor]:
    """The same rows with a test split drawn anew: as many rows of each class as before, without replacement.

    What all seeds' tests share is then the table alone, and no longer the luck of one draw of test rows.

    Args:
        source: one whose test rows were drawn from its own (`Source.drawn`).
        seed: draws the rows.

    Returns:
        The source, and which rows are test rows, numbered through training and then test rows of the given one.

    Raises:
        InputError: for rows that are decoded in a way of their own and cannot be put together again.

    Example:
        >>> from midmix.data import load
        >>> digits = load("digits")
        >>> again, rows = redrawn(digits, seed=1)
        >>> again.test.counts().equal(digits.test.counts()), again.test.inputs.equal(digits.test.inputs)
        (True, False)
    """
    whole = Labelled(
        _joined(source.name, source.train.inputs, source.test.inputs),
        torch.cat([source.train.labels, source.test.labels]),
        source.train.classes,
    )
    rows = draw_per_class(whole.labels, source.test.counts(), seed=seed)
    stays = torch.ones(len(whole), dtype=torch.bool)
    stays[rows] = False
    found = replace(source, train=whole.select(stays.nonzero().flatten()), test=whole.select(rows))
    return found, rows


def _joined(name: str, first: Inputs, second: Inputs) -> Inputs:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.cat([first, second])
    if isinstance(first, LazyImages) and isinstance(second, LazyImages) and first.encoded is second.encoded:
        return replace(first, rows=torch.cat([first.rows, second.rows]))
    if isinstance(first, MappedRows) and isinstance(second, MappedRows) and first.same_file(second):
        return replace(first, places=torch.cat([first.places, second.places]))
    if isinstance(first, TextRows) and isinstance(second, TextRows) and first.texts is second.texts:
        return replace(first, rows=torch.cat([first.rows, second.rows]))
    raise InputError(
        f"{name}: its rows cannot be put together to draw another test split; keep the one there is, "
        'splits="fixed" (--splits fixed)'
    )
