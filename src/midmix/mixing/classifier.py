"""Finding the classifier, and the stages before it, in a network that knows nothing of midmix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from midmix.errors import InputError, unknown

USUAL_NAMES = ("fc", "classifier", "head", "heads", "linear", "score")


def named_module(model: nn.Module, name: str) -> nn.Module:
    """The module of this dotted name.

    Raises:
        InputError: where there is none, with the nearest names.
    """
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if not name or name not in modules:
        raise unknown(f"module of {type(model).__name__}", name, (known for known in modules if known))
    return modules[name]


def find_classifier(model: nn.Module, num_classes: int) -> nn.Module:
    """The module that turns features into logits.

    That which the model's own `get_classifier()` names (timm's convention), else its only linear layer with
    `num_classes` outputs, else the one of those that bears a usual name (fc, classifier, head, …). Any module that says
    its `in_features` and `out_features` counts for a linear layer, and those within it do not.

    Raises:
        InputError: where none can be told, with what to name.

    Example:
        >>> find_classifier(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), num_classes=3)
        Linear(in_features=8, out_features=3, bias=True)
    """
    own = getattr(model, "get_classifier", None)
    if callable(own) and isinstance(found := own(), nn.Module) and any(True for _ in found.parameters()):
        return found
    linear: dict[str, Any] = dict(_linear(model))
    fitting = {name: m for name, m in linear.items() if m.out_features == num_classes}
    usual = {
        name: m
        for name, m in fitting.items()
        if set(name.split(".")) & set(USUAL_NAMES) and not _inside_attention(name)
    }
    for candidates in (fitting, usual):
        if len(candidates) == 1:
            only: nn.Module = next(iter(candidates.values()))
            return only
    seen = ", ".join(f"{name} ({m.in_features} to {m.out_features})" for name, m in linear.items())
    several = f"{len(fitting)} linear layers have {num_classes} outputs" if fitting else ""
    none = f"no linear layer has num_classes = {num_classes} outputs"
    raise InputError(
        f"classifier of {type(model).__name__}: {several or none}; name it with site='…'. "
        f"Linear layers: {seen or 'none'}"
    )


def find_stages(model: nn.Module, num_classes: int) -> list[str]:
    """Names of the network's stages before the classifier, in the order of registration.

    The children that hold parameters and come before the classifier; only those that hold other modules, where there
    are such; and one stage that holds everything is opened in turn.

    Example:
        >>> find_stages(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 3)), 3)
        ['0', '2']
    """
    classifier = find_classifier(model, num_classes)
    prefix, root = "", model
    while True:
        stages: dict[str, nn.Module] = {}
        holder: tuple[str, nn.Module] | None = None
        for name, child in _called(root):
            if any(module is classifier for module in child.modules()):
                holder = None if child is classifier else (name, child)
                break
            if any(True for _ in child.parameters()):
                stages[name] = child
        nested = {name: child for name, child in stages.items() if any(True for _ in child.children())}
        if not stages and holder is not None:  # a wrapper around the network
            name, root = holder
        elif len(nested) == 1:
            ((name, root),) = nested.items()
        else:
            return [f"{prefix}{name}" for name in nested or stages]
        prefix = f"{prefix}{name}."


def _linear(root: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The outermost modules, by their dotted names, that take features of one width and give those of another."""
    for name, child in root.named_children():
        if _maps_features(child):
            yield f"{prefix}{name}", child
        else:
            yield from _linear(child, f"{prefix}{name}.")


def _called(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The children of a module; of a list of modules, which is never called itself, its members."""
    for name, child in root.named_children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from ((f"{name}.{member}", module) for member, module in _called(child))
        else:
            yield name, child


def _maps_features(module: nn.Module) -> bool:
    """Whether it is a linear layer, or one that says alike what it maps to what, as a head of cosines does."""
    sizes = (getattr(module, "in_features", None), getattr(module, "out_features", None))
    alike = all(isinstance(size, int) for size in sizes)
    return isinstance(module, nn.Linear) or (alike and any(True for _ in module.parameters()))


def _inside_attention(name: str) -> bool:
    return "attn" in name or "attention" in name
