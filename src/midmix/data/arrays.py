"""Arrays as sources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from midmix.data.dataset import LabelColumn, RawSplit
from midmix.data.labels import checked
from midmix.data.mapped import MappedRows, can_be_mapped
from midmix.data.precision import looked_at, merged, note_merged
from midmix.errors import InputError

_ROWS_AT_ONCE = 16384


def part_from_arrays(
    x: np.ndarray | Tensor,
    y: np.ndarray | Tensor | Sequence[object],
    *,
    where: str,
    classes: Sequence[str] | None = None,
    coarse: np.ndarray | None = None,
) -> RawSplit:
    """One split of arrays, checked.

    Args:
        x: features, numbers `[N, D]`, or images `uint8 [N, 3, H, W]`, `[N, H, W, 3]` or grey `[N, H, W]`; float32
            features that are mapped from a large file stay there.
        y: class indices or names, `[N]`.
        where: what messages call the arrays.
        classes: names of integer labels.
        coarse: the group of each row's label, `[N]`.

    Raises:
        InputError: for what `load` says about features and labels, and for lengths that differ.
    """
    # As it is where it is mapped: `asarray` would leave the file behind.
    values = x if isinstance(x, np.memmap) else np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x)
    if isinstance(y, Tensor | np.ndarray):
        labels = np.asarray(y.detach().cpu() if isinstance(y, Tensor) else y)
    else:  # as objects, or NumPy would turn numbers among names into names
        labels = np.array(list(y), dtype=object)
    if values.ndim == 0 or len(values) != len(np.atleast_1d(labels)):
        rows = 0 if values.ndim == 0 else len(values)
        raise InputError(f"{where}: {rows} rows of inputs but {labels.size} labels; give one label a row")
    checked_labels = checked(labels, where=where)
    if classes is not None:
        check_names(checked_labels, classes, where=where)
    names = tuple(str(name) for name in classes) if classes is not None else None
    groups = None
    if coarse is not None:
        groups = LabelColumn(checked(coarse, where=f"{where}, groups"))
        if len(groups.values) != len(labels):
            raise InputError(
                f"{where}: {len(labels)} labels but {len(groups.values)} groups; give one group a row"
            )
    inputs = inputs_of_array(values, where=where)
    lost: list[str] = []
    if values.ndim == 2 and values.dtype.itemsize > 2 and values.dtype != np.float32:
        sample = values[looked_at(len(values))]
        lost = [str(column) for column in np.flatnonzero(merged(sample))]
    return RawSplit(where, inputs, LabelColumn(checked_labels, names), (), note_merged(lost), groups)


def inputs_of_array(values: np.ndarray, *, where: str) -> Tensor | MappedRows:
    """Features `float32 [N, D]` from two dimensions, images `uint8 [N, 3, H, W]` from more.

    Features of a large file that is mapped are looked through and stay in it.

    Raises:
        InputError: as `part_from_arrays` says of `x`.
    """
    if values.ndim and not len(values):
        raise InputError(f"{where}: no rows")
    if can_be_mapped(values):
        check_finite(values, where=where)
        return MappedRows.of(values)
    return finite_features(values, where=where) if values.ndim <= 2 else _images(values, where)


def check_names(labels: np.ndarray, names: Sequence[str], *, where: str) -> None:
    """Refuse class names for labels that are names already, and labels beyond the last name."""
    if labels.dtype.kind != "i":
        raise InputError(f"{where}: the labels are names already, so class names cannot be given to them")
    if len(labels) and labels.max() >= len(names):
        row = int(labels.argmax())
        raise InputError(
            f"{where}: the label of row {row} (counting from 0) is {labels[row]}, of {len(names)} class names"
        )


def finite_features(
    values: np.ndarray, *, where: str, columns: Sequence[str] = (), copy: bool = True
) -> Tensor:
    """Features as `float32 [N, D]`; without `copy` they may share the memory of `values`.

    Raises:
        InputError: they are not numbers, not two-dimensional, missing, or not finite; row and column are named.

    Example:
        >>> finite_features(np.array([[1, 2], [3, np.nan]]), where="x", columns=("age", "dose"))
        Traceback (most recent call last):
        ...
        midmix.errors.InputError: x: features that are missing, NaN or infinite (1 of 4 values), the first in ...
    """
    if values.dtype.kind not in "biuf":
        raise InputError(
            f"{where}: features are of type {values.dtype}; give real numbers, one column a feature"
        )
    if values.ndim != 2 or values.shape[1] == 0:
        raise InputError(
            f"{where}: features have shape {list(values.shape)}; give a row a sample, a column a feature"
        )
    with np.errstate(over="ignore"):
        features = values.astype(np.float32, copy=copy)
    check_finite(features, where=where, columns=columns)
    return torch.from_numpy(features)


def check_finite(features: np.ndarray, *, where: str, columns: Sequence[str] = ()) -> None:
    """Sees that all numbers `[N, D]` are finite, some rows at a time.

    Raises:
        InputError: they are not; row and column are named.
    """
    count, first = 0, (0, 0)
    for start in range(0, len(features), _ROWS_AT_ONCE):
        bad = ~np.isfinite(features[start : start + _ROWS_AT_ONCE])
        if bad.any():
            row, column = np.argwhere(bad)[0]
            first = first if count else (start + int(row), int(column))
            count += int(bad.sum())
    if count:
        name = repr(columns[first[1]]) if columns else str(first[1])
        raise InputError(
            f"{where}: features that are missing, NaN or infinite ({count} of {features.size} values), the first in "
            f"row {first[0]} (counting from 0), column {name}; fill them in or remove them"
        )


def _images(values: np.ndarray, where: str) -> Tensor:
    shape = list(values.shape)
    if not values.size:
        raise InputError(f"{where}: inputs of shape {shape} are read as images, and these have no pixels")
    if values.dtype != np.uint8:
        raise InputError(
            f"{where}: inputs of shape {shape} are read as images, which must be uint8 (0 … 255), not {values.dtype}; "
            "for features, flatten each row"
        )
    if values.ndim == 3:
        values = np.repeat(values[:, None], 3, axis=1)
    elif values.ndim == 4 and values.shape[1] != 3 and values.shape[3] == 3:
        values = values.transpose(0, 3, 1, 2)
    elif values.ndim != 4 or values.shape[1] != 3:
        raise InputError(
            f"{where}: images have shape {shape}; give [N, 3, H, W], [N, H, W, 3] or grey [N, H, W]"
        )
    return torch.from_numpy(np.ascontiguousarray(values))
