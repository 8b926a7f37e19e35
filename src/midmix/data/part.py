"""One split as it was read, before its labels are class indices and its images are decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from midmix.data.encoded import Encoded


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
class Part:
    """Rows and labels of one split.

    Attributes:
        where: what messages call it, such as `"train.csv"`.
        rows: features `float32 [N, D]`, images `uint8 [N, 3, H, W]`, or encoded images.
        labels: as many labels as rows.
        columns: names of the feature columns, where they have names; of an NPZ file the name of their array.
        notes: what was chosen for the user while reading.
        coarse: the group of each label, where the source has a column of them and it was asked for.
    """

    where: str
    rows: Tensor | Encoded
    labels: LabelColumn
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    coarse: LabelColumn | None = None

    def with_labels_of(self, kept: Tensor) -> Part:
        """The same part with the labels of these rows only."""
        rows = kept.numpy()
        coarse = None if self.coarse is None else replace(self.coarse, values=self.coarse.values[rows])
        return replace(self, labels=replace(self.labels, values=self.labels.values[rows]), coarse=coarse)
