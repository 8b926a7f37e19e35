"""How often right: per class, by shot, balanced; with calibration beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.measures.calibration import bin_confidences, confidences
from midmix.measures.checks import check_logits
from midmix.measures.table import Outputs, declare

BY_COUNT = "many: more than 100 training rows, medium: 20 to 100, few: less than 20"
BY_THIRDS = "thirds of the classes by training count, equal counts together"


@dataclass(frozen=True)
class ShotGroups:
    """Classes by how many training rows they have; `rule` says by which rule they were told apart."""

    rule: str
    many: tuple[int, ...]
    medium: tuple[int, ...]
    few: tuple[int, ...]


@dataclass(frozen=True)
class Classification:
    """What `classification` finds. Accuracies, F1 and ECE are fractions; `nll` is in nats.

    NaN stands for what cannot be known: a class, or a group, without test rows.
    """

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    many: float
    medium: float
    few: float
    nll: float
    ece: float
    ece_many: float
    ece_medium: float
    ece_few: float
    per_class: Tensor
    groups: ShotGroups


def shot_groups(counts: Tensor | Sequence[int]) -> ShotGroups:
    """Classes with many (> 100), medium (20 to 100) and few (< 20) training rows.

    Where one of the three would be empty, the classes are ordered by count instead and cut in thirds: the
    first and last `round(C / 3)` are many and few, the rest is medium. Classes of equal count stay together:
    a cut among them moves to the nearer end of them, of two as near to the one that makes many or few smaller.
    Source of the thresholds: Liu et al., "Large-Scale Long-Tailed Recognition in an Open World",
    CVPR 2019.

    Args:
        counts: `[C]`, training rows a class (0 is allowed).

    Raises:
        InputError: no classes, or a negative count.

    Example:
        >>> shot_groups([500, 100, 20, 3]).medium
        (1, 2)
        >>> shot_groups([5000, 500, 50]).rule
        'thirds of the classes by training count, equal counts together'
        >>> step = shot_groups([106] * 5 + [5] * 5)
        >>> step.many, step.medium, step.few
        ((0, 1, 2, 3, 4), (), (5, 6, 7, 8, 9))
    """
    rows = [int(count) for count in counts]
    if not rows or min(rows) < 0:
        raise InputError(f"counts: expected a training count of 0 or more for each class, got {rows}")
    many = tuple(c for c, n in enumerate(rows) if n > 100)
    medium = tuple(c for c, n in enumerate(rows) if 20 <= n <= 100)
    few = tuple(c for c, n in enumerate(rows) if n < 20)
    if many and medium and few:
        return ShotGroups(BY_COUNT, many, medium, few)
    order = sorted(range(len(rows)), key=lambda c: -rows[c])
    third, total = round(len(order) / 3), len(order)
    ends = [0, *(i for i in range(1, total) if rows[order[i]] != rows[order[i - 1]]), total]
    first = min(ends, key=lambda end: (abs(end - third), end))
    last = min(ends, key=lambda end: (abs(end - (total - third)), -end))
    cuts = order[:first], order[first:last], order[last:]
    return ShotGroups(BY_THIRDS, *(tuple(sorted(cut)) for cut in cuts))


def confusion_matrix(logits: Tensor, labels: Tensor) -> Tensor:
    """`[C, C]` int64 counts: row = true class, column = class with the largest logit.

    Raises:
        InputError: shapes or dtypes that do not fit, non-finite logits, labels outside the classes.

    Example:
        >>> confusion_matrix(torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0]]), torch.tensor([0, 1, 1]))
        tensor([[1, 0],
                [1, 1]])
    """
    check_logits(logits, labels)
    c = logits.shape[1]
    cells = labels.long() * c + logits.detach().argmax(dim=1)
    return torch.bincount(cells, minlength=c * c).view(c, c)


def classification(
    logits: Tensor,
    labels: Tensor,
    counts: Tensor | Sequence[int],
    *,
    log_probabilities: Tensor | None = None,
) -> Classification:
    """Accuracy, its means by class and by shot, macro F1, likelihood and calibration of one set of logits.

    - `per_class[c]`: share of class c's rows that are right (recall); NaN without test rows.
    - `balanced_accuracy`: mean of `per_class`; `many`, `medium`, `few`: the same over the classes of a group.
    - `macro_f1`: mean over the classes with test rows of `2 TP / (2 TP + FP + FN)`.
    - `nll`, `ece`: as in `midmix.measures.calibration`, 15 bins; `ece_few` and its like over the rows whose
      true class is of that group.

    Args:
        logits: `[N, C]`, any float dtype; sums are float64.
        labels: `[N]`, class indices.
        counts: `[C]`, *training* rows a class: they make the groups.
        log_probabilities: `[N, C]`, whose likelihood and calibration are measured; softmax over the logits where None.

    Raises:
        InputError: shapes or dtypes that do not fit, non-finite logits, labels outside the classes.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
        >>> found = classification(logits, torch.tensor([0, 1, 1, 2]), counts=[900, 90, 9])
        >>> found.accuracy, found.medium, [round(a, 2) for a in found.per_class.tolist()]
        (0.75, 0.5, [1.0, 0.5, 1.0])
    """
    matrix = confusion_matrix(logits, labels)
    c = len(matrix)
    if len(counts) != c:
        raise InputError(f"counts: {len(counts)} training counts for logits of {c} classes; give one a class")
    groups = shot_groups(counts)
    hits, support, predicted = matrix.diagonal(), matrix.sum(dim=1), matrix.sum(dim=0)
    per_class = hits.double() / support  # 0 / 0 is NaN: a class that was not tested
    f1 = 2.0 * hits / (support + predicted)

    confidence, correct, loss = confidences(
        logits if log_probabilities is None else log_probabilities, labels
    )

    def ece(classes: tuple[int, ...]) -> float:
        members = torch.zeros(c, dtype=torch.bool, device=labels.device)
        members[list(classes)] = True
        rows = members[labels.long()]
        return bin_confidences(confidence[rows], correct[rows]).error

    return Classification(
        accuracy=float(hits.sum().double() / support.sum()),
        balanced_accuracy=_mean(per_class),
        macro_f1=_mean(f1[support > 0].double()),
        many=_mean(per_class[list(groups.many)]),
        medium=_mean(per_class[list(groups.medium)]),
        few=_mean(per_class[list(groups.few)]),
        nll=float(loss.mean()),
        ece=bin_confidences(confidence, correct).error,
        ece_many=ece(groups.many),
        ece_medium=ece(groups.medium),
        ece_few=ece(groups.few),
        per_class=per_class,
        groups=groups,
    )


def _mean(values: Tensor) -> float:
    return float(values.nanmean()) if len(values) else math.nan


def _right(classes: Callable[[Outputs], Sequence[int]] | None) -> Callable[[Outputs], tuple[Tensor, Tensor]]:
    """Whether each row is right, weighted as a mean over classes of the mean over their rows."""

    def rows(outputs: Outputs) -> tuple[Tensor, Tensor]:
        chosen = None if classes is None else classes(outputs)
        return outputs.right.double(), outputs.class_weights(chosen)

    return rows


def _every_row(outputs: Outputs) -> tuple[Tensor, Tensor]:
    right = outputs.right.double()
    return right, torch.full_like(right, 1 / len(right))


def _macro_f1(outputs: Outputs) -> float:
    matrix = outputs.confusion
    support, predicted = matrix.sum(dim=1), matrix.sum(dim=0)
    return _mean((2.0 * matrix.diagonal() / (support + predicted))[support > 0].double())


declare(
    "accuracy",
    "overall",
    "higher",
    lambda outputs: float(outputs.right.double().mean()),
    rows=_every_row,
    needs=["logits"],
    unit="percent",
    table="outcomes",
    order=1,
)
declare(
    "balanced_accuracy", "balanced", "higher", rows=_right(None), needs=["logits"], unit="percent", table="outcomes",
    order=2,
)  # fmt: skip
for _place, _name in enumerate(("many", "medium", "few")):
    declare(
        _name, _name, "higher", rows=_right(lambda outputs, name=_name: getattr(outputs.shots, name)),  # type: ignore[misc]
        needs=["logits", "counts"], unit="percent", table="outcomes", order=3 + _place,
    )  # fmt: skip
declare("macro_f1", "macro F1", "higher", _macro_f1, needs=["logits"], unit="percent")
