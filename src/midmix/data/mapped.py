"""Rows of features in a file that is mapped into memory: read where they are used, and never copied as a whole."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeGuard

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
        read_as_stored: that nothing is decoded, so that reading all rows costs what reading the file does.
    """

    path: Path
    shape_of_all: tuple[int, int]
    offset: int
    places: Tensor
    read_as_stored = True

    @classmethod
    def open(cls, path: Path) -> MappedRows:
        """All rows of an NPY file."""
        return cls.of(np.load(path, mmap_mode="r"))

    @classmethod
    def of(cls, array: np.memmap) -> MappedRows:
        """All rows of an array for which `can_be_mapped` says yes."""
        rows, width = array.shape
        return cls(Path(str(array.filename)), (rows, width), int(array.offset), torch.arange(rows))

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

    def same_file(self, other: MappedRows) -> bool:
        """Whether both are rows of one array."""
        return (self.path, self.offset) == (other.path, other.offset)

    def whole(self) -> Tensor:
        """All of them, read into memory."""
        return self[torch.arange(len(self))]

    def if_small(self) -> Tensor | MappedRows:
        """A tensor where they are few."""
        return self.whole() if len(self) * self.shape[0] * 4 <= MAPPED_BYTES else self


def can_be_mapped(array: np.ndarray) -> TypeGuard[np.memmap]:
    """Whether an array is features as a file has them, mapped for reading and more than `MAPPED_BYTES`.

    Example:
        >>> can_be_mapped(np.zeros((2, 3), np.float32))
        False
    """
    owner: object = array.base
    return (
        isinstance(array, np.memmap)
        and isinstance(owner, mmap.mmap)  # a part of another array does not say where it begins
        and array.mode == "r"
        and array.ndim == 2
        and array.dtype == np.dtype("<f4")
        and array.flags.c_contiguous
        and array.nbytes > MAPPED_BYTES
    )


@lru_cache(maxsize=4)
def _mapped(path: Path, shape: tuple[int, int], offset: int) -> NDArray[np.float32]:
    return np.memmap(path, dtype=np.float32, mode="r", offset=offset, shape=shape)
