"""How often each class is a target, counted as training goes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.mixing.plan import Plan
from midmix.mixing.tally import Tally, over_processes

WINDOW = 100_000  # samples; long, because a class with one sample in ten thousand must be remembered


class Prior(nn.Module):
    """The class prior of a mix's targets and of its data, for criteria that correct for class frequency.

    The prior belongs to the owners: with class-balanced partners and both owners the targets are half the
    data's and half the partners', not the data's. So it is counted from the targets that were really fed.

    Args:
        num_classes: C.
        class_counts: training samples of each class `[C]`, where they are known: the start of both counts, and
            the prior of the clean rows. Without it both start from one sample spread evenly, and are learnt.

    Raises:
        InputError: where the counts are not one a class or negative.
    """

    def __init__(self, num_classes: int, class_counts: Sequence[int] | Tensor | None = None) -> None:
        super().__init__()
        start = torch.full((num_classes,), 1 / num_classes)
        if class_counts is not None:
            given = torch.as_tensor(class_counts, dtype=torch.float32)
            if given.shape != (num_classes,) or bool((given < 0).any()) or not bool(given.any()):
                raise InputError(
                    f"class_counts: {given.tolist()} must be one count, 0 or more, for each of {num_classes} classes"
                )
            start = start + given
        self.known = class_counts is not None
        self.targets = Tally(num_classes, window=WINDOW)
        self.data = Tally(num_classes, window=WINDOW)
        self.targets.counts.copy_(start)
        self.data.counts.copy_(start)

    @torch.no_grad()
    def count(self, plan: Plan) -> None:
        """Counts the targets of a plan, and the labels of its batch where the data's counts are not known."""
        classes = len(self.targets.counts)
        fresh = torch.zeros(2, classes, device=plan.labels.device)
        for labels, weight in plan.targets:
            fresh[0].scatter_add_(0, labels, weight)
        fresh[1].scatter_add_(0, plan.labels, torch.ones_like(plan.labels, dtype=torch.float32))
        fresh = over_processes(fresh)
        self.targets.add(fresh[0], fresh[1].sum())
        if not self.known:
            self.data.add(fresh[1], fresh[1].sum())

    def of_targets(self) -> Tensor:
        """Shares `[C]` of the classes among targets."""
        return self.targets.counts / self.targets.counts.sum()

    def of_data(self) -> Tensor:
        """Shares `[C]` of the classes among the data's rows."""
        return self.data.counts / self.data.counts.sum()
