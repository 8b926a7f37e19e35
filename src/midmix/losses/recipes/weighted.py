"""Losses that weigh rows by their class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.losses.checks import check_not_negative
from midmix.losses.compose import ComposedLoss
from midmix.losses.parts import Weight, class_weights
from midmix.losses.registry import LOSSES
from midmix.mixing.context import LossContext


@dataclass(frozen=True)
class InverseFrequency:
    """`w_c ∝ n_c^(-p)`, of mean 1 under the targets' prior."""

    power: float
    needs = frozenset({"counts"})

    def __post_init__(self) -> None:
        check_not_negative("power", self.power, "; 1 for inverse frequency")

    @property
    def absorbs(self) -> float:
        """Rows that count `π^(-p)` are rows drawn under `π^(1-p)`."""
        return self.power

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        counts = context.target_counts.clamp_min(1)
        return class_weights((counts / counts.min()) ** -self.power, context)[labels]


@dataclass(frozen=True)
class EffectiveNumber:
    """`w_c ∝ (1 - β) / (1 - β^{n_c})`, of mean 1 under the targets' prior."""

    beta: float
    needs = frozenset({"counts"})

    def __post_init__(self) -> None:
        if not 0 <= self.beta < 1:
            raise InputError(f"beta: {self.beta} must be at least 0 and below 1, such as 0.9999")

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        counts = context.target_counts.double().clamp_min(1)
        weights = ((1 - self.beta) / (1 - self.beta**counts)).to(logits)
        return class_weights(weights, context)[labels]


@dataclass(frozen=True)
class Deferred:
    """A weight that comes in once a share of the training is done; every row counts 1 before."""

    weight: Weight
    start: float

    def __post_init__(self) -> None:
        if not 0 <= self.start <= 1:
            raise InputError(f"start: {self.start} is a share of the training, between 0 and 1")

    @property
    def needs(self) -> frozenset[str]:
        """The progress only where it begins later."""
        of_weight: frozenset[str] = getattr(self.weight, "needs", frozenset())
        return of_weight | {"progress"} if self.start else of_weight

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        weight = self.weight(logits, labels, context)
        if not self.start:
            return weight
        return torch.where(context.need("progress", self).to(weight.device) >= self.start, weight, 1.0)


@LOSSES.register
def class_weighted(power: float = 1.0) -> ComposedLoss:
    """Cross-entropy of rows weighted by a power of their class's inverse frequency (King & Zeng 2001).

    `ℓ = w_y · CE(z, y)` with `w_c = n_c^(-p) / Σ_k π_k n_k^(-p)`: mean 1 over the targets really fed, where
    `torch.nn.CrossEntropyLoss(weight=…)` divides by what the batch happens to hold. `p = 1/2` is square-root weighting.

    Args:
        power: p, 0 or more; 0 for plain cross-entropy, 1 for inverse frequency.

    Shapes: `logits [R, C]`, `labels [R]`, `counts [C]` → `[R]`, in nats.

    Raises:
        InputError: for a negative power; at a call without counts.

    Example:
        >>> import torch
        >>> counts = torch.tensor([30, 10])
        >>> class_weighted()(torch.zeros(2, 2), torch.tensor([0, 1]), counts=counts)  # log 2 times 2/3 and 2
        tensor([0.4621, 1.3863])
    """
    return ComposedLoss(weight=[InverseFrequency(power)])


@LOSSES.register
def effective_number(beta: float = 0.9999) -> ComposedLoss:
    """Class-balanced cross-entropy (Cui et al. 2019, arXiv 1901.05555).

    `ℓ = w_y · CE(z, y)` with `w_c ∝ (1 - β) / (1 - β^{n_c})`, scaled to mean 1 over the targets really fed; the paper
    scales to a sum of C, which counts less for the same classes the longer the tail.

    Args:
        beta: β, in `[0, 1)`; 0 for plain cross-entropy, towards 1 for inverse frequency.

    Shapes: `logits [R, C]`, `labels [R]`, `counts [C]` → `[R]`, in nats.

    Raises:
        InputError: for a β that cannot be; at a call without counts.

    Example:
        >>> import torch
        >>> effective_number(0.5)(torch.zeros(2, 2), torch.tensor([0, 1]), counts=torch.tensor([2, 1]))
        tensor([0.5941, 0.8912])
    """
    return ComposedLoss(weight=[EffectiveNumber(beta)])


