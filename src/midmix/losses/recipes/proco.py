"""Contrast with infinitely many rows of each class, drawn from its distribution on the sphere."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from midmix.losses.compose import ComposedLoss
from midmix.losses.recipes.contrastive import Contrast
from midmix.losses.recipes.prior import AddLogPrior
from midmix.losses.registry import LOSSES
from midmix.losses.von_mises_fisher import log_bessel_ratio
from midmix.mixing.context import LossContext, Views
from midmix.mixing.counts import over_processes

MOST = 1e5  # of a concentration: a class with one row would have an infinite one


def concentration(means: Tensor) -> Tensor:
    """`κ = R (p - R²) / (1 - R²)` `[C]` of mean points `[C, p]` of lengths R, at most 1e5."""
    length = means.norm(dim=1)
    square = length.square()
    kappa: Tensor = length * (means.shape[1] - square) / (1 - square).clamp_min(1e-12)
    return kappa.clamp_max(MOST)


def expected_contrast(points: Tensor, means: Tensor, kappa: Tensor, temperature: float) -> Tensor:
    """`log E e^{z·x/T} = log C_p(κ_c) - log C_p(‖κ_c μ_c + z/T‖)`, x from class c's von Mises-Fisher distribution.

    Shapes: `points [N, p]` of length 1, `means [C, p]` of any length, `kappa [C]` → `[N, C]`, float64.

    Example:
        >>> point = torch.eye(1, 16)  # no class is known yet: the sphere's mean is the same for each
        >>> expected_contrast(point, torch.zeros(2, 16), torch.zeros(2), 0.5).std() == 0
        tensor(True)
    """
    order = points.shape[1] / 2 - 1
    tilt = kappa[:, None] * F.normalize(means, dim=1)
    joint = (tilt + points[:, None] / temperature).norm(dim=2)
    return log_bessel_ratio(order, joint) - log_bessel_ratio(order, kappa)


class ExpectedContrast(Contrast):
    """`w · CE(expected_contrast + log π)`, of class means that are counted as training goes.

    Attributes:
        means: `[C, dim]`, mean points over about the last epoch's rows of each class.
        rows: `[C]`, rows that they stand for.
    """

    needs = frozenset({"views", "counts"})
    means: Tensor
    rows: Tensor

    def prepare(self, head: nn.Module, num_classes: int) -> None:
        """Makes the projection, and room for the means."""
        super().prepare(head, num_classes)
        if not hasattr(self, "means"):
            device = self.project.first_weight.device
            self.register_buffer("means", torch.zeros(num_classes, self.project.dim, device=device))
            self.register_buffer("rows", torch.zeros(num_classes, device=device))

    @torch.no_grad()
    def observe(self, context: LossContext) -> None:
        """Counts the batch's rows, of all processes."""
        points, labels = self.points(context)
        sums = torch.zeros_like(self.means).index_add_(0, labels, points.to(self.means))
        fresh = torch.bincount(labels, minlength=len(self.rows)).to(self.rows)
        both = over_processes(torch.cat([sums, fresh[:, None]], 1))
        sums, fresh = both[:, :-1], both[:, -1]
        epoch = context.need("counts", self).to(self.rows) * len(context.given("views", self).features)
        seen = self.rows.minimum(epoch) + fresh
        self.means += (sums - fresh[:, None] * self.means) / seen.clamp_min(1)[:, None]
        self.rows.copy_(torch.where(fresh > 0, seen, self.rows))

    def forward(self, context: LossContext) -> Tensor:
        points, labels = self.points(context)
        views: Views = context.given("views", self)
        prior = context.need("counts", self) if views.prior is None else views.prior
        log_prior = (prior.double() / prior.double().sum()).clamp_min(1e-12).log()
        contrast = expected_contrast(points, self.means, concentration(self.means), self.temperature)
        loss = F.cross_entropy(contrast + log_prior, labels, reduction="sum") / max(len(labels), 1)
        return self.weight * loss.to(points.dtype)


@LOSSES.register
def proco(weight: float = 1.0, temperature: float = 0.1, dim: int = 128) -> ComposedLoss:
    """Probabilistic contrast (Du et al. 2024, arXiv 2403.06726): classes are von Mises-Fisher distributions.

    Balanced softmax, and `+ w · mean_i -log( π_y e^{ℓ_iy} / Σ_c π_c e^{ℓ_ic} )` over both views' rows, with `ℓ_ic =
    log C_p(κ_c) - log C_p(‖κ_c μ_c + z_i/T‖)`, contrast with infinitely many rows of class c in closed form. The mean
    direction μ and `κ = R (p - R²) / (1 - R²)` are of running means of length R over about an epoch's rows of each
    class. As the paper, and unlike the authors' code, which takes `κ = p R / (1 - R²)`; Bessel functions are not
    approximated by a recurrence. It needs an augmentation, as `supcon` does.

    Args:
        weight: w, 0 or more.
        temperature: T, above 0.
        dim: p, of z, 16 or more.

    Shapes: `logits [R, C]`, `labels [R]`, `prior [C]`, `counts [C]`, views `[2, B, D]` → scalar; called on rows it
    gives their balanced softmax. The means are those of all processes; memory grows with B · C · p.

    Raises:
        InputError: for values that cannot be; at a call without views, prior or counts, or before it was prepared.

    Example:
        >>> loss, y, counts = proco(), torch.tensor([0, 1]), torch.tensor([3.0, 1.0])
        >>> loss.prepare(nn.Linear(4, 2), 2, seed=0)
        >>> views = Views(torch.eye(2, 4).repeat(2, 1, 1), y)
        >>> targets = ((y, torch.ones(2)),)
        >>> loss.mean(LossContext(torch.zeros(2, 2), targets, counts, counts, views=views)).shape
        torch.Size([])
    """
    return ComposedLoss(adjust=[AddLogPrior()], terms=[ExpectedContrast(weight, temperature, dim)])
