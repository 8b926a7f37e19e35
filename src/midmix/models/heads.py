"""Classifiers that are more than a linear layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CosineLinear(nn.Module):
    """`s · cos(w_c, z)`: logits of a classifier without lengths (Cao et al. 2019, arXiv 1906.07413; no bias).

    Args:
        features: D.
        num_classes: C.
        scale: s.

    Example:
        >>> CosineLinear(4, 3, scale=16.0)(torch.ones(2, 4)).shape
        torch.Size([2, 3])
    """

    def __init__(self, features: int, num_classes: int, scale: float) -> None:
        super().__init__()
        self.in_features, self.out_features, self.scale = features, num_classes, scale
        self.weight = nn.Parameter(torch.empty(num_classes, features).uniform_(-1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """`[B, D]` to `[B, C]`."""
        return self.scale * F.linear(F.normalize(features), F.normalize(self.weight))
