"""What is summed up over the steps of an epoch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

import torch
from accelerate.utils import reduce
from torch import Tensor


@dataclass
class EpochSums:
    """Sums over the current epoch's steps. Steps wait on the device until `take` looks at them all at once.

    Attributes:
        loss, ratio: sums over the steps of the mean loss and of λ.
        right, rows: clean rows of this process that were classified rightly, and all that were seen.
        last_ratio: λ of the last step that was taken.
        waiting: what steps left since: loss, λ a row, the clean rows' logits and labels where they are known.

    Example:
        >>> sums = EpochSums()
        >>> sums.add(torch.tensor(0.5), torch.tensor([0.75, 0.75]), torch.eye(2), torch.tensor([0, 0]))
        >>> sums.take(), sums.loss, sums.ratio, sums.clean_accuracy()
        ([0.5], 0.5, 0.75, 0.5)
    """

    loss: float = 0.0
    ratio: float = 0.0
    right: float = 0.0
    rows: float = 0.0
    last_ratio: float = math.nan
    waiting: list[tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]] = field(
        default_factory=list, repr=False
    )

    def add(self, loss: Tensor, weight: Tensor, clean_logits: Tensor | None, labels: Tensor) -> None:
        """Of one step: its mean loss, the owners' shares `[R]`, and the clean rows' logits `[B, C]`, if known."""
        self.waiting.append((loss, weight, None if clean_logits is None else (clean_logits, labels)))

    def take(self, processes: int = 1) -> list[float]:
        """The losses of the steps that waited, of all processes together; added one by one, so that it is of no account
        when one looks."""
        if not self.waiting:
            return []
        losses = torch.stack([loss for loss, _, _ in self.waiting])
        if processes > 1:  # so that all of them stop where one must
            losses = reduce(losses, "mean")
        ratios = torch.stack([weight.double().mean() for _, weight, _ in self.waiting])
        clean = [rows for _, _, rows in self.waiting if rows is not None]
        self.waiting = []
        values: list[float] = losses.double().tolist()
        for value, ratio in zip(values, ratios.tolist(), strict=True):
            self.loss += value
            self.ratio += ratio
            self.last_ratio = ratio
        if clean:
            logits, labels = (torch.cat(parts) for parts in zip(*clean, strict=True))
            self.right += float((logits.argmax(1) == labels).sum())
            self.rows += len(labels)
        return values

    def clean_accuracy(self, processes: int = 1, device: torch.device | None = None) -> float:
        """Of the epoch's clean rows so far, over so many processes; NaN where nobody saw any."""
        counts = torch.tensor([self.right, self.rows], device=device)
        if processes > 1:
            counts = reduce(counts, "sum")
        return float(counts[0] / counts[1])

    def as_dict(self) -> dict[str, float]:
        """The sums as plain data, for a checkpoint, which is written when no step waits."""
        assert not self.waiting
        return {name: value for name, value in asdict(self).items() if name != "waiting"}
