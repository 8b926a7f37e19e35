"""Losses that pull a class's rows together and push classes apart, on a projection of their own and two views."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.losses.checks import LEFT_OUT, check_not_negative, check_positive
from midmix.losses.compose import ComposedLoss
from midmix.losses.projection import Projection
from midmix.losses.recipes.prior import AddLogPrior
from midmix.losses.registry import LOSSES
from midmix.mixing.context import LossContext, Views


def supervised_contrast(points: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """`mean_i -1/|P(i)| Σ_{p of P(i)} log( e^{z_i·z_p/T} / Σ_{a≠i} e^{z_i·z_a/T} )`; P(i): i's class without i.

    Shapes: `points [N, P]` of length 1, `labels [N]` → scalar, in nats; a row alone in its class counts 0.

    Example:
        >>> supervised_contrast(torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1]), 1.0)  # log(1 + 2 / e)
        tensor(0.5514)
    """
    self_pair = torch.eye(len(points), dtype=torch.bool, device=points.device)
    similarity = (points @ points.T / temperature).masked_fill(self_pair, float("-inf"))
    positive = (labels[:, None] == labels) & ~self_pair
    return _over_positives(similarity, similarity.logsumexp(1), positive)


def balanced_contrast(points: Tensor, labels: Tensor, centres: Tensor, temperature: float) -> Tensor:
    """As `supervised_contrast`, but class centres are rows too, and in the denominator each class counts once.

    `Σ_a` becomes `Σ_c 1/|B_c| Σ_{a of B_c}` over the rows and the centre of class c, without the anchor.

    Shapes: `points [N, P]`, `centres [C, P]`, all of length 1, `labels [N]` → scalar, in nats.

    Example:
        >>> y = torch.tensor([0, 1])
        >>> balanced_contrast(torch.eye(2), y, torch.eye(2), 1.0)  # log(1 + 1 / e)
        tensor(0.3133)
    """
    rows, classes = len(points), len(centres)
    everybody = torch.cat([points, centres])
    theirs = torch.cat([labels, torch.arange(classes, device=labels.device)])
    self_pair = torch.eye(rows, rows + classes, dtype=torch.bool, device=points.device)
    positive = labels[:, None] == theirs
    members = torch.bincount(theirs, minlength=classes)[theirs] - positive.long()
    similarity = (points @ everybody.T / temperature).masked_fill(self_pair, float("-inf"))
    # An anchor alone with itself has no members left, and is out of the sum already.
    each = similarity - members.clamp_min(1).to(points).log()
    return _over_positives(similarity, each.logsumexp(1), positive & ~self_pair)


def _over_positives(similarity: Tensor, denominator: Tensor, positive: Tensor) -> Tensor:
    if not len(similarity):
        return similarity.sum()
    log_p = (similarity - denominator[:, None]).masked_fill(~positive, 0.0)
    return -(log_p.sum(1) / positive.sum(1).clamp_min(1)).mean()


class Contrast(nn.Module):
    """What contrastive terms have in common: a weight, a temperature, and a projection of their own."""

    needs = frozenset({"views"})

    def __init__(self, weight: float, temperature: float, dim: int) -> None:
        super().__init__()
        check_not_negative("weight", weight, LEFT_OUT)
        check_positive("temperature", temperature, ", such as 0.1")
        self.weight, self.temperature = weight, temperature
        self.project = Projection(dim)

    def prepare(self, head: nn.Module, num_classes: int) -> None:
        """Makes the projection of the features that enter this classifier."""
        self.project.prepare(head)

    def points(self, context: LossContext) -> tuple[Tensor, Tensor]:
        """Points `[V·B, P]` of all views and their labels `[V·B]`."""
        views: Views = context.given("views", self)
        return self.project(views.features.flatten(0, 1)), views.labels.repeat(len(views.features))

    def extra_repr(self) -> str:
        return f"weight={self.weight:g}, temperature={self.temperature:g}, dim={self.project.dim}"


class SupervisedContrast(Contrast):
    """`w · supervised_contrast` of the views' projections."""

    def forward(self, context: LossContext) -> Tensor:
        points, labels = self.points(context)
        return self.weight * supervised_contrast(points, labels, self.temperature)


