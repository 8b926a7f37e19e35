"""Draws from a generator that may live on another device than the labels."""

from __future__ import annotations

import torch
from torch import Tensor


def uniform(count: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """`count` numbers in `[0, 1)`, drawn where the generator lives, moved to `device`."""
    return torch.rand(count, generator=generator, device=_home(device, generator)).to(device)


def normal(count: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """`count` draws of N(0, 1), drawn where the generator lives, moved to `device`."""
    return torch.randn(count, generator=generator, device=_home(device, generator)).to(device)


def permutation(count: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """A random permutation of `0 … count-1`, drawn where the generator lives, moved to `device`."""
    return torch.randperm(count, generator=generator, device=_home(device, generator)).to(device)


def symmetric_beta(
    alpha: float, count: int, device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """`count` draws of Beta(α, α), drawn where the generator lives, moved to `device`."""
    home = _home(device, generator)
    alpha = max(alpha, 1e-30)  # below that nothing changes: it sits on 0 and 1
    # Two Gamma(α) draws as X / (X + Y), in logarithms and by way of Gamma(α+1) · U^(1/α), because Gamma(α) itself
    # underflows for small α. torch.distributions takes no generator; this is the sampler beneath its Gamma.
    shape = torch.full((2, count), alpha + 1, dtype=torch.float64, device=home)
    uniforms = 1 - torch.rand(2, count, generator=generator, dtype=torch.float64, device=home)
    logs = torch._standard_gamma(shape, generator).log() + uniforms.log() / alpha
    return torch.sigmoid(logs[0] - logs[1]).to(device=device, dtype=torch.float32)


def seed_of(generator: torch.Generator | None) -> int:
    """A seed for draws whose number is not known yet."""
    device = "cpu" if generator is None else generator.device
    return int(torch.randint(2**62, (), generator=generator, device=device))


def index_below(bounds: Tensor, uniforms: Tensor) -> Tensor:
    """Turns `uniforms [n]` in `[0, 1)` into whole numbers in `[0, bounds)`; 0 where a bound is 0."""
    return torch.minimum((uniforms * bounds).long(), bounds - 1).clamp_min(0)


def _home(device: torch.device, generator: torch.Generator | None) -> torch.device:
    return device if generator is None else generator.device
