"""What every measure asks of its input, said in one line when it is not so."""

from __future__ import annotations

import torch
from torch import Tensor

from midmix.errors import InputError


def check_rows(values: Tensor, labels: Tensor, *, name: str) -> None:
    """Float `values [N, D]` and integer `labels [N]` that belong together; every row finite.

    Raises:
        InputError: naming what is wrong, and the first rows where it is.
    """
    if values.ndim != 2 or 0 in values.shape:
        raise InputError(
            f"{name}: expected rows and columns [N, D], at least one of each; got {_shape(values)}"
        )
    if not values.is_floating_point():
        raise InputError(
            f"{name}: expected floating-point numbers, got {values.dtype}; convert with .float()"
        )
    check_labels(labels)
    if len(values) != len(labels):
        raise InputError(
            f"{name} and labels differ in length: {len(values)} rows against {len(labels)} labels"
        )
    # A sum is finite only if its terms are (not the other way round): one pass and no mask for clean rows.
    if not values.detach().sum().isfinite():
        bad = (~values.isfinite()).any(dim=1).nonzero().flatten()
        if len(bad):
            raise InputError(
                f"{name}: {_rows(bad)} not finite (NaN or infinite); remove them or mend the model"
            )


def check_labels(labels: Tensor, num_classes: int | None = None) -> None:
    """Integer `labels [N]`, none negative, all below `num_classes` where that is given.

    Raises:
        InputError: naming what is wrong, and the first rows where it is.
    """
    if labels.ndim != 1:
        raise InputError(f"labels: expected one class index a row [N], got {_shape(labels)}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError(f"labels: expected class indices as integers, got {labels.dtype}")
    if not len(labels):
        return
    if labels.min() < 0:
        bad = (labels < 0).nonzero().flatten()
        raise InputError(f"labels: {_rows(bad)} negative; classes are numbered from 0")
    if num_classes is not None and labels.max() >= num_classes:
        bad = (labels >= num_classes).nonzero().flatten()
        raise InputError(
            f"labels: {_rows(bad)} {num_classes} or more, but there are only the {num_classes} classes "
            f"0 to {num_classes - 1}"
        )


def check_logits(logits: Tensor, labels: Tensor) -> None:
    """Finite `logits [N, C]` and `labels [N]` within the C classes.

    Raises:
        InputError: naming what is wrong, and the first rows where it is.
    """
    check_rows(logits, labels, name="logits")
    check_labels(labels, logits.shape[1])


def _shape(values: Tensor) -> str:
    return f"shape {list(values.shape)}"


def _rows(rows: Tensor) -> str:
    first = ", ".join(str(row) for row in rows[:5].tolist())
    if len(rows) == 1:
        return f"row {first} is"
    return f"{len(rows)} rows (first {first}) are"
