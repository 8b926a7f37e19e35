"""How often each class is a target, counted as training goes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.mixing.counts import DecayedCounts, batch_counts
from midmix.mixing.plan import Plan

WINDOW = 100_000  # samples; long, because a class with one sample in ten thousand must be remembered


class Prior(nn.Module):
    """The class prior of a mix's targets and of its data, for criteria that correct for class frequency.

    The prior belongs to the owners: with class-balanced partners and both owners the targets are half the
    data's and half the partners', not the data's. So it is counted from the targets that were really fed:

        prior_c ∝ data_c · (targets of class c) / (rows of class c)

    over the batches seen. Where `data` is known, a mix whose targets are its rows' labels has it from the first batch
    on; where it is not, it is the share of class c among the rows, which cancels.

    Args:
        num_classes: C.
        class_counts: training samples of each class `[C]`, where they are known: the prior of the data. Without it
            that is learnt, from one sample spread evenly.

    Raises:
        InputError: where the counts are not a number, 0 or more, for each class.

    Example:
        >>> Prior(3, class_counts=[90, 9, 1]).of_targets()
        tensor([0.8944, 0.0924, 0.0132])
    """

    given: Tensor | None
    normed: Tensor | None

    def __init__(self, num_classes: int, class_counts: Sequence[int] | Tensor | None = None) -> None:
        super().__init__()
        start = torch.full((num_classes,), 1 / num_classes)
        if class_counts is not None:
            start = start + _counts(class_counts, num_classes)  # no class is without a share
            start = start / start.sum()
        # Not saved: it is the constructor's argument.
        self.register_buffer("given", None if class_counts is None else start, persistent=False)
        self.register_buffer(
            "normed", None if class_counts is None else start / start.sum(), persistent=False
        )
        self.targets = DecayedCounts(num_classes, window=WINDOW)
        self.data = DecayedCounts(num_classes, window=WINDOW)
        self.targets.counts.copy_(start)
        self.data.counts.copy_(start)

    @torch.no_grad()
    def start_from(self, shares: Tensor) -> None:
        """Takes these shares `[C]`, of sum 1, for those of the rows that are drawn, in place of the data's own."""
        shares = shares.to(self.data.counts).clamp_min(1e-12)
        self.given, self.normed = shares, shares / shares.sum()
        self.targets.counts.copy_(shares)
        self.data.counts.copy_(shares)

    @torch.no_grad()
    def count(self, plan: Plan) -> None:
        """Counts the targets of a plan, and the labels of its batch."""
        data = _ones_by_class(plan.labels, self.data.counts)
        targets = torch.zeros_like(data)
        for labels, weight in plan.targets:
            targets.scatter_add_(0, labels, weight)
        self._add(targets, data, len(plan.labels))

    @torch.no_grad()
    def count_unmixed(self, labels: Tensor) -> None:
        """Counts a batch whose targets are its own labels; where the data's prior is known, they change nothing."""
        if self.given is None:
            data = _ones_by_class(labels, self.data.counts)
            self._add(data, data, len(labels))

    def _add(self, targets: Tensor, data: Tensor, rows: int) -> None:
        (targets, data), samples = batch_counts(torch.stack([targets, data]), rows)
        self.targets.add(targets, samples)
        self.data.add(data, samples)

    def of_targets(self) -> Tensor:
        """Shares `[C]` of the classes among targets."""
        if self.given is None:
            return self.targets.counts / self.targets.counts.sum()
        # A class not seen for so long that both counts have faded away stays at its data's share.
        remembered = self.data.counts > 1e-30
        each = torch.where(remembered, self.targets.counts / self.data.counts.clamp_min(1e-30), 1.0)
        prior = self.given * each
        return prior / prior.sum()

    def of_unmixed(self) -> Tensor:
        """`of_targets` for a mix whose targets are its rows' own labels, without counting."""
        return self.of_targets() if self.normed is None else self.normed

    def of_data(self) -> Tensor:
        """Shares `[C]` of the classes among the data's rows."""
        return self.data.counts / self.data.counts.sum() if self.given is None else self.given


def _ones_by_class(labels: Tensor, like: Tensor) -> Tensor:
    ones = torch.ones(len(labels), device=labels.device)
    return torch.zeros(len(like), device=labels.device).scatter_add_(0, labels, ones)


def _counts(given: Sequence[int] | Tensor, num_classes: int) -> Tensor:
    try:
        counts = torch.as_tensor(given, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        counts = torch.empty(0)
    counted = counts.isfinite() & (counts >= 0)
    if counts.shape != (num_classes,) or not bool(counted.all()) or float(counts.sum()) < 1.001:
        shown = given.tolist() if isinstance(given, Tensor) else given
        raise InputError(
            f"class_counts: {shown} must be one count, 0 or more, for each of {num_classes} classes (no shares)"
        )
    return counts
