"""Optimizers and learning-rate schedules, torch's own, put together from settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from midmix.training.settings import Settings


def make_optimizer(model: nn.Module, settings: Settings, undecayed: Sequence[nn.Parameter] = ()) -> Optimizer:
    """SGD or AdamW over two groups: weights of two dimensions and more are decayed, all others are not.

    Args:
        model: whose weights are trained.
        settings: of the optimizer.
        undecayed: what is trained beside them, such as a loss's own parameters.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1] + [*undecayed], "weight_decay": 0.0},
    ]
    # One kernel for all weights of a group, where there is one: half the time for a small network on a processor.
    fused = all(
        p.device.type in ("cpu", "cuda") and p.is_floating_point() for g in groups for p in g["params"]
    )
    if settings.optimizer == "sgd":
        momentum = settings.momentum
        return SGD(groups, settings.learning_rate, momentum, nesterov=momentum > 0, fused=fused)
    return AdamW(groups, settings.learning_rate, fused=fused)


def make_schedule(optimizer: Optimizer, settings: Settings, steps_per_epoch: int) -> LambdaLR:
    """Linear warm-up, then a cosine to 0 at the last step (Loshchilov & Hutter 2017, arXiv 1608.03983)."""
    total = settings.epochs * steps_per_epoch
    warmup = min(round(settings.warmup_epochs * steps_per_epoch), total - 1)

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))

    return LambdaLR(optimizer, share)
