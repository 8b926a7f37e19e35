"""The rows of one run: which train, which choose the epoch, which test; drawn from a seed and named by a hash."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from midmix.data import (
    Hierarchy,
    Labelled,
    Source,
    Splits,
    TableColumn,
    long_tailed,
    redrawn,
    split_hash,
    validation_split,
)
from midmix.data.content import content_order
from midmix.data.mapped import MappedRows
from midmix.errors import InputError
from midmix.training.seeds import TEST_ROWS, stream

if TYPE_CHECKING:
    from midmix.data import Preparation


@dataclass(frozen=True)
class Split:
    """Training, validation and test rows of a run; `hash` names the training and validation rows drawn.

    Where test rows were drawn anew, `test_rows` numbers them through the source's training and test rows. Of a table,
    `preparation` is what was learnt of the training rows, to make features of the columns of all.

    Example:
        >>> from midmix.data import load
        >>> split = draw_split(load("digits"), seed=0, validation=0.2)
        >>> len(split.train), len(split.validation), len(split.test)
        (862, 216, 719)
    """

    train: Labelled
    test: Labelled
    validation: Labelled | None
    hash: str
    preparation: Preparation | None = None
    test_rows: Tensor | None = None


def draw_split(
    source: Source,
    *,
    seed: int,
    imbalance: float | None = None,
    profile: Literal["exp", "step"] = "exp",
    validation: float = 0.0,
    groups: Hierarchy | None = None,
    ranks: Literal["fixed", "drawn"] = "fixed",
    splits: Splits = "fixed",
) -> Split:
    """Draws a run's rows from a source, without replacement.

    Validation rows are drawn first, a share of every class; then, where `imbalance` is given, the long-tailed
    subsample from what is left. The test rows are the source's own, the same for every seed; where it has none,
    `splits` "drawn" draws them anew for each seed. Features of a table's columns are made last, by what the training
    rows that are left say of them; then training rows of features are put into an order of their contents, so that the
    same table in another order is trained on alike.

    Args:
        source: labelled training and test data.
        seed: of both draws.
        imbalance: rows of the largest class over rows of the smallest; None keeps the source's own counts.
        profile: how the counts fall from the first class to the last, "exp" or "step".
        validation: share of the training rows held out to choose an epoch by; 0 for none.
        ranks: which class is the largest, and so on: the order of the classes, "fixed", or "drawn" from the seed.
        splits: of a source without a test split of its own: whether its test rows are the same for every seed, "fixed",
            or "drawn" from the seed; of others no matter.
        groups: label the rows, once they are drawn by their own labels, with the groups of these.

    Raises:
        InputError: as `midmix.data.long_tailed` and `midmix.data.validation_split` do, and where a share for
            validation comes to no row.

    Example:
        >>> from midmix.data import load
        >>> draw_split(load("digits"), seed=0, imbalance=50).train.counts().tolist()
        [107, 69, 44, 29, 18, 12, 7, 5, 3, 2]
    """
    if not len(source.train):
        raise InputError(f"{source.name}: has no training rows")
    test_rows = None
    if splits == "drawn" and source.drawn:
        source, test_rows = with_test_rows_of(source, seed)
    rows = torch.arange(len(source.train))
    held_out = rows[:0]
    if validation:
        rows, held_out = validation_split(source.train.labels, fraction=validation, seed=seed)
        if not len(held_out):
            raise InputError(
                f"validation: a share of {validation:g} holds out none of {len(rows)} training rows, for no class of "
                f"{source.name} has two; add rows, or leave validation out where it can be"
            )
    if imbalance is not None:
        drawn = long_tailed(
            source.train.labels[rows],
            imbalance_ratio=imbalance,
            profile=profile,
            seed=seed,
            classes=source.train.classes,
            ranks=ranks,
        )
        rows = rows[drawn]
    label = (lambda data: data) if groups is None else groups.coarsened
    train, test = label(source.train.select(rows)), label(source.test)
    out = label(source.train.select(held_out)) if validation else None
    digest = split_hash(rows, held_out, *(() if test_rows is None else (test_rows,)))
    found = Split(train=train, test=test, validation=out, hash=digest)
    found = replace(found, test_rows=test_rows)
    if source.table:
        found = _prepared(found, source.table)
    return replace(found, train=_in_order(found.train))


def with_test_rows_of(source: Source, seed: int) -> tuple[Source, Tensor]:
    """A source without a test split of its own, with that of a run of this seed; see `midmix.data.redrawn`."""
    return redrawn(source, seed=stream(seed, TEST_ROWS))


def _prepared(split: Split, table: tuple[TableColumn, ...]) -> Split:
    from midmix.data.tables.preparation import Preparation  # scikit-learn takes a second

    assert isinstance(split.train.inputs, Tensor)
    preparation = Preparation.fit(split.train.inputs, table)
    return Split(
        train=preparation.applied(split.train),
        test=preparation.applied(split.test),
        validation=None if split.validation is None else preparation.applied(split.validation),
        hash=split.hash,
        preparation=preparation,
        test_rows=split.test_rows,
    )


def _in_order(rows: Labelled) -> Labelled:
    """Rows of features by their contents, in memory or mapped; images and texts as they are."""
    if not isinstance(rows.inputs, Tensor | MappedRows) or rows.kind != "features":
        return rows
    return rows.select(content_order(rows.inputs, rows.labels))
