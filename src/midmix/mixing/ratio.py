"""How much of a mixed row is its owner's."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from midmix.errors import InputError, unknown
from midmix.mixing.counts import DecayedCounts, batch_counts
from midmix.mixing.curve import Curve, ExponentialCurve
from midmix.mixing.random import symmetric_beta, uniform

Accuracy = Literal["running", "epoch", "validation", "given"]
"""Which accuracy λ follows: see `AccuracyRatio`."""
ACCURACIES: tuple[str, ...] = get_args(Accuracy)


class Ratio(nn.Module):
    """Draws `weight [B]`, each row's own share λ. Its state is in buffers, so it is saved, moved and resumed.

    Attributes:
        needs_clean_logits: whether it wants to see every batch's clean logits (`observe`).
        needs: "counts" where λ depends on the classes' counts, "progress" where on the share of the training that is
            done; `draw_pairs` is then given these by name, the progress as None where nobody tells it.
        needs_validation: whether it wants to see held-out rows after every epoch (`observe_validation`).
        per_row: whether rows of a batch have different λ.
    """

    needs_clean_logits: bool = False
    needs_validation: bool = False
    needs: frozenset[str] = frozenset()
    per_row: bool = False

    @property
    def value(self) -> Tensor:
        """λ now, a scalar tensor: what `draw` would give, or gave last where it is random."""
        raise NotImplementedError

    @property
    def span(self) -> tuple[float, float] | None:
        """λ before anything is learnt, and once everything is; None where it follows no schedule."""
        return None

    def draw(self, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """`weight [B]` float32 for a batch with these labels."""
        return self.value.to(labels.device).expand(len(labels))

    def draw_pairs(
        self,
        labels: Tensor,
        partner: Tensor,
        generator: torch.Generator | None = None,
        *,
        counts: Tensor | None = None,
    ) -> Tensor:
        """As `draw`, where λ depends on the partner `[B]` too, or on the classes' counts `[C]`."""
        return self.draw(labels, generator)

    def observe(self, logits: Tensor, labels: Tensor) -> None:
        """Sees clean logits `[B, C]` and their labels `[B]` of a training batch."""

    def observe_validation(self, logits: Tensor, labels: Tensor) -> None:
        """Sees the logits `[N, C]` and labels `[N]` of rows that are not trained on, after an epoch."""

    def observe_accuracy(self, accuracy: float | Tensor) -> None:
        """Is told the accuracy.

        Raises:
            InputError: where it is not in `[0, 1]`.
        """
        if not 0 <= float(accuracy) <= 1:
            raise InputError(f"accuracy: {float(accuracy):g} is a share and must lie in [0, 1]")

    def end_epoch(self) -> None:
        """Is told that an epoch is over."""


class FixedRatio(Ratio):
    """Always the same λ.

    Raises:
        InputError: where λ is not in `[0, 1]`.

    Example:
        >>> FixedRatio(0.7).draw(torch.tensor([0, 1]))
        tensor([0.7000, 0.7000])
    """

    _value: Tensor

    def __init__(self, value: float) -> None:
        super().__init__()
        if not 0 <= value <= 1:
            raise InputError(f"ratio: {value} is a share and must lie in [0, 1]")
        self.register_buffer("_value", torch.tensor(float(value)))

    @property
    def value(self) -> Tensor:
        return self._value


class BetaRatio(Ratio):
    """λ ~ Beta(α, α), one for the batch, or one for each row (mixup, Zhang et al. 2018).

    Args:
        alpha: above 0; 1 is uniform, below 1 mostly near 0 and 1, above 1 mostly near 0.5.
        per_row: a draw for each row instead of one for the batch; `value` is then the mean of the last draws.

    Raises:
        InputError: where α is not above 0, or not finite.

    Example:
        >>> weight = BetaRatio(1.0).draw(torch.tensor([0, 1]), torch.Generator().manual_seed(0))
        >>> bool(weight[0] == weight[1]), bool(0 <= weight[0] <= 1)
        (True, True)
    """

    _value: Tensor

    def __init__(self, alpha: float = 1.0, *, per_row: bool = False) -> None:
        super().__init__()
        if not 0 < alpha < float("inf"):
            raise InputError(
                f"alpha: {alpha} must be above 0, and finite (for one fixed ratio, use FixedRatio)"
            )
        self.alpha = float(alpha)
        self.per_row = per_row
        self.register_buffer("_value", torch.tensor(0.5))

    @property
    def value(self) -> Tensor:
        return self._value.clone()  # the buffer changes with every draw

    def draw(self, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        rows = len(labels)
        shares = symmetric_beta(self.alpha, rows if self.per_row else 1, labels.device, generator)
        if len(shares):
            self._value.copy_(shares.mean())
        return shares.expand(rows)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha:g}, per_row={self.per_row}"


