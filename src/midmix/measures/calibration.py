"""Does confidence mean what it says: negative log-likelihood, calibration error, reliability bins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.measures._checks import check_logits
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
    "On Calibration of Modern Neural Networks", ICML 2017, section 2.

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

    Source: Guo et al., ICML 2017, eq. 3. Arguments and errors as in `reliability_bins`.

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


def _losses(outputs: Outputs) -> tuple[Tensor, Tensor]:
    loss = outputs.rows[2]
    return loss, torch.full_like(loss, 1 / len(loss))


declare("nll", "NLL", "lower", rows=_losses, needs=["logits"], table="outcomes", order=6)
declare(
    "ece", "ECE", "lower", lambda outputs: bin_confidences(*outputs.rows[:2]).error, needs=["logits"], table="outcomes",
    order=7,
)  # fmt: skip
