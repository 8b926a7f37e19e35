"""Classifiers made of the classes' mean features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from midmix.decisions.prior import LogitPrior
from midmix.methods.heads import CosineLinear
from midmix.methods.stages.stage import STAGES, StageData, all_trained, linear, uniform


def class_means(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean features `[C, D]`, float64, of `features [N, D]` with `labels [N]`; 0 for a class without rows."""
    features = features.detach().double()
    sums = features.new_zeros(num_classes, features.shape[1]).index_add_(0, labels, features)
    return sums / torch.bincount(labels, minlength=num_classes).clamp_min(1)[:, None]


@STAGES.register(name="ncm")
@dataclass(frozen=True)
class NearestClassMean:
    """The class whose mean feature is nearest; the trained classifier is not used.

    Kang et al. 2020 (arXiv 1910.09217). With Euclidean distance the logits are `2 μ_c·z - ‖μ_c‖²`, which
    is `-‖z - μ_c‖²` but for `‖z‖²`, the same for every class: a linear classifier. With `cosine` they are
    `cos(z, μ_c)`.

    Args:
        cosine: by angle instead of distance.

    Raises:
        InputError: for a class without training rows.

    Example:
        >>> features = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]])
        >>> data = StageData(features, torch.tensor([0, 0, 1]), torch.tensor([2, 1]), None, 0)
        >>> NearestClassMean().apply(nn.Linear(2, 2), data)(torch.tensor([[1.0, 1.0], [1.0, 3.0]])).argmax(1)
        tensor([0, 1])
    """

    cosine: bool = False

    def prior(self, before: LogitPrior | None, head: nn.Module, data: StageData) -> LogitPrior:
        """Distances know of no frequency."""
        return uniform(data)

    def apply(self, head: nn.Module, data: StageData) -> nn.Module:
        all_trained(data.counts, "ncm")
        means = class_means(data.features, data.labels, len(data.counts))
        if not self.cosine:
            return linear((2 * means).to(data.features), -means.square().sum(dim=1).to(data.features))
        with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and at once replaced
            made = CosineLinear(means.shape[1], len(means), scale=1.0)
        made.weight = nn.Parameter(means.to(data.features))
        return made
