"""Draws from a generator that may live on another device than the labels."""

from __future__ import annotations

import torch
from torch import Tensor


def uniform(count: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """`count` numbers in `[0, 1)`, drawn where the generator lives, moved to `device`."""
    return torch.rand(count, generator=generator, device=_home(device, generator)).to(device)


def permutation(count: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """A random permutation of `0 … count-1`, drawn where the generator lives, moved to `device`."""
    return torch.randperm(count, generator=generator, device=_home(device, generator)).to(device)


def symmetric_beta(
    alpha: float, count: int, device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """`count` draws of Beta(α, α), drawn where the generator lives, moved to `device`."""
    # torch.distributions takes no generator; this is the sampler beneath its Gamma.
    shape = torch.full((2, count), alpha, dtype=torch.float64)
    gammas = torch._standard_gamma(shape.to(_home(device, generator)), generator)
    # A tiny α makes both gammas underflow to zero; a Beta so narrow sits on 0 and 1, either as good.
    total = gammas.sum(0)
    share = torch.where(total > 0, gammas[0] / total, torch.ones_like(total))
    return share.to(device=device, dtype=torch.float32)


def index_below(bounds: Tensor, uniforms: Tensor) -> Tensor:
    """Turns `uniforms [n]` in `[0, 1)` into whole numbers in `[0, bounds)`; 0 where a bound is 0."""
    return torch.minimum((uniforms * bounds).long(), bounds - 1).clamp_min(0)


def _home(device: torch.device, generator: torch.Generator | None) -> torch.device:
    return device if generator is None else generator.device
