"""Which rows an epoch draws, and in which order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.methods.values import real, whole
from midmix.registry import Registry


class Order(Protocol):
    """Draws the rows of one epoch."""

    def rows(self, labels: Tensor, num_classes: int, progress: float, generator: torch.Generator) -> Tensor:
        """Indices `[n]` of the rows of an epoch, from `labels [N]`; `progress` is the share of the training done.

        They are a function of the generator's state, so processes that share a seed share the sequence. `n` is N
        unless the order says otherwise.
        """
        ...

    def shares(self, counts: Tensor, progress: float) -> Tensor:
        """How often each class is drawn `[C]`, in proportion, of `counts [C]` training rows."""
        ...


ORDERS: Registry[Callable[..., Order]] = Registry("order", "midmix.orders")
"""What makes an order, by name."""


def draw_by_class(labels: Tensor, shares: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """Draws with replacement: each row's class in proportion to the shares, then one of its rows by equal chance.

    `P(row i) = share_{y_i} / (n_{y_i} Σ_c share_c)`, exact to float64.

    Args:
        labels: `[N]`, class indices.
        shares: `[C]`, 0 or more, in any proportion.
        draws: how many.
        generator: of the draws, on the CPU.

    Returns:
        Indices `[draws]` of rows.

    Raises:
        InputError: where a class has a share and no rows, or none has a share.

    Example:
        >>> labels = torch.tensor([0, 0, 0, 1, 2])
        >>> rows = draw_by_class(labels, torch.tensor([0.0, 3.0, 1.0]), 1000, torch.Generator().manual_seed(0))
        >>> torch.bincount(labels[rows]).tolist()  # 750 to 250 expected
        [0, 758, 242]
    """
    labels, shares = labels.cpu().long(), shares.detach().double().cpu()
    counts = torch.bincount(labels, minlength=len(shares))
    drawn = shares.nonzero().flatten()
    if not len(drawn) or bool((counts[drawn] == 0).any()):
        raise InputError("order: a class that has a share of the draws has no rows, or no class has a share")
    rows = torch.argsort(labels, stable=True)  # by class
    edges = shares[drawn].cumsum(0)
    chosen, within = torch.rand(2, draws, generator=generator, dtype=torch.float64)
    places = torch.searchsorted(edges, chosen * edges[-1], right=True).clamp_max(len(drawn) - 1)
    classes = drawn[places]
    starts = counts.cumsum(0) - counts
    return rows[starts[classes] + (within * counts[classes]).long()]


@ORDERS.register(name="shuffled")
@dataclass(frozen=True)
class Shuffled:
    """Every row once an epoch, in random order.

    Example:
        >>> order = Shuffled().rows(torch.tensor([0, 0, 1]), 2, 0.0, torch.Generator().manual_seed(0))
        >>> sorted(order.tolist())
        [0, 1, 2]
    """

    def rows(self, labels: Tensor, num_classes: int, progress: float, generator: torch.Generator) -> Tensor:
        return torch.randperm(len(labels), generator=generator)

    def shares(self, counts: Tensor, progress: float) -> Tensor:
        return counts


class ByClass(ABC):
    """An order that draws N rows an epoch with replacement, each class by its share; see `draw_by_class`."""

    @abstractmethod
    def shares(self, counts: Tensor, progress: float) -> Tensor:
        """How often each class is drawn `[C]`, in proportion, of `counts [C]` training rows."""

    def rows(self, labels: Tensor, num_classes: int, progress: float, generator: torch.Generator) -> Tensor:
        """Indices `[N]` of the rows of an epoch."""
        counts = torch.bincount(labels.cpu().long(), minlength=num_classes)
        return draw_by_class(labels, self.shares(counts, progress), len(labels), generator)


@ORDERS.register(name="power")
@dataclass(frozen=True)
class Power(ByClass):
    """A class is drawn by a power of its count: `p_c = n_c^q / Σ_k n_k^q`, over the classes with rows.

    Kang et al. 2020 (Decoupling, arXiv 1910.09217): q = 1 draws rows by equal chance, ½ is square-root
    sampling, 0 class-balanced sampling. Below 0 the rarest classes are drawn most: the partners of CMO (Park et al.
    2022, arXiv 2112.00412) are drawn with q = -1 in the paper's form. N draws an epoch, with replacement.

    Args:
        exponent: q.

    Raises:
        InputError: for an exponent that is not finite.

    Example:
        >>> Power(0.5).shares(torch.tensor([100, 4, 0]), progress=0.0)
        tensor([10.,  2.,  0.], dtype=torch.float64)
        >>> labels = torch.tensor([0] * 100 + [1] * 4)
        >>> rows = Power(0.0).rows(labels, 2, 0.0, torch.Generator().manual_seed(0))
        >>> len(rows), torch.bincount(labels[rows]).tolist()
        (104, [54, 50])
    """

    exponent: float = 0.5

    def __post_init__(self) -> None:
        real("power:exponent", self.exponent)

    def shares(self, counts: Tensor, progress: float) -> Tensor:
        present = counts > 0
        return torch.where(present, counts.double().clamp_min(1) ** self.exponent, 0.0)


@ORDERS.register
def class_balanced() -> Order:
    """Every class is drawn as often as every other: `Power` with q = 0 (Kang et al. 2020, arXiv 1910.09217).

    Example:
        >>> class_balanced().shares(torch.tensor([90, 10]), progress=0.0)
        tensor([1., 1.], dtype=torch.float64)
    """
    return Power(0.0)


@ORDERS.register
def square_root() -> Order:
    """A class is drawn by the root of its count: `Power` with q = ½ (Mahajan et al. 2018, arXiv 1805.00932).

    Example:
        >>> square_root().shares(torch.tensor([900, 100]), progress=0.0)
        tensor([30., 10.], dtype=torch.float64)
    """
    return Power(0.5)


@ORDERS.register(name="effective_share")
@dataclass(frozen=True)
class EffectiveNumberOrder(ByClass):
    """A row is drawn by the inverse of its class's effective number: `p_c ∝ n_c (1 - β) / (1 - β^{n_c})`.

    Weights of Cui et al. 2019 (arXiv 1901.05555), as chances of being drawn. β = 0 draws rows by equal
    chance, and as β nears 1 the classes become balanced.

    Args:
        beta: β, in `[0, 1)`.

    Raises:
        InputError: for a β outside.

    Example:
        >>> EffectiveNumberOrder(0.5).shares(torch.tensor([2, 1]), progress=0.0)
        tensor([1.3333, 1.0000], dtype=torch.float64)
    """

    beta: float = 0.9999

    def __post_init__(self) -> None:
        if not real("effective_share:beta", self.beta, least=0) < 1:
            raise InputError(
                f"effective_share:beta={self.beta}: must be at least 0 and below 1, such as 0.9999"
            )

    def shares(self, counts: Tensor, progress: float) -> Tensor:
        rows = counts.double()
        return torch.where(counts > 0, rows * (1 - self.beta) / (1 - self.beta ** rows.clamp_min(1)), 0.0)


@ORDERS.register(name="progressive")
@dataclass(frozen=True)
class Progressive(ByClass):
    """From rows by equal chance to classes by equal chance, as the training goes on.

    `p_c = (1 - t) n_c / N + t / C`, with t the progress and C the classes with rows (Kang et al. 2020, arXiv
    1910.09217). What the first epoch's and the last's t are is the training's to say: the paper has t/T,
    the authors' code e/(T - 1) of epochs from 0, so that the last one is balanced. N draws an epoch, with replacement.

    Example:
        >>> [Progressive().shares(torch.tensor([9, 1]), t).tolist() for t in (0.0, 0.5, 1.0)]
        [[0.9, 0.1], [0.7, 0.3], [0.5, 0.5]]
    """

    def shares(self, counts: Tensor, progress: float) -> Tensor:
        present = (counts > 0).double()
        return (1 - progress) * counts.double() / counts.sum() + progress * present / present.sum()


@ORDERS.register(name="repeat_factor")
@dataclass(frozen=True)
class RepeatFactor:
    """Rows of rare classes are repeated: each stands `r_c = max(1, √(t / f_c))` times in an epoch, on average.

    Gupta et al. 2019 (LVIS, arXiv 1908.03195) with one label a row: f_c is the class's share of the rows. A
    row is in an epoch ⌊r_c⌋ times, and once more with the chance of what is left of r_c. So an epoch has **more than N
    rows**: `Σ_c n_c r_c` on average, another number each time.

    Args:
        threshold: t, the share of the rows below which a class is repeated; the paper's is 0.001.

    Raises:
        InputError: for a threshold that is negative.

    Example:
        >>> labels = torch.tensor([0] * 96 + [1] * 4)
        >>> order = RepeatFactor(threshold=0.36)  # class 1: √(0.36 / 0.04) = 3 times
        >>> torch.bincount(labels[order.rows(labels, 2, 0.0, torch.Generator().manual_seed(0))]).tolist()
        [96, 12]
    """

    threshold: float = 0.001

    def __post_init__(self) -> None:
        real("repeat_factor:threshold", self.threshold, least=0)

    def factors(self, counts: Tensor) -> Tensor:
        """How often a row of each class stands in an epoch on average `[C]`; 1 for a class without rows."""
        rarity = self.threshold * counts.double().sum() / counts.double().clamp_min(1)
        return torch.where(counts > 0, rarity.sqrt().clamp_min(1), 1.0)

    def rows(self, labels: Tensor, num_classes: int, progress: float, generator: torch.Generator) -> Tensor:
        labels = labels.cpu().long()
        factors = self.factors(torch.bincount(labels, minlength=num_classes))[labels]
        least = factors.floor()
        more = torch.rand(len(labels), generator=generator, dtype=torch.float64) < factors - least
        rows = torch.arange(len(labels)).repeat_interleave(least.long() + more)
        return rows[torch.randperm(len(rows), generator=generator)]

    def shares(self, counts: Tensor, progress: float) -> Tensor:
        return counts * self.factors(counts)


@ORDERS.register(name="m_per_class")
@dataclass(frozen=True)
class MPerClass:
    """m rows of one class, then m of another: every class once in each round, in an order drawn anew each round.

    Class-aware sampling (Shen, Lin & Huang 2016, arXiv 1512.05830), where m is 1; with batches of P · m
    rows, the batches of metric learning, P classes with m rows each (Musgrave et al. 2020, arXiv 2003.08505). A group
    has m different rows where its class has as many, else each row as often as every other, but for one.
    N rows an epoch, the last group cut there; classes have equal shares.

    Args:
        m: rows of a group.

    Raises:
        InputError: for an m that is not a whole number from 1.

    Example:
        >>> labels = torch.tensor([0] * 9 + [1] * 3)
        >>> rows = MPerClass(m=2).rows(labels, 2, 0.0, torch.Generator().manual_seed(0))
        >>> labels[rows].view(-1, 2).tolist()
        [[1, 1], [0, 0], [0, 0], [1, 1], [0, 0], [1, 1]]
    """

    m: int = 4

    def __post_init__(self) -> None:
        whole("m_per_class:m", self.m, least=1)

    def rows(self, labels: Tensor, num_classes: int, progress: float, generator: torch.Generator) -> Tensor:
        labels = labels.cpu().long()
        counts = torch.bincount(labels)
        counts = counts[counts > 0]
        groups = -(-len(labels) // self.m)
        order = _permutations(-(-groups // len(counts)), len(counts), generator).flatten()[:groups]
        drawn = torch.empty(groups, self.m, dtype=torch.long)
        by_class = torch.argsort(labels, stable=True).split_with_sizes(counts.tolist())
        sizes = torch.bincount(order, minlength=len(counts)).tolist()
        places = torch.argsort(order, stable=True).split_with_sizes(sizes)
        for members, ours in zip(by_class, places, strict=True):
            drawn[ours] = members[self._groups(len(ours), len(members), generator)]
        return drawn.flatten()[: len(labels)]

    def _groups(self, groups: int, members: int, generator: torch.Generator) -> Tensor:
        """`[groups, m]` of a class's members, from shuffled lists of all of them."""
        if members < self.m:
            many = -(-self.m // members)  # lists for each group
            return _permutations(groups * many, members, generator).view(groups, many * members)[:, : self.m]
        each = members // self.m  # groups of a list
        lists = _permutations(-(-groups // each), members, generator)
        return lists[:, : each * self.m].reshape(-1, self.m)[:groups]

    def shares(self, counts: Tensor, progress: float) -> Tensor:
        return (counts > 0).double()


def _permutations(many: int, length: int, generator: torch.Generator) -> Tensor:
    """`[many, length]`, each row a permutation of its own."""
    return torch.rand(many, length, generator=generator, dtype=torch.float64).argsort(dim=1)
