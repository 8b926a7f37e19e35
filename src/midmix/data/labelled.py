"""What every source becomes: inputs, integer labels and the names of the classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import torch
from torch import Tensor


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
        drawn: whether the test rows were drawn from the source's rows, for it has no test split of its own.
        reading: the keywords that `load` was called with, its `source` as `place_of` has it; empty for rows from
            elsewhere.
    """

    name: str
    train: Labelled
    test: Labelled
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    drawn: bool = False
    reading: Mapping[str, Any] = field(default_factory=dict)