@LOSSES.register
def supcon(weight: float = 1.0, temperature: float = 0.1, dim: int = 128) -> ComposedLoss:
    """Cross-entropy and supervised contrast of two views (Khosla et al. 2020, arXiv 2004.11362, `L_out`).

    `+ w · mean_i -1/|P(i)| Σ_p log( e^{z_i·z_p/T} / Σ_{a≠i} e^{z_i·z_a/T} )` over both views' rows, with `z =
    normalize(W₂ relu(W₁ h))` of the unmixed features h, and P(i) the others of i's class. The authors' code multiplies
    by T/0.07. In the paper the classifier comes afterwards, on features that are then fixed; here both are learnt
    together, so that the term goes with any loss and any mix. It needs an augmentation, by which the views differ:
    `augment` crop-flip, autoaugment or both for images, noise for features.

    Args:
        weight: w, 0 or more.
        temperature: T, above 0.
        dim: of z, 16 or more.

    Shapes: `logits [R, C]`, `labels [R]`, views `[2, B, D]` → scalar; called on rows it gives their cross-entropy.
    Each process looks at its own rows; memory grows with B².

    Raises:
        InputError: for values that cannot be; at a call without views, or before the loss was prepared.

    Example:
        >>> from midmix.mixing.context import Views
        >>> loss, y = supcon(), torch.tensor([0, 1])
        >>> loss.prepare(nn.Linear(4, 2), 2, seed=0)
        >>> views = Views(torch.eye(2, 4).repeat(2, 1, 1), y)
        >>> loss.mean(LossContext(torch.zeros(2, 2), ((y, torch.ones(2)),), views=views)).shape
        torch.Size([])
    """
    return ComposedLoss(terms=[SupervisedContrast(weight, temperature, dim)])


class BalancedContrast(Contrast):
    """`w · balanced_contrast` of the views' projections, with the classifier's projected weights for centres."""

    needs = frozenset({"views", "head"})

    def __init__(self, weight: float, temperature: float, dim: int) -> None:
        super().__init__(weight, temperature, dim)
        self.project_centres = Projection(dim)

    def prepare(self, head: nn.Module, num_classes: int) -> None:
        """Makes both projections.

        Raises:
            InputError: for a classifier without a weight `[C, D]`.
        """
        weight = getattr(head, "weight", None)
        if not isinstance(weight, Tensor) or weight.dim() != 2 or len(weight) != num_classes:
            raise InputError(
                f"bcl: takes the classifier's weights for class centres, and a {type(head).__name__} has none of a row "
                "a class; use a linear or a cosine head, or supcon"
            )
        super().prepare(head, num_classes)
        self.project_centres.prepare(head)

    def forward(self, context: LossContext) -> Tensor:
        points, labels = self.points(context)
        centres = self.project_centres(context.given("head", self).weight)
        return self.weight * balanced_contrast(points, labels, centres, self.temperature)


@LOSSES.register
def bcl(weight: float = 0.3, temperature: float = 0.1, dim: int = 128) -> ComposedLoss:
    """Balanced contrastive learning (Zhu et al. 2022, arXiv 2207.09052): every class counts once among the negatives.

    Balanced softmax, and `+ w · mean_i -1/|P(i)| Σ_p log( e^{z_i·z_p/T} / Σ_c 1/|B_c| Σ_{a of B_c} e^{z_i·z_a/T} )`
    over both views' rows and C class centres, anchors aside; the centres are the classifier's weights, projected by a
    head of their own, so that no class is ever absent. It needs an augmentation, as `supcon` does.

    Args:
        weight: w, 0 or more; the authors' code weighs 0.6 to 2 of the classifier's loss.
        temperature: T, above 0.
        dim: of z, 16 or more.

    Shapes: `logits [R, C]`, `labels [R]`, `prior [C]`, views `[2, B, D]` → scalar; called on rows it gives their
    balanced softmax. Each process looks at its own rows; memory grows with B².

    Raises:
        InputError: for values that cannot be; for a classifier that has no weight a class; at a call without views or
            prior, or before the loss was prepared.

    Example:
        >>> from midmix.mixing.context import Views
        >>> loss, y, head = bcl(), torch.tensor([0, 1]), nn.Linear(4, 2)
        >>> loss.prepare(head, 2, seed=0)
        >>> views = Views(torch.eye(2, 4).repeat(2, 1, 1), y)
        >>> targets = ((y, torch.ones(2)),)
        >>> loss.mean(LossContext(torch.zeros(2, 2), targets, torch.ones(2), head=head, views=views)).shape
        torch.Size([])
    """
    return ComposedLoss(adjust=[AddLogPrior()], terms=[BalancedContrast(weight, temperature, dim)])
