"""What a mix keeps of the model that it is attached to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from midmix.mixing.plan import Plan
from midmix.mixing.site import Change, Features, Site

RANDOM_OR_STATEFUL = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


class Attachment:
    """The hooks on a model, and what happened in its last forward pass.

    Args:
        model: any network.
        sites: where it is mixed; a plan says by its number which of them it is for.
        num_classes: C.
        watch: whether the clean logits of every training batch are wanted.
    """

    def __init__(self, model: nn.Module, sites: tuple[Site, ...], num_classes: int, *, watch: bool) -> None:
        self.plan: Plan | None = None
        self.reached = False  # the plan's site was passed, mixing or not
        self.mixed = False  # rows were mixed there
        self.clean_logits: Tensor | None = None
        self.handles: list[RemovableHandle] = []
        self.watch = watch
        for number, site in enumerate(sites):
            self.handles += site.hook(model, num_classes, self._change(number, isinstance(site, Features)))

    @contextmanager
    def running(self, plan: Plan) -> Iterator[None]:
        """Mixes by this plan, until the block ends, whenever the model runs in training mode."""
        self.plan, self.reached, self.mixed, self.clean_logits = plan, False, False, None
        try:
            yield
        finally:
            self.plan = None

    def remove(self) -> None:
        """Takes all hooks off the model."""
        for handle in self.handles:
            handle.remove()

    def _change(self, number: int, features: bool) -> Change:
        def change(module: nn.Module, activations: Tensor) -> Tensor:
            plan = self.plan
            if plan is None or plan.site != number:
                return activations
            self.reached = True
            if not module.training:
                return activations
            self.mixed = True
            if features and self.watch and plan.clean is None:
                self.clean_logits = _answer(module, activations)
            return plan.apply(activations)

        return change


def _answer(head: nn.Module, features: Tensor) -> Tensor:
    """The head's logits without a gradient and without a trace: no dropout, no batch statistics, no hooks."""
    unsteady = [m for m in head.modules() if isinstance(m, RANDOM_OR_STATEFUL) and m.training]
    for module in unsteady:
        module.training = False
    try:
        with torch.no_grad():
            logits: Tensor = head.forward(features)
            return logits
    finally:
        for module in unsteady:
            module.training = True
