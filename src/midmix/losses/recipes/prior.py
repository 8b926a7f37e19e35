"""Losses that take the classes' frequency out of the logits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from midmix.losses.checks import check_not_negative
from midmix.losses.compose import ComposedLoss
from midmix.losses.registry import LOSSES
from midmix.mixing.context import LossContext


@LOSSES.register
def cross_entropy() -> ComposedLoss:
    """Cross-entropy of each row, in nats: `-log softmax(s)[y]`.

    Example:
        >>> import torch
        >>> cross_entropy()(torch.zeros(1, 4), torch.tensor([3]))
        tensor([1.3863])
    """
    return ComposedLoss()


@dataclass(frozen=True)
class AddLogPrior:
    """`s_k + τ log π_k`, with π the prior of the targets that are really fed."""

    tau: float = 1.0
    needs = frozenset({"prior"})

    def __post_init__(self) -> None:
        check_not_negative("tau", self.tau, "; 1 takes the whole prior out")

    @property
    def absorbs(self) -> float:
        """The power of the prior that the logits no longer have to learn."""
        return self.tau

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        context.need("prior", self)
        return logits + (context.log_prior if self.tau == 1 else self.tau * context.log_prior)


@LOSSES.register
def balanced_softmax(tau: float = 1.0) -> ComposedLoss:
    """Cross-entropy of logits shifted by the log prior (Ren et al. 2020, arXiv 2007.10740).

    `ℓ = -log( π_y^τ e^{s_y} / Σ_k π_k^τ e^{s_k} )`: the head learns what is left once frequency is accounted for, and
    its plain argmax is balanced over the classes. With τ this is logit adjustment in training (Menon et al. 2021, arXiv
    2007.07314), whose name it has too. The prior belongs to the owners: a mix hands over that of the
    targets it really feeds.

    Args:
        tau: τ, the power of the prior, 0 or more; 1 for the whole of it.

    Shapes: `logits [R, C]`, `labels [R]`, `prior [C]` (shares or counts) → `[R]`, in nats, float32 at least.

    Raises:
        InputError: for a negative τ; at a call without a prior, or with one of another number of classes.

    Example:
        >>> import torch
        >>> balanced_softmax()(torch.zeros(2, 2), torch.tensor([0, 1]), prior=torch.tensor([9.0, 1.0]))
        tensor([0.1054, 2.3026])
    """
    return ComposedLoss(adjust=[AddLogPrior(tau)])


LOSSES.register(name="logit_adjustment")(balanced_softmax)


@dataclass(frozen=True)
class ScaleByClass:
    """`z_k · (n_k / max n)^γ`: logits of rare classes are shrunk in training, so that they have to grow larger."""

    gamma: float
    needs = frozenset({"counts"})

    def __post_init__(self) -> None:
        check_not_negative("gamma", self.gamma, "; 0 leaves logits as they are")

    def __call__(self, logits: Tensor, labels: Tensor, context: LossContext) -> Tensor:
        counts = context.target_counts.clamp_min(1)
        return logits * (counts / counts.max()) ** self.gamma


@LOSSES.register
def cdt(gamma: float = 0.2) -> ComposedLoss:
    """Class-dependent temperatures (Ye et al. 2020, arXiv 2001.01385): rare classes' logits are divided in training.

    `ℓ = CE(z_k / a_k, y)` with `a_k = (max n / n_k)^γ`.

    Args:
        gamma: γ, 0 or more; 0 for cross-entropy.

    Shapes: `logits [R, C]`, `labels [R]`, `counts [C]` → `[R]`, in nats.

    Raises:
        InputError: for a negative γ; at a call without counts.

    Example:
        >>> import torch
        >>> cdt(gamma=0.5)(torch.tensor([[0.0, 2.0]]), torch.tensor([1]), counts=torch.tensor([40, 10]))
        tensor([0.3133])
    """
    return ComposedLoss(adjust=[ScaleByClass(gamma)])


@LOSSES.register
def vs(gamma: float = 0.15, tau: float = 1.25) -> ComposedLoss:
    """Vector scaling (Kini et al. 2021, arXiv 2103.01550): logits scaled and shifted by the classes' frequency.

    `ℓ = CE(z_k · (n_k / max n)^γ + τ log π_k, y)`: class-dependent temperatures and balanced softmax in one.

    Args:
        gamma: γ, 0 or more; 0 for balanced softmax.
        tau: τ, the power of the prior, 0 or more; 0 for class-dependent temperatures.

    Shapes: `logits [R, C]`, `labels [R]`, `counts [C]`, `prior [C]` → `[R]`, in nats.

    Raises:
        InputError: for negative values; at a call without counts or a prior.

    Example:
        >>> import torch
        >>> counts = torch.tensor([40.0, 10.0])
        >>> vs(gamma=0.5, tau=1)(torch.zeros(2, 2), torch.tensor([0, 1]), counts=counts, prior=counts)
        tensor([0.2231, 1.6094])
    """
    return ComposedLoss(adjust=[ScaleByClass(gamma), AddLogPrior(tau)])
