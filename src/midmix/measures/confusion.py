"""What a confusion matrix comes to, for any number of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.measures.checks import check_labels
from midmix.measures.table import Outputs, declare


def matthews_correlation(confusion: Tensor) -> float:
    """Correlation of decisions and labels, in [-1, 1]; 0 where all rows are of one class or decided so.

    Source: Gorodkin 2004, Computational Biology and Chemistry 28; for two classes Matthews 1975.

    Args:
        confusion: `[C, C]` counts, row = true class, column = decided.

    Example:
        >>> round(matthews_correlation(torch.tensor([[8, 2], [1, 9]])), 4)
        0.7035
    """
    matrix = confusion.double()
    total, right = matrix.sum(), matrix.diagonal().sum()
    true, decided = matrix.sum(dim=1), matrix.sum(dim=0)
    covariance = right * total - true @ decided
    spread = (total**2 - decided @ decided) * (total**2 - true @ true)
    return float(covariance / spread.sqrt()) if spread > 0 else 0.0


def geometric_mean(confusion: Tensor) -> float:
    """Geometric mean of the recalls of the classes that have rows; NaN where none has.

    Source: Kubat & Matwin, ICML 1997. `confusion` as in `matthews_correlation`.

    Example:
        >>> round(geometric_mean(torch.tensor([[8, 2], [1, 9]])), 4)  # √(.8 · .9)
        0.8485
    """
    matrix = confusion.double()
    rows = matrix.sum(dim=1)
    recall = matrix.diagonal()[rows > 0] / rows[rows > 0]
    return float(recall.prod() ** (1 / len(recall))) if len(recall) else math.nan


def expected_cost(decided: Tensor, labels: Tensor, costs: Tensor | Sequence[Sequence[float]]) -> float:
    """Mean of `cost[label, decided]` over the rows; lower is better.

    Args:
        decided: classes `[N]`.
        labels: `[N]`.
        costs: `[C, C]`, of deciding the column where the row is true.

    Raises:
        InputError: costs that are no square matrix of finite numbers; classes beyond it; lengths that differ.

    Example:
        >>> expected_cost(torch.tensor([0, 1]), torch.tensor([1, 1]), [[0.0, 1.0], [20.0, 0.0]])
        10.0
    """
    return float(_costs(decided, labels, torch.as_tensor(costs, dtype=torch.float64)).mean())


def _costs(decided: Tensor, labels: Tensor, costs: Tensor) -> Tensor:
    if costs.ndim != 2 or costs.shape[0] != costs.shape[1] or not bool(costs.isfinite().all()):
        raise InputError(
            f"costs: {list(costs.shape)}; a square matrix of finite numbers is needed, a row for each true class and a "
            "column for each decision"
        )
    if decided.shape != labels.shape:
        raise InputError(
            f"decided: {list(decided.shape)} for labels {list(labels.shape)}; one a row is needed"
        )
    for rows in (labels, decided):
        check_labels(rows, len(costs))
    return costs.to(labels.device)[labels.long(), decided.long()]


def _cost_rows(outputs: Outputs) -> tuple[Tensor, Tensor]:
    assert outputs.logits is not None
    assert outputs.costs is not None
    cost = _costs(outputs.logits.argmax(dim=1), outputs.labels, outputs.costs.double())
    return cost, torch.full_like(cost, 1 / len(cost))


declare("mcc", "MCC", "higher", lambda outputs: matthews_correlation(outputs.confusion), needs=["logits"])
declare(
    "g_mean", "G-mean", "higher", lambda outputs: geometric_mean(outputs.confusion), needs=["logits"], unit="percent"
)  # fmt: skip
declare("expected_cost", "cost a row", "lower", rows=_cost_rows, needs=["logits", "costs"])
