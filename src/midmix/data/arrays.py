"""Arrays as sources: NumPy, torch and NPZ."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from midmix.data.labels import checked
from midmix.data.options import Options
from midmix.data.part import LabelColumn, Part
from midmix.errors import InputError, unknown


def part_from_arrays(
    x: np.ndarray | Tensor,
    y: np.ndarray | Tensor | Sequence[object],
    *,
    where: str,
    classes: Sequence[str] | None = None,
    columns: tuple[str, ...] = (),
) -> Part:
    """One split of arrays, checked.

    Args:
        x: features, numbers `[N, D]`, or images `uint8 [N, 3, H, W]`, `[N, H, W, 3]` or grey `[N, H, W]`.
        y: class indices or names, `[N]`.
        where: what messages call the arrays.
        classes: names of integer labels.
        columns: names of the feature columns.

    Raises:
        InputError: for what `load` says about features and labels, and for lengths that differ.
    """
    values = np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x)
    labels = np.asarray(y.detach().cpu() if isinstance(y, Tensor) else y)
    if values.ndim == 0 or len(values) != len(np.atleast_1d(labels)):
        rows = 0 if values.ndim == 0 else len(values)
        raise InputError(f"{where}: {rows} rows of inputs but {labels.size} labels; give one label a row")
    checked_labels = checked(labels, where=where)
    if classes is not None:
        check_names(checked_labels, classes, where=where)
    names = tuple(str(name) for name in classes) if classes is not None else None
    rows_ = (
        _images(values, where) if values.ndim > 2 else finite_features(values, where=where, columns=columns)
    )
    return Part(where, rows_, LabelColumn(checked_labels, names), columns)


def check_names(labels: np.ndarray, names: Sequence[str], *, where: str) -> None:
    """Refuse class names for labels that are names already, and labels beyond the last name."""
    if labels.dtype.kind != "i":
        raise InputError(f"{where}: the labels are names already, so class names cannot be given to them")
    if len(labels) and labels.max() >= len(names):
        row = int(labels.argmax())
        raise InputError(
            f"{where}: the label of row {row} (counting from 0) is {labels[row]}, of {len(names)} class names"
        )


def finite_features(values: np.ndarray, *, where: str, columns: Sequence[str] = ()) -> Tensor:
    """Features as `float32 [N, D]`.

    Raises:
        InputError: they are not numbers, not two-dimensional, missing, or not finite; row and column are named.

    Example:
        >>> finite_features(np.array([[1, 2], [3, np.nan]]), where="x", columns=("age", "dose"))
        Traceback (most recent call last):
        ...
        midmix.errors.InputError: x: NaN or infinite features (1 of 4 values), the first in row 1 (counting from 0), ...
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
        features = values.astype(np.float32)
    bad = ~np.isfinite(features)
    if bad.any():
        row, column = (int(k) for k in np.argwhere(bad)[0])
        name = repr(columns[column]) if columns else str(column)
        raise InputError(
            f"{where}: NaN or infinite features ({bad.sum()} of {bad.size} values), the first in row {row} "
            f"(counting from 0), column {name}; fill them in or remove them"
        )
    return torch.from_numpy(features)


def _images(values: np.ndarray, where: str) -> Tensor:
    shape = list(values.shape)
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


_PAIRS = (("x", "y"), ("features", "labels"), ("data", "target"), ("images", "labels"))


def read_npz(path: Path, options: Options) -> tuple[Part, Part | None]:
    """Splits in an NPZ file: arrays `x`, `y` (or `features`, `labels`), and if there are any `x_test`, `y_test`.

    `options.label` and one name in `options.features` choose other arrays; an array `classes` names the classes.
    Nothing in the file is executed: pickled objects are refused.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise InputError(f"{path}: not an NPZ file; save it with numpy.savez(path, x=…, y=…)")
            arrays = {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        reason = (
            "it holds pickled objects, which are not read" if "allow_pickle" in str(error) else str(error)
        )
        raise InputError(
            f"{path}: not a readable NPZ file ({reason}); save plain arrays with numpy.savez"
        ) from None

    x_name, y_name = _array_names(arrays, options, str(path))
    for name in (x_name, y_name):
        if name not in arrays:
            raise unknown(f"array in {path}", name, arrays)
    classes = [str(name) for name in arrays["classes"]] if "classes" in arrays else None
    train = part_from_arrays(arrays[x_name], arrays[y_name], where=str(path), classes=classes)
    ends = [name for name in (f"{x_name}_test", f"{y_name}_test") if name in arrays]
    if len(ends) == 1:
        raise InputError(f"{path}: has {ends[0]!r} alone; a test split needs {x_name}_test and {y_name}_test")
    if not ends:
        return train, None
    where = f"{path} (test)"
    return train, part_from_arrays(
        arrays[f"{x_name}_test"], arrays[f"{y_name}_test"], where=where, classes=classes
    )


def _array_names(arrays: dict[str, np.ndarray], options: Options, where: str) -> tuple[str, str]:
    if options.features is not None and len(options.features) != 1:
        raise InputError(f"{where}: name one array of features, not {len(options.features)}")
    x_name = options.features[0] if options.features else None
    for x, y in _PAIRS:
        if (x_name or x) in arrays and (options.label or y) in arrays:
            return x_name or x, options.label or y
    if x_name or options.label:
        return x_name or "x", options.label or "y"
    raise InputError(
        f"{where}: has arrays {', '.join(sorted(arrays)) or '(none)'}; name the inputs x and the labels y"
    )
