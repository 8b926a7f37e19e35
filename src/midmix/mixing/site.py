"""Where a network's activations are mixed: by forward hooks, so that any model serves unmodified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from midmix.errors import InputError, unknown
from midmix.mixing.classifier import find_classifier, find_stages, named_module

Forward = Callable[[Tensor], Any]
"""A module's own answer to other activations, whatever else it was called with staying the same."""
Change = Callable[[nn.Module, Tensor, Forward], Tensor]
"""What is done to the activations at a site, given the module that the hook sits on."""


class Site(Protocol):
    """A place in a network. `hook` makes `change` act there and returns the handles that undo it."""

    def hook(self, model: nn.Module, num_classes: int, change: Change) -> list[RemovableHandle]: ...


@dataclass(frozen=True)
class Input:
    """The model's input: its first positional argument, or its only floating-point keyword argument.

    Args:
        keyword: the keyword argument to mix, where there are several.

    Raises:
        InputError: when the model runs, where it cannot be told what to mix.

    Example:
        >>> import midmix
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> mix = midmix.mixup(num_classes=3, site=Input()).attach(model)
    """

    keyword: str | None = None

    def hook(self, model: nn.Module, num_classes: int, change: Change) -> list[RemovableHandle]:
        return [_before(model, change, self.keyword)]

    def __repr__(self) -> str:
        return "Input()" if self.keyword is None else f"Input({self.keyword!r})"


@dataclass(frozen=True)
class Hidden:
    """The output of the module of this name, as `model.named_modules()` lists it ("layer2").

    Of a tuple (a recurrent layer's) the first entry is mixed, and the others stay. A module that runs several times in
    a pass is mixed each time.

    Raises:
        InputError: when attached, where the model has no such module, or it is a list of modules, which never runs.

    Example:
        >>> import midmix
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> mix = midmix.mixup(num_classes=3, site=Hidden("0")).attach(model)
    """

    name: str

    def hook(self, model: nn.Module, num_classes: int, change: Change) -> list[RemovableHandle]:
        module = named_module(model, self.name)
        if isinstance(module, nn.ModuleList | nn.ModuleDict):
            members = ", ".join(f"{self.name}.{name}" for name, _ in module.named_children())
            raise InputError(
                f"{self.name}: a {type(module).__name__} is not called itself; name a member: {members}"
            )
        return [module.register_forward_hook(partial(_change_output, change))]


@dataclass(frozen=True)
class Features:
    """The encoder's features, as they enter the classifier: found by itself, or the module of this name ("fc").

    Raises:
        InputError: when attached, where the model has no such module or the classifier cannot be told.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> Features().classifier(model, num_classes=3)
        Linear(in_features=8, out_features=3, bias=True)
    """

    name: str | None = None

    def classifier(self, model: nn.Module, num_classes: int) -> nn.Module:
        """The module that takes features and gives logits."""
        return find_classifier(model, num_classes) if self.name is None else named_module(model, self.name)

    def hook(self, model: nn.Module, num_classes: int, change: Change) -> list[RemovableHandle]:
        return [_before(self.classifier(model, num_classes), change)]


class RandomSite:
    """One of several sites, drawn anew for each batch (manifold mixup, Verma et al. 2019).

    Without sites it takes, when attached, the input and the outputs of the network's stages before the classifier, save
    the last of them: the modules that hold the blocks at the model's top level, in the order of registration.

    Example:
        >>> RandomSite(Input(), Hidden("layer1"), Hidden("layer2"))
        RandomSite(Input(), Hidden(name='layer1'), Hidden(name='layer2'))
    """

    def __init__(self, *sites: Site) -> None:
        self.sites = sites

    def choices(self, model: nn.Module, num_classes: int) -> tuple[Site, ...]:
        """The sites among which one is drawn."""
        return self.sites or (Input(), *(Hidden(name) for name in find_stages(model, num_classes)[:-1]))

    def hook(self, model: nn.Module, num_classes: int, change: Change) -> list[RemovableHandle]:
        raise InputError("RandomSite: cannot stand inside another RandomSite; list all sites in one")

    def __repr__(self) -> str:
        return f"RandomSite({', '.join(map(repr, self.sites))})"


def site_of(text: str) -> Site:
    """The site that a text stands for: `input`, `after-NAME` (what the module of this name gives), `features`,
    `random`, or the name of the classifier.

    Example:
        >>> site_of("input"), site_of("after-stage1"), site_of("fc")
        (Input(), Hidden(name='stage1'), Features(name='fc'))
    """
    words: dict[str, Site] = {"input": Input(), "features": Features(), "random": RandomSite()}
    if text in words:
        return words[text]
    name = text.removeprefix("after-")
    return Features(text) if name == text else Hidden(name)


# Hooks are partials of functions, not closures, so that a copied or pickled model takes its own along.
def _before(module: nn.Module, change: Change, keyword: str | None = None) -> RemovableHandle:
    return module.register_forward_pre_hook(partial(_change_input, change, keyword), with_kwargs=True)


def _change_input(
    change: Change, keyword: str | None, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if args and keyword is None:
        first, *rest = args
        return (change(module, first, lambda other: module.forward(other, *rest, **kwargs)), *rest), kwargs
    name = _only_tensor(module, kwargs) if keyword is None else keyword
    if name not in kwargs:
        raise unknown(f"keyword that {type(module).__name__} is called with", name, kwargs)
    return args, {
        **kwargs,
        name: change(module, kwargs[name], lambda other: module.forward(*args, **{**kwargs, name: other})),
    }


def _only_tensor(module: nn.Module, kwargs: dict[str, Any]) -> str:
    found = [
        name for name, value in kwargs.items() if isinstance(value, Tensor) and value.is_floating_point()
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{type(module).__name__}: was called with several floating-point tensors, {', '.join(found)}; "
            f"say which to mix, site=Input('{found[0]}'), or mix the features (site=Features())"
        )
    raise InputError(
        f"{type(module).__name__}: was called without a floating-point tensor; mix a hidden layer "
        "(site=Hidden('…')) or the features (site=Features())"
    )


def _change_output(change: Change, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    if isinstance(output, tuple):
        mixed = (change(module, output[0], _itself), *output[1:])
        return type(output)(*mixed) if hasattr(output, "_fields") else mixed
    return change(module, output, _itself)


def _itself(activations: Tensor) -> Tensor:
    return activations


def draw_index(count: int, generator: torch.Generator | None) -> int:
    """A whole number in `[0, count)`; no draw where there is no choice."""
    if count < 2:
        return 0
    device = "cpu" if generator is None else generator.device
    return int(torch.randint(count, (), generator=generator, device=device))
