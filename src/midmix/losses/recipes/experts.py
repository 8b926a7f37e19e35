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
    """Each expert's logits, and `-λ T² · mean_e KL(m ‖ p_e)` of softened softmaxes, a mean over rows.

    m is the softened softmax of the experts' mean logits, held fixed: expert e is pushed by `-λ T (p_e - m)`, and drawn
    by cross-entropy with `p_e - y` at T = 1, which is more where the experts part for any `λ T` below 1.
    """

    weight: float
    temperature: float
    needs = frozenset({"features", "head"})

    def __post_init__(self) -> None:
        check_not_negative("weight", self.weight, "; 0 keeps nobody apart")
        check_positive("temperature", self.temperature)
        if not self.weight * self.temperature < 1:
            raise InputError(
                f"weight: {self.weight:g} times temperature {self.temperature:g} must be below 1, or experts flee each "
                "other faster than they learn"
            )

    def prepare(self, head: nn.Module, num_classes: int) -> None:
        """Sees that the classifier has experts.

        Raises:
            InputError: where it has none.
        """
        if not callable(getattr(head, "each", None)):
            raise InputError(
                f"ride: judges several experts, and the classifier is a {type(head).__name__}; write +experts beside it"
            )

    def __call__(self, context: LossContext) -> tuple[Tensor, Tensor]:
        head = context.given("head", self)
        self.prepare(head, context.logits.shape[1])
        parameter = next(head.parameters())
        each: Tensor = head.each(context.need("features", self).to(parameter.dtype)).to(context.logits)
        together = torch.log_softmax(each.detach().mean(0) / self.temperature, -1)
        apart = together - torch.log_softmax(each / self.temperature, -1).mean(0)
        divergence = (together.exp() * apart).sum() / max(len(context.logits), 1)
        return each, -self.weight * self.temperature**2 * divergence


@LOSSES.register
def ride(weight: float = 0.2, temperature: float = 1.0) -> ComposedLoss:
    """Diverse experts of RIDE (Wang et al. 2021, arXiv 2010.01809): each for itself, and unlike the others.

    `mean_e [ ℓ(z_e) - λ T² · KL( softmax(z̄ / T) ‖ softmax(z_e / T) ) ]`, z_e the logits of expert e, z̄ their mean, held
    fixed, ℓ all that stands beside it in the loss (cross-entropy; in the paper LDAM with DRW, `+ldam+drw`). Write
    `+experts` beside it for the head; its logits are the experts' mean.

    This is the authors' code for cross-entropy, but for its sum over experts, of which a mean is taken: it adds no
    learning rate. The paper's own term is `KL(p_e ‖ p_j)` over pairs of experts with a gradient through both, and a
    temperature for each class. With logits that have no bound, as these experts' linear layers give, neither has a
    least value: a surer expert pays others for wrong answers without limit, and softened answers leave those that
    cross-entropy judges. Training diverged with either. The paper's second stage, which assigns rows to fewer experts
    to save time, is left out.

    Args:
        weight: λ, 0 or more; the code's default.
        temperature: T, above 0; `λ T` must be below 1.

    Shapes: `logits [R, C]`, `labels [R]`, `features [R, D]`, a head of experts → scalar; called on rows it gives the
    cross-entropy of the experts' mean.

    Raises:
        InputError: for values that cannot be; for a classifier without experts; at a call without features.

    Example:
        >>> from midmix.methods import ExpertHeads
        >>> head, y = ExpertHeads(4, 2, count=3), torch.tensor([0, 1])
        >>> for parameter in head.parameters():  # experts that agree: nothing is gained
        ...     _ = parameter.data.fill_(0.1)
        >>> facts = {"features": torch.ones(2, 4), "head": head}
        >>> ride().mean(LossContext(torch.zeros(2, 2), ((y, torch.ones(2)),), **facts))
        tensor(0.6931, grad_fn=<AddBackward0>)
    """
    return ComposedLoss(split=Diverse(weight, temperature))
