"""From what a source calls its labels to class indices and class names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from midmix.data.dataset import LabelColumn
from midmix.errors import InputError
from midmix.text import printable


def checked(values: np.ndarray, *, where: str) -> np.ndarray:
    """Labels as `int64` or as an array of `str`, if that is what they are.

    Whole numbers stored as floats are integers; truth values are the names `False` and `True`.

    Raises:
        InputError: a label is missing, negative, not an integer, too large, or neither number nor text; the row is
            named.

    Example:
        >>> checked(np.array([0.0, 2.0]), where="labels")
        array([0, 2])
        >>> checked(np.array([0.0, 2.5]), where="labels")
        Traceback (most recent call last):
        ...
        midmix.errors.InputError: labels: row 1 (counting from 0) is 2.5; a label is a class index (0, 1, …) or a name
    """

    def first(bad: np.ndarray) -> int:
        return int(np.flatnonzero(bad)[0])

    if values.ndim != 1:
        raise InputError(
            f"{where}: labels have shape {list(values.shape)}; give one class index or name a row "
            "(for one-hot rows: their argmax)"
        )
    if values.dtype.kind == "O":
        missing = np.array([_is_missing(value) for value in values], dtype=bool)
    elif values.dtype.kind == "U":
        missing = np.char.strip(values) == ""
    else:
        missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=bool)
    if missing.any():
        others = f" and {missing.sum() - 1} more" if missing.sum() > 1 else ""
        raise InputError(
            f"{where}: the label of row {first(missing)} (counting from 0){others} is missing; "
            "give every row a label or remove it"
        )

    if values.dtype.kind == "O" and all(isinstance(v, int | float | np.number) for v in values):
        values = np.array(values.tolist())
    if values.dtype.kind == "b":
        values = values.astype(str)
    if values.dtype.kind == "U" or (values.dtype.kind == "O" and all(isinstance(v, str) for v in values)):
        return values.astype(object)
    if values.dtype.kind not in "iuf":
        kinds = " and ".join(sorted({type(value).__name__ for value in values}))
        raise InputError(
            f"{where}: labels are of type {kinds}; a label is a class index (0, 1, …) or a name, all alike"
        )
    fractional = ~np.isfinite(values) | (values != np.floor(values))
    if fractional.any():
        row = first(fractional)
        raise InputError(
            f"{where}: row {row} (counting from 0) is {values[row]:g}; a label is a class index (0, 1, …) or a name"
        )
    if (values < 0).any():
        row = first(values < 0)
        raise InputError(
            f"{where}: the label of row {row} (counting from 0) is negative ({values[row]:g}); "
            "number the classes from 0, and remove rows without a label"
        )
    if values.dtype.kind != "i" and (values >= 2**63).any():
        row = first(values >= 2**63)
        raise InputError(
            f"{where}: the label of row {row} (counting from 0) is {values[row]}, too large for a class index; "
            "give such numbers as text"
        )
    return values.astype(np.int64)


def _is_missing(value: object) -> bool:
    if value is None or isinstance(value, str):
        return value is None or not value.strip()
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas' NA does not say; nor does an array, which is no label at all
        return np.ndim(value) == 0  # type: ignore[arg-type]


def encode(
    train: LabelColumn, test: LabelColumn | None, *, where: str, keep_names: bool = False, least: int = 2
) -> tuple[Tensor, Tensor | None, tuple[str, ...], tuple[str, ...]]:
    """Class indices of both splits, the class names, and what there is to note.

    The classes are those of the training rows, in the order of their numbers, or of their names
    where the source has names only; with `keep_names` all that the source has a name for, in that order.

    Raises:
        InputError: there are fewer than `least` classes (where rows are only measured one will do), or a test row's
            class is not among the training rows.

    Example:
        >>> column = LabelColumn(np.array(["dog", "cat", "dog"], dtype=object))
        >>> encode(column, None, where="pets")
        (tensor([1, 0, 1]), None, ('cat', 'dog'), ())
    """
    if test is not None and (train.names != test.names or train.values.dtype != test.values.dtype):
        train, test = LabelColumn(_as_names(train)), LabelColumn(_as_names(test))
    values, indices = np.unique(train.values, return_inverse=True)
    if len(values) < least:
        only = f"only one class, {name_of(values[0], train.names)!r}" if len(values) else "no labelled rows"
        raise InputError(
            f"{where}: the training rows have {only}; at least two classes are needed to tell apart"
        )
    if keep_names and train.names is not None:
        values, indices = np.arange(len(train.names)), train.values
    classes = tuple(name_of(value, train.names) for value in values)
    name, times = Counter(classes).most_common(1)[0]
    if times > 1:
        raise InputError(f"{where}: {times} classes have the name {name!r}; give each its own")

    notes: list[str] = []
    present = set(classes)
    absent = [
        name for name in map(printable, train.names or ()) if name not in present
    ]  # none if all names are kept
    if absent:
        notes.append(f"classes without a training row are left out: {listing(absent)}")
    train_indices = torch.from_numpy(indices.astype(np.int64))
    if test is None:
        return train_indices, None, classes, tuple(notes)

    # Of texts NumPy's own difference compares every class with every other.
    lacking = sorted(set(test.values.tolist()) - set(values.tolist()))
    if lacking:
        names = [name_of(value, test.names) for value in lacking]
        raise InputError(
            f"{where}: the test rows have classes that the training rows lack: {listing(names)}; "
            "add training rows of them or remove them from the test rows"
        )
    test_indices = torch.from_numpy(np.searchsorted(values, test.values).astype(np.int64))
    tested = torch.bincount(test_indices, minlength=len(classes)).tolist()
    untested = [name for name, rows in zip(classes, tested, strict=True) if not rows]
    if untested:
        notes.append(f"classes without a test row, whose accuracy stays unknown: {listing(untested)}")
    return train_indices, test_indices, classes, tuple(notes)


def listing(names: Sequence[str], *, most: int = 5) -> str:
    """The first few names, and how many more there are.

    Example:
        >>> listing(["a", "b", "c"], most=2)
        "'a', 'b' and 1 more"
    """
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def name_of(value: object, names: tuple[str, ...] | None) -> str:
    """The name of a class as it is shown and written, with what cannot be shown escaped."""
    return printable(str(value) if names is None else names[int(str(value))])


def _as_names(column: LabelColumn) -> np.ndarray:
    return np.array([name_of(value, column.names) for value in column.values], dtype=object)
