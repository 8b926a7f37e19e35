"""One training step as a pure function: parameters, a batch and its plan in; loss and clean logits out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from midmix.mixing import Features, Input, Loss, Mix, Plan
from midmix.mixing.attachment import evaluating
from midmix.mixing.context import Views, as_loss
from midmix.training.augment import views_by_hooks

HEAD = frozenset({"features", "head"})
PRIOR = frozenset({"prior", "counts"})  # who asks for counts takes those of the targets where they are known


@runtime_checkable
class Divided(Protocol):
    """A network in two parts: `fc(features(x))` is what it answers. Ours are; others are mixed by hooks."""

    fc: nn.Module

    def features(self, x: Tensor, /) -> Tensor:
        """What enters the classifier, `[B, D]`."""
        ...


@runtime_checkable
class PulledBack(Protocol):
    """A divided network that works out the gradients below its classifier itself, quicker than autograd does."""

    fc: nn.Module

    def children(self) -> Iterator[nn.Module]:
        """A module's."""
        ...

    def answer_and_pullback(self, x: Tensor, /, *, whole: bool) -> tuple[Tensor, Callable[[Tensor], None]]:
        """As `midmix.models.MLP` has it."""
        ...


class Stepped(NamedTuple):
    """What a step gives.

    Attributes:
        loss: a scalar.
        clean_logits: `[B, C]`, without a gradient; None where the site hides clean rows.
        pull: adds the gradients of what autograd has not seen, once it has been through the loss; mostly None.
    """

    loss: Tensor
    clean_logits: Tensor | None
    pull: Callable[[], None] | None = None

    def backward(self, share: float = 1.0) -> None:
        """Adds the gradients of `share · loss` to those of all parameters."""
        torch.autograd.backward(self.loss if share == 1 else self.loss * share)
        if self.pull is not None:
            self.pull()


class SecondView(NamedTuple):
    """Another augmentation of a batch's rows, for losses that compare rows.

    Attributes:
        inputs: `[B, *shape]`, as the network takes them.
        prior: `[C]`, shares of the classes among such rows; None where nobody counted.
    """

    inputs: Tensor
    prior: Tensor | None = None


def can_divide(model: nn.Module, mix: Mix) -> bool:
    """Whether a step needs no hooks: the mix acts on the input or on the features of a divided network."""
    if not isinstance(model, Divided) or any(True for _ in model.fc.children()):
        return False  # a head of several modules may have batch statistics, which a second answer would shift
    site = mix.site
    if type(site) is Features:
        return mix.mask is None and (
            site.name is None or dict(model.named_modules()).get(site.name) is model.fc
        )
    return type(site) is Input


def can_pull_back(model: nn.Module, mix: Mix, loss: Loss) -> bool:
    """Whether the network may work out the gradients below its classifier itself: all of it is trained, nobody looks
    into it, and it is passed once a step."""
    if not isinstance(model, PulledBack) or not can_divide(model, mix) or "views" in loss.needs:
        return False
    below = [module for part in model.children() if part is not model.fc for module in part.modules()]
    weights = [weight for module in below for weight in module.parameters(recurse=False)]
    hooks = (m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in below)
    return bool(weights) and all(weight.requires_grad for weight in weights) and not any(hooks)