class ScaleRatio(Ratio):
    """λ = 1 - τ², where τ ~ U(low, high) is a box's side as a share of the image's (ResizeMix, arXiv 2012.11101).

    Args:
        low, high: bounds of τ.
        per_row: a draw for each row instead of one for the batch; `value` is then the mean of the last draws.

    Raises:
        InputError: where not 0 ≤ low ≤ high ≤ 1.

    Example:
        >>> ScaleRatio(0.5, 0.5).draw(torch.tensor([0, 1]))
        tensor([0.7500, 0.7500])
    """

    _value: Tensor

    def __init__(self, low: float = 0.1, high: float = 0.8, *, per_row: bool = False) -> None:
        super().__init__()
        if not 0 <= low <= high <= 1:
            raise InputError(f"low, high: {low}, {high} are shares of a side; 0 ≤ low ≤ high ≤ 1 is needed")
        self.low, self.high, self.per_row = float(low), float(high), per_row
        self.register_buffer("_value", torch.tensor(0.5))

    @property
    def value(self) -> Tensor:
        return self._value.clone()

    def draw(self, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        rows = len(labels)
        sides = uniform(rows if self.per_row else 1, labels.device, generator)
        shares = 1 - (self.low + (self.high - self.low) * sides) ** 2
        if len(shares):
            self._value.copy_(shares.mean())
        return shares.expand(rows)

    def extra_repr(self) -> str:
        return f"low={self.low:g}, high={self.high:g}, per_row={self.per_row}"


class AccuracyRatio(Ratio):
    """λ falls from 1 towards 0.5 as training accuracy rises (AM-mixup, arXiv 2401.14696: `λ = exp(-β · acc)`).

    The accuracy is that of *clean* features; what the paper leaves open is a switch.

    Args:
        curve: from accuracy to λ: `ExponentialCurve(0.67)` as in the paper, `LinearCurve`, `CosineCurve`,
            `PowerCurve`, or any callable.
        num_classes: C; needed where `balanced`.
        accuracy: "running", the mean over about the last `window` samples (default: it needs no epochs); "epoch",
            that of the last whole epoch, which ends with `end_epoch`; "validation", that of held-out rows
            (`observe_validation`), which memorising does not raise; "given", only what `observe_accuracy` is told.
        balanced: the mean over classes of each class's accuracy, instead of the plain one.
        window: memory of the running mean, in samples.

    Raises:
        InputError: for an unknown `accuracy`, a window not above 0; from `observe`, for logits that are not
            `[B, C]`; from `observe_accuracy`, for an accuracy out of `[0, 1]`.

    Example:
        >>> ratio = AccuracyRatio()
        >>> ratio.value
        tensor(1.)
        >>> ratio.observe_accuracy(1.0)
        >>> ratio.value
        tensor(0.5117)
    """

    accuracy: Tensor

    def __init__(
        self,
        curve: Curve | None = None,
        num_classes: int | None = None,
        *,
        accuracy: Accuracy = "running",
        balanced: bool = False,
        window: float = 2000,
    ) -> None:
        super().__init__()
        if accuracy not in ACCURACIES:
            raise unknown("accuracy", accuracy, ACCURACIES)
        if balanced and num_classes is None:
            raise InputError("num_classes: needed where the accuracy is class-balanced")
        if not window > 0:
            raise InputError(f"window: {window} samples; it must be above 0")
        self.num_classes = num_classes
        self.curve = curve if curve is not None else ExponentialCurve()
        self.source = accuracy
        self.balanced = balanced
        self.needs_clean_logits = accuracy in ("running", "epoch")
        self.needs_validation = accuracy == "validation"
        cells = num_classes if balanced and num_classes is not None else 1
        memory = float("inf") if accuracy == "epoch" else window
        self.register_buffer("accuracy", torch.tensor(0.0))
        self.tally = DecayedCounts(2, cells, window=memory)  # right answers and rows, by class where balanced

    @property
    def value(self) -> Tensor:
        return self._at(self.accuracy)

    @property
    def span(self) -> tuple[float, float]:
        return float(self._at(torch.tensor(0.0))), float(self._at(torch.tensor(1.0)))

    def _at(self, accuracy: Tensor) -> Tensor:
        return torch.as_tensor(self.curve(accuracy)).clamp(0.5, 1.0)

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        if not self.needs_clean_logits:
            return
        if logits.dim() != 2 or len(logits) != len(labels):
            raise InputError(
                f"clean logits: {tuple(logits.shape)} for {len(labels)} labels; one row of logits a label is needed. "
                "Where the classifier answers something else, tell the accuracy: accuracy='given' and "
                "mix.observe(accuracy=…)"
            )
        self._count(logits, labels)
        if self.source == "running":
            self._publish()

    @torch.no_grad()
    def observe_validation(self, logits: Tensor, labels: Tensor) -> None:
        if not self.needs_validation:
            return
        self.tally.counts.zero_()
        self._count(logits, labels)
        self._publish()

    def _count(self, logits: Tensor, labels: Tensor) -> None:
        """Adds what is right of these rows, and how many they are."""
        right = logits.argmax(-1) == labels
        if self.balanced:
            seen = torch.stack([right.float(), torch.ones_like(right, dtype=torch.float32)])
            shape = self.tally.counts.shape
            counts = torch.zeros(shape, device=labels.device).scatter_add_(1, labels.expand(2, -1), seen)
        else:
            hits = right.sum()
            counts = torch.stack([hits, torch.full_like(hits, len(labels))])[:, None]
        self.tally.add(*batch_counts(counts, len(labels)))

    @torch.no_grad()
    def observe_accuracy(self, accuracy: float | Tensor) -> None:
        super().observe_accuracy(accuracy)
        self.accuracy.fill_(float(accuracy))

    @torch.no_grad()
    def end_epoch(self) -> None:
        if self.source == "epoch":
            self._publish()
            self.tally.counts.zero_()

    def _publish(self) -> None:
        right, rows = self.tally.counts
        # Classes not seen yet are NaN and have no say; before the first batch there is no accuracy at all.
        share = right / rows
        mean = (share.nanmean() if len(share) > 1 else share[0]).clamp_max(1)
        self.accuracy.copy_(torch.where(mean.isnan(), self.accuracy, mean))

    def extra_repr(self) -> str:
        return f"{self.curve}, accuracy={self.source}, balanced={self.balanced}"
