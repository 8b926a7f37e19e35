"""An order of rows that follows from their contents, whatever the order they came in."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from midmix.data.mapped import MappedRows

_ROWS_AT_ONCE = 4096


def content_order(features: Tensor | MappedRows, labels: Tensor) -> Tensor:
    """Indices `[N]` that sort rows by their contents: the same table in another order is the same table again.

    Training draws rows by their places. In this order it learns the same from a table however it is sorted, and from
    a row that is there twice as from one that counts twice.

    Args:
        features: `[N, D]`.
        labels: `[N]`, class indices.

    Example:
        >>> x, y = torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]), torch.tensor([0, 1, 0])
        >>> back = torch.tensor([2, 0, 1])
        >>> bool((x[content_order(x, y)] == x[back][content_order(x[back], y[back])]).all())
        True
    """
    if isinstance(features, Tensor):
        keys = content_keys(features.cpu().numpy())
    else:
        parts = torch.split(torch.arange(len(features)), _ROWS_AT_ONCE)
        keys = np.concatenate([content_keys(features[rows].numpy()) for rows in parts])
    return torch.from_numpy(np.lexsort((labels.cpu().numpy(), keys)))  # by keys, and of equal ones by labels


def content_keys(features: NDArray[np.floating]) -> NDArray[np.uint64]:
    """A number `[N]` for each row that depends on its bits, as float32, alone: equal rows have equal keys.

    Whole-number arithmetic modulo 2^64, because a sum of floats depends on where in an array a row stands.
    """
    width = features.shape[1]
    words = np.uint32 if width % 2 else np.uint64  # pairs of float32 at once where the row divides into them
    count = width if width % 2 else width // 2
    factors = np.random.default_rng(0).integers(2**64, size=count, dtype=np.uint64) | np.uint64(1)
    keys = np.empty(len(features), dtype=np.uint64)
    for start in range(0, len(keys), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        bits = np.ascontiguousarray(features[part], dtype=np.float32).view(words)
        keys[part] = bits.astype(np.uint64, copy=False) @ factors
    return keys
