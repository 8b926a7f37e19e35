"""A source as it was read, and what every source becomes: inputs, integer labels and the names of the classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from midmix.data.encoded import Encoded
from midmix.data.mapped import MappedRows
from midmix.data.tables.column import TableColumn


class LazyInputs(Protocol):
    """Rows that are decoded when they are asked for: large images, which do not fit in memory.

    Indexing with a LongTensor of rows gives the batch as one tensor, the same that eager inputs would give.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor) -> Tensor: ...

    def select(self, rows: Tensor) -> LazyInputs:
        """The same inputs, restricted to these rows; nothing is decoded."""
        ...


Inputs = Tensor | LazyInputs


def names_of(inputs: Inputs) -> tuple[str, ...]:
    """What each row is called: an image's path, or a number.

    Example:
        >>> names_of(torch.zeros(2, 3))
        ('0', '1')
    """
    source, rows = getattr(inputs, "encoded", None), getattr(inputs, "rows", None)
    if source is None or rows is None:
        return tuple(map(str, range(len(inputs))))
    return tuple(source.name(row) for row in rows.tolist())


@dataclass(frozen=True)
class Labelled:
    """Rows with a label each.

    Attributes:
        inputs: images, `uint8 [N, 3, H, W]`, or features, `float32 [N, D]`: a tensor, or a `LazyInputs` that
            decodes such a tensor for the rows it is indexed with.
        labels: class indices, `int64 [N]`, in `0 … C-1`.
        classes: the names of the C classes.

    Example:
        >>> data = Labelled(torch.rand(3, 2), torch.tensor([0, 1, 1]), ("cat", "dog"))
        >>> len(data), data.kind, data.shape, data.counts().tolist()
        (3, 'features', (2,), [1, 2])
        >>> data.select(torch.tensor([2])).counts().tolist()
        [0, 1]
    """

    inputs: Inputs
    labels: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def kind(self) -> Literal["images", "features"]:
        """`"images"` for rows `[3, H, W]`, `"features"` for rows `[D]`."""
        return "images" if len(self.shape) == 3 else "features"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row: `(3, H, W)` or `(D,)`."""
        return tuple(self.inputs.shape[1:]) if isinstance(self.inputs, Tensor) else self.inputs.shape

    def select(self, rows: Tensor) -> Labelled:
        """These rows, in this order; lazy inputs stay lazy."""
        inputs = self.inputs[rows] if isinstance(self.inputs, Tensor) else self.inputs.select(rows)
        return replace(self, inputs=inputs, labels=self.labels[rows])

    def counts(self) -> Tensor:
        """Rows of each class, `int64 [C]`."""
        return torch.bincount(self.labels, minlength=len(self.classes))


@dataclass(frozen=True)
class Encoding:
    """What features were made of, and by what.

    Attributes:
        encoder: as records of runs have it.
        shape: of one row as it was.
        train_rows, test_rows: digests of the rows as they were.
    """

    encoder: Mapping[str, Any]
    shape: tuple[int, ...]
    train_rows: str
    test_rows: str


@dataclass(frozen=True)
class Source:
    """Labelled training and test data under one name.

    Attributes:
        name: what the user called it.
        train: the training rows, a pool that long-tailed and validation splits are drawn from.
        test: the test rows, never used in training; the same classes.
        columns: names of the feature columns, in order, `emb[0]`, `emb[1]`, … for a column of lists, or the name of an
            NPZ file's array; empty for image files and unnamed features.
        notes: one line for each choice that was made for the user, to be shown: which split is the test split,
            columns that were left out, broken images that were skipped.
        table: of a table whose features are yet to be made, its columns; `inputs` are then their cells as
            `encode_columns` has them, and `Preparation.fit` makes features of them.
        drawn: whether the test rows were drawn from the source's rows, for it has no test split of its own.
        reading: the keywords that `load` was called with, its `source` as `place_of` has it; empty for rows from
            elsewhere.
        encoding: of features that an encoder made of the source's rows, what it was; else None.
    """

    name: str
    train: Labelled
    test: Labelled
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    drawn: bool = False
    table: tuple[TableColumn, ...] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)
    encoding: Encoding | None = None


@dataclass(frozen=True)
class LabelColumn:
    """Labels as they stand in the source.

    Attributes:
        values: integers, `int64 [N]`, or names, an array of `str`; see `labels.checked`.
        names: where the source names its integers, the name of each.
    """

    values: np.ndarray
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class RawSplit:
    """One split as it was read, before its labels are class indices and its images are decoded.

    Attributes:
        where: what messages call it, such as `"train.csv"`.
        rows: features `float32 [N, D]`, which may be mapped, images `uint8 [N, 3, H, W]`, or encoded images.
        labels: as many labels as rows.
        columns: names of the feature columns, where they have names; of an NPZ file the name of their array.
        notes: what was chosen for the user while reading.
        coarse: the group of each label, where the source has a column of them and it was asked for.
        table: of a table whose features are yet to be made, its columns.
    """

    where: str
    rows: Tensor | MappedRows | Encoded
    labels: LabelColumn
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    coarse: LabelColumn | None = None
    table: tuple[TableColumn, ...] = ()

    def with_labels_of(self, kept: Tensor) -> RawSplit:
        """The same split with the labels of these rows only."""
        rows = kept.numpy()
        coarse = None if self.coarse is None else replace(self.coarse, values=self.coarse.values[rows])
        return replace(self, labels=replace(self.labels, values=self.labels.values[rows]), coarse=coarse)


@dataclass(frozen=True)
class RawSource:
    """What a reader finds in a source.

    Attributes:
        train: the training rows, or all rows where the source has no splits.
        test: the test rows, where the source has a split of them.
        test_fraction: share of the rows that is always drawn as the test split; None leaves that to the user.
        arrays: what else the source holds by name: `logits`, `head_weight` and `head_bias` are read by `load_features`.
    """

    train: RawSplit
    test: RawSplit | None = None
    test_fraction: float | None = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def splits(self) -> tuple[RawSplit, ...]:
        """Those that are there."""
        return (self.train,) if self.test is None else (self.train, self.test)
