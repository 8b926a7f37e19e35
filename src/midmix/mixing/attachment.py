"""What a mix keeps of the model that it is attached to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from midmix.errors import InputError
from midmix.mixing.plan import Plan
from midmix.mixing.site import Features, Site

# Plans of the blocks that run now, by their attachment's key. In a global and not in the attachment, because
# torch.compile takes whatever it reaches through a hook of `nn.Linear` for a part of the network, whose shapes never
# change, and would compile anew for every batch size.
RUNNING: dict[int, Plan] = {}
KEYS = itertools.count()


class Attachment:
    """The hooks on a model, and what happened in its last forward pass.

    Args:
        model: any network.
        sites: where it is mixed; a plan says by its number which of them it is for.
        num_classes: C.
        watch: whether the clean logits of every training batch are wanted.
    """

    def __init__(self, model: nn.Module, sites: tuple[Site, ...], num_classes: int, *, watch: bool) -> None:
        self.model = model
        self.key = next(KEYS)
        self.last: Plan | None = None
        self.reached = False  # the plan's site was passed, mixing or not
        self.mixed = False  # rows were mixed there
        self.observed = False  # the batch's clean logits were counted
        self.clean_logits: Tensor | None = None
        self.handles: list[RemovableHandle] = []
        self.watch = watch
        try:
            for number, site in enumerate(sites):
                change = partial(self._change, number, isinstance(site, Features))
                self.handles += site.hook(model, num_classes, change)
        except InputError:
            self.remove()
            raise

    @contextmanager
    def run(self, plan: Plan) -> Iterator[None]:
        """Mixes by this plan, until the block ends, whenever the model runs in training mode."""
        RUNNING[self.key] = self.last = plan
        self.reached = self.mixed = self.observed = False
        self.clean_logits = None
        try:
            yield
        finally:
            RUNNING.pop(self.key, None)

    def remove(self) -> None:
        """Takes all hooks off the model."""
        for handle in self.handles:
            handle.remove()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy runs on its own."""
        self.__dict__.update(state, key=next(KEYS), last=None)

    def _change(self, number: int, features: bool, module: nn.Module, activations: Tensor) -> Tensor:
        running = plan = RUNNING.get(self.key)
        if running is None and _recomputing():
            plan = self.last
        if plan is None or plan.site != number:
            return activations
        self.reached = True
        if not module.training:
            return activations
        self.mixed = True
        # Of a network that calls classifiers twice (an auxiliary head), the first answer counts.
        watching = self.watch and running is not None and plan.clean is None and self.clean_logits is None
        if features and watching:
            self.clean_logits = _answer(module, activations)
        return plan.apply(activations)


def _recomputing() -> bool:
    """Whether a backward pass runs: gradient checkpointing then repeats the forward pass, and so must the mixing."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1


def _answer(head: nn.Module, features: Tensor) -> Tensor:
    """The head's logits as in evaluation, without a gradient and without a trace in its batch statistics."""
    training = [module for module in head.modules() if module.training]
    for module in training:
        module.training = False
    try:
        with torch.no_grad():
            logits: Tensor = head.forward(features)
            # A classifier that is a 1×1 convolution answers [B, C, 1, 1].
            return logits.flatten(1) if logits.shape[2:].numel() == 1 else logits
    finally:
        for module in training:
            module.training = True