def step(
    model: nn.Module,
    inputs: Tensor,
    plan: Plan,
    loss: Loss,
    *,
    mix_input: bool = False,
    clean: bool = True,
    parameters: Mapping[str, Tensor] | None = None,
    generator: torch.Generator | None = None,
    second: SecondView | None = None,
    pull_back: bool = False,
) -> Stepped:
    """The loss of a batch that is mixed by a plan, and the head's answers to its clean features.

    Nothing is kept and nothing global is touched, so it can be differentiated, and mapped over the parameters of
    several networks at once with `torch.func.vmap`.

    Args:
        model: a `Divided` network, in training mode.
        inputs: `[B, *shape]`, as the network takes them.
        plan: for this batch, as `Mix.plan` draws it.
        loss: of `midmix.losses`, or any per-sample loss.
        mix_input: mix the inputs and not the features.
        clean: whether clean logits are wanted; they cost one more answer of the head.
        parameters: in place of the model's own.
        generator: of the loss's draws.
        second: another view of the rows, for losses that compare rows; one more pass of the encoder.
        pull_back: leave the gradients below the classifier to the network (see `can_pull_back`), and take them by
            `Stepped.backward`.

    Example:
        >>> import midmix
        >>> from midmix.losses import balanced_softmax
        >>> from midmix.models import build
        >>> y = torch.tensor([0, 1, 2, 0])
        >>> plan = midmix.balanced_am_mixup(num_classes=3).plan(y)
        >>> stepped = step(build("mlp-8", (4,), 3, seed=0), torch.zeros(4, 4), plan, balanced_softmax())
        >>> stepped.loss.shape, stepped.clean_logits.shape
        (torch.Size([]), torch.Size([4, 3]))
    """
    if parameters is not None:
        stepper = _Stepper(model, loss, mix_input, clean, generator, second)
        named = {f"model.{name}": value for name, value in parameters.items()}
        found: Stepped = functional_call(stepper, named, (inputs, plan))
        return found
    divided, judge = cast(Divided, model), as_loss(loss)
    needs = not judge.needs.isdisjoint(HEAD)
    entering, pull = plan.apply(inputs) if mix_input else inputs, None
    whole = pull_back and not needs and type(divided.fc) is nn.Linear and (mix_input or plan.as_they_are)
    if pull_back:
        own, pull = _pulled(cast(PulledBack, model), entering, whole)
    else:
        own = divided.features(entering)
    features = own if mix_input else plan.apply(own)
    logits: Tensor = features if whole else divided.fc(features)
    seen: Tensor | None = None
    if plan.clean is not None:
        seen = logits[len(plan.partner) :].detach()
    elif plan.as_they_are or (features is own and not mix_input):
        seen = logits.detach()
    elif clean and not mix_input:
        with torch.no_grad():
            seen = divided.fc(own)
    views: Views | None = None
    if second is not None:
        first = divided.features(inputs) if mix_input else own
        views = Views(torch.stack([first, divided.features(second.inputs)]), plan.labels, second.prior)
    total = plan.loss(
        logits,
        judge,
        features=features if needs else None,
        head=divided.fc if needs else None,
        generator=generator,
        views=views,
    )
    return Stepped(total, seen, pull)


def _pulled(model: PulledBack, inputs: Tensor, whole: bool) -> tuple[Tensor, Callable[[], None]]:
    """Features, or logits, as a leaf of the loss's graph, and what brings its gradient to the weights below it."""
    answer, pullback = model.answer_and_pullback(inputs, whole=whole)
    answer.requires_grad_()

    def pull() -> None:
        if answer.grad is not None:  # a loss need not look at it
            pullback(answer.grad)

    return answer, pull


def mixed_step(
    model: nn.Module,
    mix: Mix,
    inputs: Tensor,
    labels: Tensor,
    loss: Loss,
    *,
    divided: bool,
    second: Tensor | None = None,
    generator: torch.Generator | None = None,
    network: Callable[[Tensor], Tensor] | None = None,
    pull_back: bool = False,
) -> tuple[Stepped, Plan]:
    """A step by the mix that is attached to its model, which is shown the clean logits; and the plan that was drawn.

    Args:
        model: a network in training mode.
        mix: attached to it.
        inputs: `[B, *shape]`.
        labels: `[B]`.
        loss: as `step` takes it.
        divided: whether to go by `step` (see `can_divide`), else by the mix's hooks.
        second: another view of the inputs, for losses that compare rows.
        generator: of all draws.
        network: what wraps the model, of several processes or compiled; called in its place where hooks do the work.
        pull_back: as `step` takes it.
    """
    if not divided:
        views = None if second is None else views_by_hooks(model, mix, inputs, second, labels)
        with mix(labels, generator) as batch:
            logits = (model if network is None else network)(inputs)
        total: Tensor = batch.loss(logits, loss, views=views)
        return Stepped(total, batch.clean_logits), batch.plan
    plan = mix.draw(
        labels,
        generator,
        inputs=inputs,
        answer=partial(_in_evaluation, model),
        prior=not loss.needs.isdisjoint(PRIOR),
    )
    watched = mix.needs_clean_logits
    mix_input = isinstance(mix.site, Input)
    stepped = step(
        model,
        inputs,
        plan,
        loss,
        mix_input=mix_input,
        clean=watched,
        generator=generator,
        second=None if second is None else SecondView(second, mix.prior.of_data()),
        pull_back=pull_back,
    )
    if watched and stepped.clean_logits is not None:
        mix.observe(stepped.clean_logits, labels)
    return stepped, plan


def _in_evaluation(model: nn.Module, inputs: Tensor) -> Tensor:
    with evaluating(model):
        logits: Tensor = model(inputs)
    return logits


class _Stepper(nn.Module):
    """A step as a module, so that its network's parameters can be given from outside."""

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        mix_input: bool,
        clean: bool,
        generator: torch.Generator | None,
        second: SecondView | None,
    ) -> None:
        super().__init__()
        self.model, self.loss = model, as_loss(loss)
        self.mix_input, self.clean, self.generator, self.second = mix_input, clean, generator, second

    def forward(self, inputs: Tensor, plan: Plan) -> Stepped:
        return step(
            self.model,
            inputs,
            plan,
            self.loss,
            mix_input=self.mix_input,
            clean=self.clean,
            generator=self.generator,
            second=self.second,
        )
