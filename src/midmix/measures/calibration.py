"""Does confidence mean what it says: negative log-likelihood, calibration error, reliability bins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.measures.checks import check_logits
from midmix.measures.table import Outputs, declare

_ROWS_AT_ONCE = 8192
"""Rows turned into float64 probabilities at a time: bounds the memory for many rows and classes."""


@dataclass(frozen=True)
class ReliabilityBins:
    """What a reliability diagram draws. Bin b holds the rows with confidence in `(edges[b], edges[b+1]]`.

    `count [bins]` (int64), `confidence [bins]` and `accuracy [bins]` (float64 means, NaN in an empty bin),
    `edges [bins + 1]`.
    """

    edges: Tensor
    count: Tensor
    confidence: Tensor
    accuracy: Tensor

    @property
    def error(self) -> float:
        """Expected calibration error: `Σ_b count_b / N · |accuracy_b - confidence_b|`; lower is better."""
        gaps = (self.accuracy - self.confidence).abs().nan_to_num(0.0)
        return float((self.count * gaps).sum() / self.count.sum()) if self.count.sum() else float("nan")


def confidences(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Per row, in float64: top softmax probability, whether the top class is the label, and `-log p(label)`.

    Args:
        logits: `[N, C]`, any float dtype.
        labels: `[N]`, class indices.

    Returns:
        `confidence [N]`, `correct [N]` (bool), `loss [N]` in nats.
    """
    parts = []
    for some, theirs in zip(
        torch.split(logits, _ROWS_AT_ONCE), torch.split(labels, _ROWS_AT_ONCE), strict=True
    ):
        log_p = some.detach().double().log_softmax(dim=1)
        # The winner is taken from the logits: softmax may round two different logits to one probability.
        top = some.detach().argmax(dim=1)
        confidence = log_p.gather(1, top[:, None]).squeeze(1).exp()
        loss = -log_p.gather(1, theirs.long()[:, None]).squeeze(1)
        parts.append((confidence, top == theirs, loss))
    confidence, correct, loss = (torch.cat(column) for column in zip(*parts, strict=True))
    return confidence, correct, loss


def bin_confidences(confidence: Tensor, correct: Tensor, bins: int = 15) -> ReliabilityBins:
    """Equal-width bins over `confidence [N]` in [0, 1] with the share of `correct [N]` in each."""
    if bins < 1:
        raise InputError(f"bins: expected at least 1, got {bins}")
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=confidence.device)
    where = torch.bucketize(confidence, edges[1:-1])  # right-closed, so a confidence of 1 is in the last bin
    count = torch.bincount(where, minlength=bins)
    return ReliabilityBins(
        edges=edges,
        count=count,
        confidence=torch.bincount(where, weights=confidence, minlength=bins) / count,
        accuracy=torch.bincount(where, weights=correct.double(), minlength=bins) / count,
    )


def reliability_bins(logits: Tensor, labels: Tensor, bins: int = 15) -> ReliabilityBins:
    """Count, mean confidence and accuracy in equal-width bins of the top softmax probability.

    Perfect calibration is `accuracy == confidence` in every bin. Source: Guo, Pleiss, Sun & Weinberger,
    "On Calibration of Modern Neural Networks", ICML 2017.

    Args:
        logits: `[N, C]`, any float dtype.
        labels: `[N]`, class indices.
        bins: number of bins over [0, 1].

    Raises:
        InputError: shapes or dtypes that do not fit, non-finite logits, labels outside the classes.

    Example:
        >>> logits = torch.tensor([[0.0, 3.0], [0.0, 3.0], [4.0, 0.0]])
        >>> found = reliability_bins(logits, torch.tensor([1, 0, 0]), bins=2)
        >>> found.count.tolist(), round(found.accuracy[1].item(), 3), round(found.confidence[1].item(), 3)
        ([0, 3], 0.667, 0.962)
    """
    check_logits(logits, labels)
    confidence, correct, _ = confidences(logits, labels)
    return bin_confidences(confidence, correct, bins)


