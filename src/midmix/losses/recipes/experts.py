"""Several classifiers on the same features, each judged for itself, and kept apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.losses.checks import check_not_negative, check_positive
from midmix.losses.compose import ComposedLoss
from midmix.losses.registry import LOSSES
from midmix.mixing.context import LossContext


@dataclass(frozen=True)
class Diverse:
    """Each expert's logits, and `-λ/(E-1) · mean_e Σ_{j≠e} KL(p_e ‖ p_j)` of softened softmaxes, a mean over rows."""

    weight: float
    temperature: float
    imbalance: float
    needs = frozenset({"features", "head", "counts"})

    def __post_init__(self) -> None:
        check_not_negative("weight", self.weight, "; 0 keeps nobody apart")
        check_positive("temperature", self.temperature)
        check_not_negative("imbalance", self.imbalance, "; 0 softens all classes alike")

    def prepare(self, head: nn.Module, num_classes: int) -> None:
        """Sees that the classifier has experts.

        Raises:
            InputError: where it has none.
        """
        if not callable(getattr(head, "each", None)):
            raise InputError(
                f"ride: judges several experts, and the classifier is a {type(head).__name__}; write +experts beside it"
            )

    def softening(self, context: LossContext) -> Tensor:
        """`T_c = α (β_c + 1 - max β)` with `β_c = γ n_c / n̄ + 1 - γ`, `[C]`, at least a hundredth of α."""
        counts = context.target_counts
        share = self.imbalance * counts / counts.mean().clamp_min(1e-12) + 1 - self.imbalance
        return self.temperature * (share + 1 - share.max()).clamp_min(0.01)

    def __call__(self, context: LossContext) -> tuple[Tensor, Tensor]:
        head = context.given("head", self)
        self.prepare(head, context.logits.shape[1])
        parameter = next(head.parameters())
        each: Tensor = head.each(context.need("features", self).to(parameter.dtype)).to(context.logits)
        log_p = torch.log_softmax(each / self.softening(context), -1)
        experts, rows = len(each), max(len(context.logits), 1)
        # Σ_ej KL(p_e ‖ p_j) = Σ_e E Σ_c p_ec log p_ec - Σ_c (Σ_e p_ec) (Σ_j log p_jc)
        own = experts * (log_p.exp() * log_p).sum()
        across = (log_p.exp().sum(0) * log_p.sum(0)).sum()
        return each, -self.weight * (own - across) / (experts * (experts - 1) * rows)


@LOSSES.register
def ride(weight: float = 0.2, temperature: float = 1.0, imbalance: float = 0.05) -> ComposedLoss:
    """Diverse distribution-aware experts (Wang et al. 2021, arXiv 2010.01809): each for itself, and unlike the others.

    `mean_e [ ℓ(z_e) - λ/(E-1) · Σ_{j≠e} KL( softmax(z_e / T) ‖ softmax(z_j / T) ) ]`, z_e the logits of expert e, ℓ all
    that stands beside it in the loss (cross-entropy; the paper's is `+ldam:scale=30+drw`), and `T_c = α (β_c + 1 -
    max β)`, `β_c = γ n_c / n̄ + 1 - γ`, so that rarer classes differ more. Write `+experts` beside it for the head; its
    logits are the experts' mean. The authors' code takes the mean of the experts in place of pairs, and sums over them;
    a mean adds no learning rate. The paper's second stage, which assigns rows to fewer experts to save time, is left
    out.

    Args:
        weight: λ, 0 or more; the code's default.
        temperature: α, above 0.
        imbalance: γ, 0 or more; 0 for one temperature of all classes.

    Shapes: `logits [R, C]`, `labels [R]`, `features [R, D]`, `counts [C]`, a head of experts → scalar; called on rows
    it gives the cross-entropy of the experts' mean.

    Raises:
        InputError: for values that cannot be; for a classifier without experts; at a call without features or counts.

    Example:
        >>> from midmix.methods import ExpertHeads
        >>> head, y = ExpertHeads(4, 2, count=3), torch.tensor([0, 1])
        >>> for parameter in head.parameters():  # experts that agree: nothing is gained
        ...     _ = parameter.data.fill_(0.1)
        >>> facts = {"features": torch.ones(2, 4), "head": head, "counts": torch.tensor([9.0, 1.0])}
        >>> ride().mean(LossContext(torch.zeros(2, 2), ((y, torch.ones(2)),), **facts))
        tensor(0.6931, grad_fn=<AddBackward0>)
    """
    return ComposedLoss(split=Diverse(weight, temperature, imbalance))
