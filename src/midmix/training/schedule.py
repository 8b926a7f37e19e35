"""Optimizers and learning-rate schedules, torch's own, put together from settings."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from midmix.training.settings import Settings


class FusedSGD(SGD):
    """`torch.optim.SGD` without dampening, to the bit, and without what surrounds a step of it.

    Marks for the profiler, a look for sparse gradients and the sorting of weights by device cost several times what the
    update of a small network does. State and options are SGD's own.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update, of all weights that have a gradient."""
        for group in self.param_groups:
            weights, gradients, buffers, momentum = [], [], [], group["momentum"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                weights.append(weight)
                gradients.append(weight.grad)
                if momentum:
                    state = self.state[weight]
                    if state.get("momentum_buffer") is None:
                        state["momentum_buffer"] = torch.zeros_like(weight)
                    buffers.append(state["momentum_buffer"])
            if not weights:
                continue
            torch._fused_sgd_(
                weights,
                gradients,
                buffers,
                weight_decay=group["weight_decay"],
                momentum=momentum,
                lr=group["lr"],
                dampening=0.0,
                nesterov=group["nesterov"],
                maximize=group["maximize"],
                is_first_step=False,
            )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """SGD's own, without torch's compiler around it, which takes a second to import."""
        inspect.unwrap(SGD.add_param_group)(self, param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients, or sets them to 0."""
        if not set_to_none:
            return super().zero_grad(set_to_none=False)
        for group in self.param_groups:
            for weight in group["params"]:
                weight.grad = None
        return None

    step.hooked = True  # type: ignore[attr-defined]  # so that torch does not put its marks around it


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
        kind = FusedSGD if fused else SGD
        return kind(groups, settings.learning_rate, momentum, nesterov=momentum > 0, fused=fused)
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