def expected_calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """`Σ_b n_b / N · |accuracy_b - confidence_b|` over the bins of the top label; in [0, 1], lower is better.

    Source: Guo et al., ICML 2017. Arguments and errors as in `reliability_bins`.

    Example:
        >>> logits = torch.tensor([[0.0, 3.0], [0.0, 3.0], [4.0, 0.0]])
        >>> round(expected_calibration_error(logits, torch.tensor([1, 0, 0])), 4)
        0.2957
    """
    return reliability_bins(logits, labels, bins).error


def negative_log_likelihood(logits: Tensor, labels: Tensor) -> float:
    """Mean of `-log softmax(logits)[label]` in nats, summed in float64; lower is better.

    Arguments and errors as in `reliability_bins`.

    Example:
        >>> round(negative_log_likelihood(torch.zeros(2, 4), torch.tensor([0, 3])), 4)  # log 4
        1.3863
    """
    check_logits(logits, labels)
    return float(confidences(logits, labels)[2].mean())


def brier_score(logits: Tensor, labels: Tensor) -> float:
    """Mean of `Σ_c (p_c - [label = c])²`, for two classes half of it, `(p_1 - label)²`; lower is better.

    Source: Brier 1950, Monthly Weather Review 78; halved for two classes as everybody does. Arguments and errors as in
    `reliability_bins`.

    Example:
        >>> brier_score(torch.zeros(2, 2), torch.tensor([0, 1])), brier_score(torch.zeros(2, 4), torch.tensor([0, 3]))
        (0.25, 0.75)
    """
    check_logits(logits, labels)
    return float(_brier(logits, labels).mean())


def classwise_calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """`1/C Σ_c Σ_b n_cb / N · |share_cb - probability_cb|`: the calibration error of every class's own probability.

    Rows are put into equal-width bins of p_c; a bin's share is that of rows of class c. Source: Kull et al.,
    NeurIPS 2019 (arXiv 1910.12656). Arguments and errors as in `reliability_bins`.

    Example:
        >>> classwise_calibration_error(torch.zeros(4, 2), torch.tensor([0, 0, 0, 1]))  # .5 where .75 and .25 are so
        0.25
    """
    check_logits(logits, labels)
    return _classwise(logits, labels, bins)


def _brier(logits: Tensor, labels: Tensor) -> Tensor:
    parts = []
    for some, theirs in zip(
        torch.split(logits, _ROWS_AT_ONCE), torch.split(labels, _ROWS_AT_ONCE), strict=True
    ):
        gap = some.detach().double().softmax(dim=1)
        gap[torch.arange(len(gap), device=gap.device), theirs.long()] -= 1
        parts.append(gap.square().sum(dim=1) / (2 if gap.shape[1] == 2 else 1))
    return torch.cat(parts)


def _classwise(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    classes = logits.shape[1]
    log_total = logits.detach().double().logsumexp(dim=1)
    errors = [
        bin_confidences((logits[:, c].detach().double() - log_total).exp(), labels == c, bins).error
        for c in range(classes)
    ]
    return sum(errors) / classes


def _losses(outputs: Outputs) -> tuple[Tensor, Tensor]:
    loss = outputs.rows[2]
    return loss, torch.full_like(loss, 1 / len(loss))


def _squares(outputs: Outputs) -> tuple[Tensor, Tensor]:
    gap = _brier(outputs.judged, outputs.labels)
    return gap, torch.full_like(gap, 1 / len(gap))


declare("nll", "NLL", "lower", rows=_losses, needs=["logits"], table="outcomes", order=6)
declare(
    "ece", "ECE", "lower", lambda outputs: bin_confidences(*outputs.rows[:2]).error, needs=["logits"], table="outcomes",
    order=7,
)  # fmt: skip
declare("brier", "Brier", "lower", rows=_squares, needs=["logits"], table="two classes", order=8)
declare(
    "classwise_ece", "class-wise ECE", "lower", lambda outputs: _classwise(outputs.judged, outputs.labels),
    needs=["logits"], order=9,
)  # fmt: skip
