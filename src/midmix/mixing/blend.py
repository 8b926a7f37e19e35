"""How two rows become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Blend(Protocol):
    """Mixes `own [R, …]` with `other [R, …]`; `weight [R]` is the share of `own`. Dtype and device are kept."""

    def __call__(self, own: Tensor, other: Tensor, weight: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Linear:
    """Linear interpolation, `z_ij = λ z_i + (1-λ) z_j` (Zhang et al. 2018, mixup; AM-mixup, method).

    Weight 1 gives `own` and equal rows give themselves, both to the last bit.

    Example:
        >>> Linear()(torch.tensor([[2.0]]), torch.tensor([[4.0]]), torch.tensor([0.75]))
        tensor([[2.5000]])
    """

    def __call__(self, own: Tensor, other: Tensor, weight: Tensor) -> Tensor:
        shares = weight.to(own.dtype).reshape(-1, *[1] * (own.dim() - 1))
        return torch.lerp(other, own, shares)
