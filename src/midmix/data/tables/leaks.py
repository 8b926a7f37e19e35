"""Warnings of what makes a test too easy: a column that gives the label, test rows that were trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from midmix.data.dataset import Labelled
from midmix.data.labels import listing
from midmix.data.tables.choose import ROWS_TO_JUDGE
from midmix.data.tables.column import TableColumn

SURE = 0.99
"""A column whose balanced accuracy on test rows, by itself, is so high is warned of."""
FEWEST_OF_A_CLASS = 3
"""Classes with fewer test rows say nothing of a column."""


def leak_notes(train: Labelled, test: Labelled, table: Sequence[TableColumn]) -> tuple[str, ...]:
    """What there is to warn of in a table's splits; nothing for what is no table, or has fewer than 20 test rows.

    Example:
        >>> import torch
        >>> rows, labels = torch.rand(60, 2), torch.arange(60) % 2
        >>> rows[:, 1] = 5 + labels
        >>> train, test = (Labelled(rows[part], labels[part], ("a", "b")) for part in (slice(0, 30), slice(30, 60)))
        >>> leak_notes(train, test, (TableColumn("x", "number"), TableColumn("paid", "number")))
        ("columns that alone give the label of the test rows: 'paid'; if they are written after it is known, ...",)
    """
    if not table or len(test) < ROWS_TO_JUDGE:
        return ()
    assert isinstance(train.inputs, Tensor)
    assert isinstance(test.inputs, Tensor)
    own, other = train.inputs.numpy(), test.inputs.numpy()
    labels, tested = train.labels.numpy(), test.labels.numpy()
    notes = []
    sure = [
        column.name
        for place, column in enumerate(table)
        if _alone(own[:, place], labels, other[:, place], tested, len(train.classes)) >= SURE
    ]
    if sure:
        notes.append(
            f"columns that alone give the label of the test rows: {listing(sure)}; if they are written after it is "
            "known, --exclude them"
        )
    if twice := int(np.isin(_whole_rows(other), _whole_rows(own)).sum()):
        notes.append(
            f"test rows that are among the training rows too, alike in every column: {twice:,} of {len(test):,}; if "
            "one thing was written down twice, keep it in one split"
        )
    return tuple(notes)


def _alone(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, tested: np.ndarray, classes: int
) -> float:
    """Balanced accuracy on test rows of the most frequent class at the nearest value of one column."""
    values, places = np.unique(np.nan_to_num(train, nan=-np.inf), return_inverse=True)
    pairs, counts = np.unique(places * classes + labels, return_counts=True)
    order = np.lexsort((counts, pairs // classes))  # of each value the most frequent class comes last
    best = np.empty(len(values), dtype=np.int64)
    best[pairs[order] // classes] = pairs[order] % classes
    asked = np.nan_to_num(test, nan=-np.inf)
    above = np.searchsorted(values, asked).clip(max=len(values) - 1)
    below = (above - 1).clip(min=0)
    with np.errstate(invalid="ignore"):  # a hole beside a hole
        nearer = np.abs(asked - values[below]) < np.abs(values[above] - asked)
    right = best[np.where(nearer, below, above)] == tested
    sizes = np.bincount(tested, minlength=classes)
    hits = np.bincount(tested, right, minlength=classes)
    told = sizes >= FEWEST_OF_A_CLASS
    return float((hits[told] / sizes[told]).mean()) if told.sum() > 1 else 0.0


def _whole_rows(values: np.ndarray) -> np.ndarray:
    """Each row as one value that can be compared."""
    rows = np.ascontiguousarray(values + 0.0)  # of the two zeros one
    return rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0]
