"""Two classes, one of which is looked for: curves over the threshold, and what they come to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.measures.checks import check_labels
from midmix.measures.table import Need, Outputs, declare

PRECISION = 0.9
"""At which `recall_at_precision` is taken in tables."""
OF_DECISIONS = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "mcc", "g_mean")
"""Measures of what was decided, whatever the scores."""


@dataclass(frozen=True)
class ThresholdCurve:
    """What deciding for the class looked for gives at each threshold, `[K]` float64, from the highest score down.

    Attributes:
        threshold: decide where the score is at least this.
        hits: rows of the class looked for among those.
        alarms: rows of the other class among those.
        positives: rows of the class looked for in all.
        negatives: rows of the other class in all.
    """

    threshold: Tensor
    hits: Tensor
    alarms: Tensor
    positives: int
    negatives: int

    @property
    def precision(self) -> Tensor:
        """Share of the decisions for the class that are right."""
        return self.hits / (self.hits + self.alarms)

    @property
    def recall(self) -> Tensor:
        """Share of the class's rows that are found; NaN where it has none."""
        return self.hits / self.positives

    @property
    def false_alarm_rate(self) -> Tensor:
        """Share of the other class's rows that are decided for it; NaN where there are none."""
        return self.alarms / self.negatives

    def cost(self, miss: float, alarm: float) -> Tensor:
        """Mean cost a row, of so much for each row missed and each false alarm."""
        missed = self.positives - self.hits
        return (miss * missed + alarm * self.alarms) / (self.positives + self.negatives)


def threshold_curve(score: Tensor, positive: Tensor) -> ThresholdCurve:
    """Hits and false alarms at every threshold that makes a difference.

    Args:
        score: `[N]`, higher for the class looked for.
        positive: `[N]` bool, or 0 and 1: whether a row is of that class.

    Raises:
        InputError: no rows, lengths that differ, scores that are not finite.

    Example:
        >>> curve = threshold_curve(torch.tensor([0.75, 0.5, 0.5, 0.25]), torch.tensor([1, 1, 0, 0]))
        >>> curve.threshold.tolist(), curve.recall.tolist(), curve.precision.tolist()[0]
        ([0.75, 0.5, 0.25], [0.5, 1.0, 1.0], 1.0)
    """
    score = score.detach().double()
    if score.ndim != 1 or score.shape != positive.shape or not len(score):
        raise InputError(
            f"score: expected a score and a label a row [N]; got {list(score.shape)} and {list(positive.shape)}"
        )
    if not bool(score.isfinite().all()):
        raise InputError("score: expected finite numbers")
    check_labels(positive.long(), 2)
    ranked, order = score.sort(descending=True, stable=True)
    own = positive[order].double()
    last = torch.ones(len(ranked), dtype=torch.bool, device=score.device)  # of rows with equal scores
    last[:-1] = ranked[:-1] != ranked[1:]
    hits = own.cumsum(0)[last]
    taken = torch.arange(1, len(ranked) + 1, dtype=torch.float64, device=score.device)[last]
    total = int(own.sum())
    return ThresholdCurve(ranked[last], hits, taken - hits, total, len(ranked) - total)


def average_precision(score: Tensor, positive: Tensor) -> float:
    """`Σ_k (recall_k - recall_{k-1}) · precision_k` from the highest threshold down; higher is better.

    NaN without a row of the class looked for. Arguments and errors as in `threshold_curve`.

    Example:
        >>> round(average_precision(torch.tensor([0.9, 0.8, 0.4]), torch.tensor([1, 0, 1])), 4)  # 1/2 + 1/2 · 2/3
        0.8333
    """
    return _average_precision(threshold_curve(score, positive))


def roc_auc(score: Tensor, positive: Tensor) -> float:
    """Chance that a row of the class looked for has a higher score than one of the other; equal ones count half.

    NaN where one of the two has no rows. Arguments and errors as in `threshold_curve`.

    Example:
        >>> roc_auc(torch.tensor([0.9, 0.8, 0.4]), torch.tensor([1, 0, 1]))
        0.5
    """
    return _roc_auc(threshold_curve(score, positive))


def recall_at_precision(score: Tensor, positive: Tensor, precision: float = PRECISION) -> float:
    """Highest recall of all thresholds with at least this precision; 0 where none has it.

    NaN without a row of the class looked for. Arguments and errors as in `threshold_curve`.

    Example:
        >>> recall_at_precision(torch.tensor([0.9, 0.8, 0.4]), torch.tensor([1, 0, 1]), 0.9)
        0.5
    """
    return _recall_at(threshold_curve(score, positive), precision)


def _average_precision(curve: ThresholdCurve) -> float:
    if not curve.positives:
        return math.nan
    gained = torch.diff(curve.recall, prepend=curve.recall.new_zeros(1))
    return float((gained * curve.precision).sum())


def _roc_auc(curve: ThresholdCurve) -> float:
    if not curve.positives or not curve.negatives:
        return math.nan
    start = curve.hits.new_zeros(1)
    found, wrong = torch.cat([start, curve.hits]), torch.cat([start, curve.alarms])
    area = ((wrong[1:] - wrong[:-1]) * (found[1:] + found[:-1])).sum() / 2
    return float(area / (curve.positives * curve.negatives))


def _recall_at(curve: ThresholdCurve, precision: float) -> float:
    if not curve.positives:
        return math.nan
    reached = curve.precision >= precision
    return float(curve.recall[reached].max()) if bool(reached.any()) else 0.0


def curve_of(outputs: Outputs) -> ThresholdCurve:
    """The curve of two classes' log-odds."""
    return threshold_curve(outputs.score, outputs.labels == outputs.positive)


def _decided(outputs: Outputs) -> tuple[float, float, float]:
    """Hits, decisions and rows of the class looked for, by the largest logit."""
    matrix, positive = outputs.confusion.double(), outputs.positive
    return (
        float(matrix[positive, positive]),
        float(matrix[:, positive].sum()),
        float(matrix[positive].sum()),
    )


def _precision(outputs: Outputs) -> float:
    hits, decided, _ = _decided(outputs)
    return hits / decided if decided else 0.0


def _f1(outputs: Outputs) -> float:
    hits, decided, rows = _decided(outputs)
    return 2 * hits / (decided + rows) if decided + rows else math.nan


def _recall(outputs: Outputs) -> tuple[Tensor, Tensor]:
    return outputs.right.double(), outputs.class_weights([outputs.positive])


_NEEDS: tuple[Need, ...] = ("logits", "two classes")
_COMPUTED: dict[str, tuple[str, Callable[[Outputs], float]]] = {
    "average_precision": ("AP", lambda outputs: _average_precision(curve_of(outputs))),
    "roc_auc": ("ROC-AUC", lambda outputs: _roc_auc(curve_of(outputs))),
    "precision": ("precision", _precision),
    "f1": ("F1", _f1),
    "recall_at_precision": (
        f"recall at {PRECISION:.0%}",
        lambda outputs: _recall_at(curve_of(outputs), PRECISION),
    ),
}
for _place, (_name, (_heading, _compute)) in enumerate(_COMPUTED.items()):
    declare(
        _name, _heading, "higher", _compute, needs=_NEEDS, unit="percent", table="two classes", order=3 + _place / 10
    )  # fmt: skip
declare(
    "recall", "recall", "higher", rows=_recall, needs=_NEEDS, unit="percent", table="two classes", order=3.25
)
