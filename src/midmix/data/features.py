"""Features that some encoder made, with their labels, and logits and a head where they are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from midmix.data.labels import encode, listing
from midmix.data.load import read
from midmix.data.mapped import MappedRows
from midmix.data.options import Options
from midmix.errors import InputError
from midmix.text import printable

LOGITS = "logit"
HEAD_WEIGHT, HEAD_BIAS = "head_weight", "head_bias"


@dataclass(frozen=True)
class LabelledFeatures:
    """Features to measure.

    Attributes:
        features: `float32 [N, D]`.
        labels: class indices, `int64 [N]`.
        classes: names of the C classes.
        logits: `float32 [N, C]`, or None.
        head: weight `[C, D]` and bias `[C]` (or None) of the linear classifier on these features, or None.
        notes: one line for each choice that was made for the user.
    """

    features: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    logits: Tensor | None = None
    head: tuple[Tensor, Tensor | None] | None = None
    notes: tuple[str, ...] = ()


def load_features(
    source: str | Path, *, label: str | None = None, features: str | Sequence[str] | None = None
) -> LabelledFeatures:
    """All rows of a source of features, its training and test rows together.

    In a Parquet or CSV file, columns whose names begin with `logit` are the logits, one a class: `logit_CLASS`, or in
    the order of the classes. In an NPZ file the arrays `logits`, `head_weight` and `head_bias` are read if there.
    Named classes without a row are kept where there are logits or a head for all that have a name.

    Args:
        source: a file of features, or a built-in set.
        label: column or array of the labels.
        features: columns or array of the features.

    Raises:
        InputError: for rows that are images, lengths that differ, values that are not finite, too few or many logits.

    Example:
        >>> found = load_features("digits")
        >>> found.features.shape, len(found.classes)
        (torch.Size([1797, 64]), 10)
    """
    name = str(source)
    raw = read(name, Options.of(label=label, features=features, prepare=False))
    train, test, arrays = raw.train, raw.test, raw.arrays
    parts = [
        replace(part, rows=part.rows.whole()) if isinstance(part.rows, MappedRows) else part
        for part in raw.splits
    ]
    if not all(isinstance(part.rows, Tensor) and part.rows.dim() == 2 for part in parts):
        raise InputError(
            f"{name}: holds images; features are measured: name a run's folder, or a file of features"
        )
    widths = [part.rows.shape[1] for part in parts if isinstance(part.rows, Tensor)]
    if len(set(widths)) > 1:
        raise InputError(
            f"{name}: training rows have {widths[0]} features, test rows {widths[1]}; give them the same"
        )
    rows = torch.cat([part.rows for part in parts if isinstance(part.rows, Tensor)])
    named = (
        train.columns if len(train.columns) == rows.shape[1] else ()
    )  # an array's name is of all its columns
    given = [place for place, column in enumerate(named) if column.startswith(LOGITS)]
    outputs = {len(given)}
    if "logits" in arrays:
        outputs.update(arrays["logits"].shape[1:])
    if HEAD_WEIGHT in arrays:
        outputs.update(arrays[HEAD_WEIGHT].shape[:1])
    # Classes without a row are there too if they have outputs; else they would be nothing but empty measures.
    every = len(train.labels.names or ()) in outputs
    first, second, classes, notes = encode(
        train.labels, test.labels if test else None, where=name, keep_names=every
    )
    labels = first if second is None else torch.cat([first, second])
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    absent = [label for label, count in zip(classes, counts, strict=True) if not count]
    if absent:
        notes = (*notes, f"classes without a row, whose measures stay unknown: {listing(absent)}")
    logits, head = _logits(rows, train.columns, given, classes, name), None
    if given:
        rows = rows[:, [place for place in range(rows.shape[1]) if place not in set(given)]]
    if "logits" in arrays:
        logits = _array(arrays, "logits", (len(rows), len(classes)), name)
    if HEAD_WEIGHT in arrays:
        weight = _array(arrays, HEAD_WEIGHT, (len(classes), rows.shape[1]), name)
        head = weight, _array(arrays, HEAD_BIAS, (len(classes),), name) if HEAD_BIAS in arrays else None
    return LabelledFeatures(
        rows, labels, classes, logits, head, tuple(map(printable, (*train.notes, *notes)))
    )


def _logits(
    rows: Tensor, columns: Sequence[str], given: list[int], classes: tuple[str, ...], where: str
) -> Tensor | None:
    if not given:
        return None
    if len(given) != len(classes):
        raise InputError(
            f"{where}: {len(given)} columns begin with {LOGITS!r}, but there are {len(classes)} classes"
        )
    named = {
        columns[place].removeprefix("logits").removeprefix(LOGITS).strip("_:. "): place for place in given
    }
    order = [named[name] for name in classes] if named.keys() == set(classes) else given
    return rows[:, order]


def _array(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...], where: str) -> Tensor:
    values = arrays[name]
    if values.shape != shape or values.dtype.kind not in "fiu":
        raise InputError(
            f"{where}: array {name} is {values.dtype} of shape {list(values.shape)}; "
            f"numbers of shape {list(shape)} are needed for these features and classes"
        )
    with np.errstate(over="ignore"):  # what overflows is infinite, and is refused below
        found = torch.from_numpy(values.astype(np.float32))
    if not bool(found.isfinite().all()):
        row = int((~found.reshape(len(found), -1).isfinite().all(1)).nonzero()[0])
        raise InputError(f"{where}: array {name} is not finite in row {row}")
    return found
