"""What a mix keeps of the model that it is attached to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from torch.utils.module_tracker import ModuleTracker

from midmix.errors import InputError
from midmix.mixing.plan import Plan
from midmix.mixing.site import Features, Forward, Site

# Plans of the blocks that run now, by their attachment's key. In a global and not in the attachment, because
# torch.compile takes whatever it reaches through a hook of `nn.Linear` for a part of the network, whose shapes never
# change, and would compile anew for every batch size.
RUNNING: dict[int, Plan] = {}
BUSY: dict[int, int] = {}
"""Of the models with a running block, by identity: the attachment's key."""
KEYS = itertools.count()
_TRACKER = ModuleTracker()


@cache
def keep_masks_out_of_graphs() -> None:
    """Sees that no compiled graph holds the laying of a mask, whose box is worked out outside of tensors.

    Done when a mask first needs it: torch's compiler takes a second to import.
    """
    Attachment._lay = torch.compiler.disable(Attachment._lay)  # type: ignore[method-assign, no-untyped-call]


class Attachment:
    """The hooks on a model, and what happened in its last forward pass.

    Args:
        model: any network.
        sites: where it is mixed; a plan says by its number which of them it is for.
        num_classes: C.
        watch: whether the clean logits of every training batch are wanted.
        keep: where the features are that a loss asks for; None where none does.
    """

    def __init__(
        self,
        model: nn.Module,
        sites: tuple[Site, ...],
        num_classes: int,
        *,
        watch: bool,
        keep: Features | None = None,
    ) -> None:
        self.model = model
        self.key = next(KEYS)
        self.passes: list[
            Plan | None
        ] = []  # training passes that a backward pass may yet repeat, two at most
        self.replayed = False  # a backward pass has repeated them
        self.reached = False  # the plan's site was passed, mixing or not
        self.mixed = False  # rows were mixed there
        self.observed = False  # the batch's clean logits were counted
        self.stale = False  # the model has trained outside of a block since the last one
        self.clean_logits: Tensor | None = None
        self.laid: Plan | None = None  # the block's plan, its mask laid
        self.features: Tensor | None = None  # as they entered the classifier, mixed
        self.keep = keep
        self.keep_head: nn.Module | None = None
        self.handles: list[RemovableHandle] = []
        self.watch = watch
        try:
            for number, site in enumerate(sites):
                change = partial(self._change, number, isinstance(site, Features))
                self.handles += site.hook(model, num_classes, change)
            if keep is not None:  # after the mixing, so that what is kept is what the head sees
                self.keep_head = keep.classifier(model, num_classes)
                self.handles += keep.hook(model, num_classes, self._see)
        except InputError:
            self.remove()
            raise

    @contextmanager
    def run(self, plan: Plan) -> Iterator[None]:
        """Mixes by this plan, until the block ends, whenever the model runs in training mode.

        Raises:
            InputError: where a block runs already on this model, of this mix or of another, here or in another thread.
        """
        ours = next(KEYS)
        if BUSY.setdefault(id(self.model), ours) != ours:
            raise InputError(
                "mix: a block of this mix, or of another on the same model, is running already, here or in another "
                "thread; end it first, or give each thread a model and a mix of its own"
            )
        RUNNING[self.key] = plan
        self._note(plan)
        self.reached = self.mixed = self.observed = self.stale = False
        self.clean_logits = self.features = self.laid = None
        try:
            yield
        finally:
            RUNNING.pop(self.key, None)
            BUSY.pop(id(self.model), None)

    def remove(self) -> None:
        """Takes all hooks off the model."""
        for handle in self.handles:
            handle.remove()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy runs on its own."""
        self.__dict__.update(state, key=next(KEYS), passes=[], replayed=False)

    @property
    def training(self) -> bool:
        """Whether the model trains, or any part of it: a head on an encoder that is in evaluation mode."""
        return self.model.training or any(module.training for module in self.model.modules())

    def _change(
        self, number: int, features: bool, module: nn.Module, activations: Tensor, again: Forward
    ) -> Tensor:
        running = plan = RUNNING.get(self.key)
        # Of a model that trains, a stage may be in evaluation mode, for its batch norm's sake.
        training = module.training or self.model.training
        if running is None and training and not torch.compiler.is_compiling():
            if _recomputing():
                plan = self._repeated()
            else:
                self._note(None)
                self.stale = True
        if plan is None or plan.site != number:
            return activations
        self.reached = True
        if not training:
            return activations
        self.mixed = True
        if plan.unlaid is not None:
            plan = self._lay(plan, module, activations, again)
        # Of a network that calls classifiers twice (an auxiliary head), the first answer counts.
        watching = self.watch and running is not None and plan.clean is None and self.clean_logits is None
        if features and watching:
            self.clean_logits = _answer(module, activations, again)
        return plan.apply(activations)

    def _lay(self, plan: Plan, module: nn.Module, activations: Tensor, again: Forward) -> Plan:
        """The plan with its mask laid here; it takes the other's place, so that a pass repeated has the same mask."""
        assert plan.unlaid is not None
        if plan.unlaid.mask.needs_saliency:
            with evaluating(module), _uncached_autocast(activations.device.type):
                laid = plan.lay(activations, again)
        else:
            laid = plan.lay(activations)
        if self.key in RUNNING:
            RUNNING[self.key] = self.laid = laid
        self.passes = [laid if noted is plan else noted for noted in self.passes]
        return laid

    def _see(self, module: nn.Module, features: Tensor, again: Forward) -> Tensor:
        if RUNNING.get(self.key) is not None:
            self.features = features.flatten(1)
        return features

    def _note(self, plan: Plan | None) -> None:
        """Notes a training pass, in a block or (None) outside."""
        if self.replayed:
            self.passes, self.replayed = [], False
        if not any(plan is noted for noted in self.passes):
            self.passes = [*self.passes[-1:], plan]

    def _repeated(self) -> Plan | None:
        """The plan of the pass that the backward pass repeats."""
        if len(self.passes) > 1:
            raise InputError(
                "gradient checkpointing: the model ran more than once in training mode since the last backward pass, "
                "so it is not known how the rows were mixed; call backward() after each pass"
            )
        self.replayed = True
        return self.passes[0] if self.passes else None


def _recomputing() -> bool:
    """Whether a backward pass runs: gradient checkpointing then repeats the forward pass, and so must the mixing."""
    return bool(_TRACKER.is_bw)


def _answer(head: nn.Module, features: Tensor, again: Forward) -> Tensor:
    """The head's logits as in evaluation, without a gradient and without a trace in its batch statistics."""
    with evaluating(head), torch.no_grad(), _uncached_autocast(features.device.type):
        logits: Tensor = again(features)
        # A classifier that is a 1×1 convolution answers [B, C, 1, 1].
        return logits.flatten(1) if logits.shape[2:].numel() == 1 else logits


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """The module in evaluation mode, and afterwards whatever of it trained trains again."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _uncached_autocast(device: str) -> AbstractContextManager[object]:
    """Autocast as it is, if it is, but without its memory of cast weights.

    That would keep the head's weights cast without a gradient for the pass that needs one, in torch before 2.10
    (pytorch/pytorch issue 112583).
    """
    if not torch.is_autocast_enabled(device):
        return nullcontext()
    return torch.autocast(device, torch.get_autocast_dtype(device), cache_enabled=False)
