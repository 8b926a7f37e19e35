"""Losses that put another function of the probabilities in cross-entropy's place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from midmix.errors import InputError
from midmix.losses.checks import check_not_negative
from midmix.losses.compose import ComposedLoss
from midmix.losses.registry import LOSSES
from midmix.mixing.context import LossContext, cross_entropy


@dataclass(frozen=True)
class Focal:
    """`(1 - p_y)^γ · (-log p_y)`."""

    gamma: float

    def __post_init__(self) -> None:
        check_not_negative("gamma", self.gamma, "; 0 for cross-entropy")

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        losses = cross_entropy(logits, labels)
        # The clamp keeps the slope finite where p_y is 1 and γ below 1.
        miss = (-torch.expm1(-losses)).clamp_min(torch.finfo(losses.dtype).eps ** 2)
        return miss**self.gamma * losses


@LOSSES.register
def focal(gamma: float = 2.0) -> ComposedLoss:
    """Focal loss over the softmax (Lin et al. 2017, arXiv 1708.02002).

    `ℓ = -(1 - p_y)^γ log p_y`: rows that are right already count for less. The paper's is over sigmoids of a detector;
    this is its usual form for one label of several. Its α is a class weight: write `+effective_number` beside it.

    Args:
        gamma: γ, 0 or more; 0 for cross-entropy.

    Shapes: `logits [R, C]`, `labels [R]` → `[R]`, in nats.

    Raises:
        InputError: for a negative γ.

    Example:
        >>> focal()(torch.zeros(1, 2), torch.tensor([0]))  # log 2 / 4
        tensor([0.1733])
    """
    return ComposedLoss(base=Focal(gamma))


@dataclass(frozen=True)
class Poly1:
    """`-log p_y + ε (1 - p_y)`."""

    epsilon: float

    def __post_init__(self) -> None:
        if not -1 <= self.epsilon < float("inf"):
            raise InputError(
                f"epsilon: {self.epsilon} must be -1 or more; below, wrong answers would be rewarded"
            )

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        losses = cross_entropy(logits, labels)
        return losses - self.epsilon * torch.expm1(-losses)


@LOSSES.register
def poly1(epsilon: float = 1.0) -> ComposedLoss:
    """Poly-1: cross-entropy with another first coefficient of its series in `1 - p_y` (Leng et al., arXiv 2204.12511).

    `ℓ = -log p_y + ε₁ (1 - p_y)`.

    Args:
        epsilon: ε₁, -1 or more; 0 for cross-entropy.

    Shapes: `logits [R, C]`, `labels [R]` → `[R]`.

    Raises:
        InputError: for an ε₁ below -1.

    Example:
        >>> poly1()(torch.zeros(1, 2), torch.tensor([0]))  # log 2 + 1/2
        tensor([1.1931])
    """
    return ComposedLoss(base=Poly1(epsilon))


@dataclass(frozen=True)
class Asymmetric:
    """Focal losses of C yes-or-no questions, of another γ for no, and none at all for a no that is sure enough."""

    positive: float
    negative: float
    margin: float

    def __post_init__(self) -> None:
        if not (0 <= self.positive < float("inf") and 0 <= self.negative < float("inf")):
            raise InputError(
                f"positive: {self.positive} and negative: {self.negative} must be 0 or more, and finite"
            )
        if not 0 <= self.margin < 1:
            raise InputError(f"margin: {self.margin} is a probability, at least 0 and below 1")

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        own = logits.gather(1, labels[:, None])
        tiny = torch.finfo(logits.dtype).eps ** 2
        yes = torch.sigmoid(-own).clamp_min(tiny) ** self.positive * -F.logsigmoid(own)
        if self.margin:
            shifted = (torch.sigmoid(logits) - self.margin).clamp_min(0)
            log_no = torch.log1p(-shifted)
        else:
            shifted, log_no = torch.sigmoid(logits), F.logsigmoid(-logits)
        no = shifted.clamp_min(tiny) ** self.negative * -log_no
        return yes.squeeze(1) + no.scatter(1, labels[:, None], 0.0).sum(1)


@LOSSES.register
def asymmetric(positive: float = 0.0, negative: float = 4.0, margin: float = 0.05) -> ComposedLoss:
    """Asymmetric loss (Ridnik et al. 2021, arXiv 2009.14119); the label is a row's one yes.

    `ℓ = -(1 - p_y)^{γ+} log p_y - Σ_{k≠y} q_k^{γ-} log(1 - q_k)` with `p = sigmoid(z)` and `q = max(p - m, 0)`.

    Args:
        positive: γ+, 0 or more.
        negative: γ-, 0 or more.
        margin: m, in `[0, 1)`: a wrong class of a probability below it costs nothing.

    Shapes: `logits [R, C]`, `labels [R]` → `[R]`, in nats, summed over the classes.

    Raises:
        InputError: for values that cannot be.

    Example:
        >>> asymmetric(negative=0.0, margin=0.0)(torch.zeros(1, 2), torch.tensor([0]))  # 2 log 2
        tensor([1.3863])
    """
    return ComposedLoss(base=Asymmetric(positive, negative, margin))
