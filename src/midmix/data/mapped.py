"""Rows of features in a file that is mapped into memory: read where they are used, and never copied as a whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAPPED_BYTES = 256 * 2**20
"""Features that are more than this stay in their file; others are read into memory."""


@dataclass(frozen=True)
class MappedRows:
    """Features `float32 [N, D]` in an NPY file, or in a part of a file that looks like one.

    Attributes:
        path: of the file.
        shape_of_all: of the array in it.
        offset: where its numbers begin.
        places: the rows of it that these are, `int64 [N]`.
    """

    path: Path
    shape_of_all: tuple[int, int]
    offset: int
    places: Tensor

    @classmethod
    def open(cls, path: Path) -> MappedRows:
        """All rows of an NPY file."""
        found = np.load(path, mmap_mode="r")
        rows, width = found.shape
        return cls(path, (rows, width), int(found.offset), torch.arange(rows))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return self.shape_of_all[1:]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: Tensor) -> Tensor:
        places = self.places[rows.cpu()].numpy()
        return torch.from_numpy(_mapped(self.path, self.shape_of_all, self.offset)[places])

    def select(self, rows: Tensor) -> MappedRows:
        """The same features, restricted to these rows; nothing is read."""
        return replace(self, places=self.places[rows])

    def if_small(self) -> Tensor | MappedRows:
        """A tensor where they are few."""
        few = len(self) * self.shape[0] * 4 <= MAPPED_BYTES
        return self[torch.arange(len(self))] if few else self


@lru_cache(maxsize=4)
def _mapped(path: Path, shape: tuple[int, int], offset: int) -> NDArray[np.float32]:
    return np.memmap(path, dtype=np.float32, mode="r", offset=offset, shape=shape)