@LOSSES.register
def drw(beta: float = 0.9999, start: float = 0.8) -> ComposedLoss:
    """Deferred re-weighting: plain at first, class weights for the end (Cao et al., arXiv 1906.07413).

    From a share of the training on, rows count by their class's effective number (Cui et al. 2019, arXiv 1901.05555),
    `w_c ∝ (1 - β) / (1 - β^{n_c})`, scaled to mean 1 over the targets really fed. It goes with any loss.

    Args:
        beta: β, in `[0, 1)`.
        start: share of the training after which the weights come in; the paper's 160 of 200 epochs is 0.8.

    Raises:
        InputError: for values that cannot be; at a call without counts or progress.

    Example:
        >>> import torch
        >>> drw(start=0.5)(torch.zeros(1, 2), torch.tensor([1]), counts=torch.tensor([90, 10]),
        ...     progress=torch.tensor(0.2))
        tensor([0.6931])
    """
    return ComposedLoss(weight=[Deferred(EffectiveNumber(beta), start)])


@dataclass(frozen=True)
class Influence:
    """`α / (‖softmax(z) - e_y‖₁ ‖h‖₁ + ε)`: the fewer rows hold a boundary in place, the more each of them sways it."""

    alpha: float
    epsilon: float
    needs = frozenset({"features"})

    def __post_init__(self) -> None:
        if not (self.alpha > 0 and self.epsilon > 0):
            raise InputError(f"alpha: {self.alpha} and epsilon: {self.epsilon} must be above 0")

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        features = context.need("features", self).to(logits).flatten(1)
        # ‖p - e_y‖₁ = 2 (1 - p_y), which a softmax near 1 would round away.
        others = logits.scatter(1, labels[:, None], float("-inf")).logsumexp(1)
        distance = 2 * (others - logits.logsumexp(1)).exp()
        return self.alpha / (distance * features.abs().sum(1) + self.epsilon)


@LOSSES.register
def influence_balanced(
    power: float = 1.0, alpha: float = 1000.0, epsilon: float = 1e-3, start: float = 0.5
) -> ComposedLoss:
    """Influence-balanced loss (Park et al. 2021, arXiv 2110.02444).

    `ℓ = α n̄_y · CE(z, y) / (‖softmax(z) - e_y‖₁ ‖h‖₁ + ε)` once a share of the training is done, `n̄_c ∝ n_c^(-p)` of
    mean 1 over the targets really fed; h is what enters the classifier. The factor is differentiated too, as the
    authors' code does. α stands against the features' length: with α = 1000 and some dozen features it multiplies the
    loss by about a hundred, so choose the learning rate with it.

    Args:
        power: p of the class weights; 0 for none.
        alpha: α, above 0.
        epsilon: ε, above 0, so that a row without influence stays finite.
        start: share of the training after which it comes in; the paper's is half, after plain cross-entropy.

    Shapes: `logits [R, C]`, `labels [R]`, `features [R, D]`, `counts [C]` → `[R]`, in nats.

    Raises:
        InputError: for values that cannot be; at a call without features, counts or progress.

    Example:
        >>> import torch
        >>> loss = influence_balanced(power=0, alpha=1.0, start=0)
        >>> loss(torch.zeros(1, 2), torch.tensor([0]), features=torch.ones(1, 2), counts=torch.ones(2))  # log 2 / 2
        tensor([0.3464])
    """
    return ComposedLoss(
        weight=[Deferred(Influence(alpha, epsilon), start), Deferred(InverseFrequency(power), start)]
    )
