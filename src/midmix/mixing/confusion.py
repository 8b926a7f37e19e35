"""Partners by what the model takes for what, counted over training rows as training goes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.mixing.counts import DecayedCounts, batch_counts
from midmix.mixing.frequency import COUNTS, row_weights
from midmix.mixing.pairing import SelfPairs, rows_by_class
from midmix.mixing.random import index_below, uniform


class Confusion(nn.Module):
    """Counts of (label, answer) over clean training rows, in a buffer, and what pairings make of it.

    Args:
        num_classes: C.
        window: memory in rows.

    Raises:
        InputError: where the window is not above 0.
    """

    needs_clean_logits = True

    def __init__(self, num_classes: int, *, window: float = 20_000) -> None:
        super().__init__()
        if not window > 0:
            raise InputError(f"window: {window} samples; it must be above 0")
        self.num_classes = num_classes
        self.answers = DecayedCounts(num_classes, num_classes, window=window)

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        """Sees clean logits `[B, C]` and labels `[B]` of training rows."""
        classes = self.num_classes
        cells = labels * classes + logits.argmax(-1)
        seen = torch.zeros(classes * classes, device=labels.device)
        seen.scatter_add_(0, cells, torch.ones_like(cells, dtype=torch.float32))
        self.answers.add(*batch_counts(seen.reshape(classes, classes), len(labels)))

    def wrong(self) -> Tensor:
        """`[C, C]`, the share of each class's rows that was taken for each other class; zero on the diagonal.

        Every class begins with one row, spread evenly over all answers.
        """
        counts = self.answers.counts + 1 / self.num_classes
        shares = counts / counts.sum(1, keepdim=True)
        return shares * (1 - torch.eye(self.num_classes, device=shares.device))

    def extra_repr(self) -> str:
        return f"{self.num_classes}"


class ConfusedPairs(Confusion):
    """A row of a class that the row's class is taken for, as often as it is (CP-Mix, arXiv 2411.07621).

    Among the classes of the batch, `P(class k | class c) ∝ share of c's rows taken for k`, then each row of k with
    equal chance. A class alone in its batch is left as it is.

    Example:
        >>> pairs = ConfusedPairs(3)
        >>> pairs.observe(torch.eye(3)[[1] * 50], torch.tensor([0] * 50))  # class 0 is taken for class 1
        >>> y = torch.tensor([0, 1, 2, 2, 2, 2])
        >>> pairs(y, 3, torch.Generator().manual_seed(0))[0]
        tensor(1)
    """

    def forward(self, labels: Tensor, num_classes: int, generator: torch.Generator | None = None) -> Tensor:
        chances = self.wrong().to(labels.device)[labels]
        return _rows_of(chances, labels, generator)


class TransportPairs(Confusion):
    """Foreground rows that lie near in an optimal transport over confusions (OTMix, Gao et al. 2023).

    Backgrounds are the batch's rows; foregrounds its rows by `n^-power`; the cost of a pair is one minus the share of
    the foreground's class that is taken for the background's, and the plan is Sinkhorn's with entropy weight ε. The
    partner of a row is drawn from its row of the plan.

    What the authors' code does and this does not: the cost of foreground j and background i is
    `w (1 - cos(z_j, z_i)) + (1 - w) (1 - share of c_j taken for c_i)` with features z, of which this is w = 0, because
    a plan is made from labels alone; foregrounds are drawn from the whole data, and each takes the one background with
    the largest entry of the plan, where here each background draws its foreground with the plan's chances; confusions
    are those of the test split.

    Example:
        >>> pairs = TransportPairs(3)
        >>> y = torch.tensor([0, 0, 0, 0, 1, 2])
        >>> pairs(y, 3, torch.Generator().manual_seed(0), counts=torch.tensor([40.0, 10.0, 10.0])).shape
        torch.Size([6])
    """

    needs = COUNTS

    def __init__(
        self, num_classes: int, *, power: float = 1.0, entropy: float = 0.01, window: float = 20_000
    ) -> None:
        super().__init__(num_classes, window=window)
        if not 0 < entropy < float("inf"):
            raise InputError(f"entropy: {entropy} must be above 0, and finite")
        self.power, self.entropy = float(power), float(entropy)

    def forward(
        self,
        labels: Tensor,
        num_classes: int,
        generator: torch.Generator | None = None,
        *,
        counts: Tensor | None = None,
    ) -> Tensor:
        present, inverse = torch.unique(labels, return_inverse=True)
        known = labels.bincount(minlength=num_classes) if counts is None else counts
        back = inverse.bincount(minlength=len(present)).double()
        front = torch.zeros_like(back).scatter_add_(0, inverse, row_weights(labels, known, -self.power))
        alike = self.wrong().to(labels.device).double()[present][:, present]
        shares = transport(1 - alike.T, back / len(labels), front / front.sum(), self.entropy)
        chances = torch.zeros(len(labels), num_classes, dtype=torch.float64, device=labels.device)
        chances[:, present] = shares[inverse]
        return _rows_of(chances, labels, generator)

    def extra_repr(self) -> str:
        return f"{self.num_classes}, power={self.power:g}, entropy={self.entropy:g}"


def transport(cost: Tensor, source: Tensor, target: Tensor, entropy: float, steps: int = 50) -> Tensor:
    """Sinkhorn's plan for `cost [K, L]` between masses `source [K]` and `target [L]`, each row divided by its sum.

    Float64 throughout, in which `exp(-1 / entropy)` of costs up to 1 does not underflow down to an entropy of .002.
    """
    kernel = (-(cost - cost.min()) / entropy).exp() if cost.numel() else cost
    scale = torch.ones_like(target)
    for _ in range(steps):
        scale = target / (kernel.T @ (source / (kernel @ scale)))
    shares = kernel * scale
    return shares / shares.sum(1, keepdim=True)


def _rows_of(chances: Tensor, labels: Tensor, generator: torch.Generator | None) -> Tensor:
    """A row of the batch for each row, whose class has these `chances [B, C]`; itself where no class has any."""
    rows, classes = chances.shape
    order, counts, starts = rows_by_class(labels, classes)
    ladder = (chances * (counts > 0)).double().cumsum(1)
    top = ladder[:, -1:]
    draws = uniform(rows, labels.device, generator).double()[:, None]
    other = torch.searchsorted(ladder, draws * top, right=True)[:, 0].clamp_max(classes - 1)
    place = starts[other] + index_below(counts[other], uniform(rows, labels.device, generator))
    found = order[place.clamp_max(max(rows - 1, 0))]
    return torch.where(top[:, 0] > 0, found, SelfPairs()(labels, classes))
