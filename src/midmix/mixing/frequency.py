"""Parts that ask for the classes' counts `[C]`: partners, ratios and labels that know which class is rare.

Where nobody gave `class_counts`, a mix gives them the shares that it has counted so far; only quotients matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.mixing.context import Targets
from midmix.mixing.plan import Plan
from midmix.mixing.random import symmetric_beta, uniform
from midmix.mixing.ratio import BetaRatio

COUNTS = frozenset({"counts"})


@dataclass(frozen=True)
class WeightedPairs:
    """Any row of the batch, each with a chance in proportion to `n^power`, n the count of its class in the data.

    At `power=-1` classes are partners equally often, as far as batches hold them: a class that a batch is without is
    not a partner there, so classes rarer than a batch is long are partners less often than over the whole data.

    Example:
        >>> counts = torch.tensor([90.0, 10.0])
        >>> y = torch.tensor([0] * 90 + [1] * 10)
        >>> partner = WeightedPairs(-1)(y, 2, torch.Generator().manual_seed(0), counts=counts)
        >>> y[partner].bincount().tolist()
        [50, 50]
    """

    power: float
    needs: ClassVar[frozenset[str]] = COUNTS

    def __post_init__(self) -> None:
        if not abs(self.power) < float("inf"):
            raise InputError(f"power: {self.power} must be finite")

    def __call__(
        self,
        labels: Tensor,
        num_classes: int,
        generator: torch.Generator | None = None,
        *,
        counts: Tensor | None = None,
    ) -> Tensor:
        known = labels.bincount(minlength=num_classes) if counts is None else counts
        chances = row_weights(labels, known, self.power).cumsum(0)
        draws = uniform(len(labels), labels.device, generator).double()
        found = torch.searchsorted(chances, draws * chances[-1:], right=True)
        return found.clamp_max(max(len(labels) - 1, 0))


class FrequencyRatio(BetaRatio):
    """UniMix's factor: Beta(α, α) moved round the circle by the partner's share (Xu et al. 2021, arXiv 2111.03874).

    `λ_i = (b + n_j / (n_i + n_j)) mod 1` with `b ~ Beta(α, α)` for each row, so that of a frequent and a rare row the
    rare one mostly has the larger share.

    Args:
        alpha: above 0; below 1 λ is mostly near `n_j / (n_i + n_j)`.

    Raises:
        InputError: where α is not above 0, or not finite.

    Example:
        >>> y, partner = torch.tensor([0, 1]), torch.tensor([1, 0])
        >>> ratio = FrequencyRatio(1e-3)
        >>> ratio.draw_pairs(y, partner, torch.Generator().manual_seed(0), counts=torch.tensor([90.0, 10.0]))
        tensor([0.1000, 0.9000])
    """

    needs = COUNTS

    def __init__(self, alpha: float = 0.5) -> None:
        super().__init__(alpha, per_row=True)

    def draw_pairs(
        self,
        labels: Tensor,
        partner: Tensor,
        generator: torch.Generator | None = None,
        *,
        counts: Tensor | None = None,
    ) -> Tensor:
        draws = symmetric_beta(self.alpha, len(labels), labels.device, generator)
        mine, theirs = _counts_of(labels, partner, counts)
        shares = turned(draws, mine, theirs)
        if len(shares):
            self._value.copy_(shares.mean())
        return shares

    def extra_repr(self) -> str:
        return f"alpha={self.alpha:g}"


@dataclass(frozen=True)
class RemixLabels:
    """The rare class alone where it is κ times rarer and its share above 1-τ (Remix, Chou et al. 2020).

    `λ_y = 0` where `n_i ≥ κ n_j` and `λ < τ`; `λ_y = 1` where `κ n_i ≤ n_j` and `1-λ < τ`; else `λ_y = λ`.

    Example:
        >>> y, partner, share = torch.tensor([0, 0, 1]), torch.tensor([2, 2, 0]), torch.tensor([0.4, 0.6, 0.6])
        >>> plan = RemixLabels()(y, partner, share, counts=torch.tensor([90.0, 10.0]))
        >>> plan.targets[0][1]
        tensor([0.0000, 0.6000, 1.0000])
    """

    kappa: float = 3.0
    tau: float = 0.5
    needs: ClassVar[frozenset[str]] = COUNTS
    follows_content: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.kappa >= 1:
            raise InputError(f"kappa: {self.kappa} is how many times rarer; it must be 1 or more")
        if not 0 <= self.tau <= 1:
            raise InputError(f"tau: {self.tau} is a share and must lie in [0, 1]")

    def __call__(
        self, labels: Tensor, partner: Tensor, weight: Tensor, *, counts: Tensor | None = None
    ) -> Plan:
        mine, theirs = _counts_of(labels, partner, counts)
        share = torch.where((mine >= self.kappa * theirs) & (weight < self.tau), 0.0, weight)
        share = torch.where((self.kappa * mine <= theirs) & (1 - weight < self.tau), 1.0, share)
        return Plan(labels, partner, weight, _both(labels, partner, share))


@dataclass(frozen=True)
class MarginLabels:
    """Half of the label where the margins meet (MAMix, Cheng et al. 2023, arXiv 2308.15457).

    Of the partner's content x = 1-λ the owner's label weighs 1 at x = 0, ½ at `x = k_i / (k_i + k_j)` with
    `k = n^power` and 0 at x = 1, linear in between. At -¼, k is LDAM's margin: the rarer class holds more of the way.

    Example:
        >>> y, partner = torch.tensor([0, 1]), torch.tensor([1, 0])
        >>> plan = MarginLabels(-1.0)(y, partner, torch.full((2,), 0.7), counts=torch.tensor([500.0, 100.0]))
        >>> plan.targets[0][1]
        tensor([0.4200, 0.8200])
    """

    power: float = -0.25
    needs: ClassVar[frozenset[str]] = COUNTS
    follows_content: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not abs(self.power) < float("inf"):
            raise InputError(f"power: {self.power} must be finite")

    def __call__(
        self, labels: Tensor, partner: Tensor, weight: Tensor, *, counts: Tensor | None = None
    ) -> Plan:
        mine, theirs = _counts_of(labels, partner, counts)
        middle = 1 / (1 + (theirs / mine) ** self.power)
        theirs_of_content = 1 - weight
        before = 1 - 0.5 * theirs_of_content / middle
        after = 0.5 * weight / (1 - middle)
        share = torch.where(theirs_of_content < middle, before, after).to(weight)
        return Plan(labels, partner, weight, _both(labels, partner, share))


@dataclass(frozen=True)
class PartnerOwns:
    """The mixed row is the partner's, with the row itself as what is mixed in, under the partner's label alone.

    With partners drawn by class and λ above ½ a rare class owns as many rows as a frequent one, and the batch's own
    rows, mostly of frequent classes, are what they are mixed with (H2T, Li et al. 2024, arXiv 2306.06963).

    Example:
        >>> plan = PartnerOwns()(torch.tensor([3, 5]), torch.tensor([1, 1]), torch.tensor([0.7, 0.7]))
        >>> plan.owner.tolist(), plan.partner.tolist(), plan.targets[0][0].tolist()
        ([1, 1], [0, 1], [5, 5])
    """

    def __call__(self, labels: Tensor, partner: Tensor, weight: Tensor) -> Plan:
        rows = torch.arange(len(labels), device=labels.device)
        return Plan(labels, rows, weight, ((labels[partner], torch.ones_like(weight)),), owner=partner)


def row_weights(labels: Tensor, counts: Tensor, power: float) -> Tensor:
    """`n^power` of each row's class `[B]` in float64, the largest of the batch 1."""
    logs = counts.to(labels.device).double().clamp_min(1e-12).log()[labels] * power
    return (logs - logs.max()).exp() if len(logs) else logs


def turned(draws: Tensor, mine: Tensor, theirs: Tensor) -> Tensor:
    """`(b + n_j / (n_i + n_j)) mod 1`, 1 where it is 1."""
    moved = draws + theirs / (mine + theirs)
    return torch.where(moved > 1, moved - 1, moved).clamp(0, 1)


def _both(labels: Tensor, partner: Tensor, share: Tensor) -> Targets:
    return (labels, share), (labels[partner], 1 - share)


def _counts_of(labels: Tensor, partner: Tensor, counts: Tensor | None) -> tuple[Tensor, Tensor]:
    """The counts of the rows' classes and of their partners', float32; of the batch where the data's are not known."""
    known = labels.bincount() if counts is None else counts.to(labels.device)
    of_rows = known.float().clamp_min(1e-12)[labels]
    return of_rows, of_rows[partner]
