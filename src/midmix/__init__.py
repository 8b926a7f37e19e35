"""midmix: better recognition of rare classes, by mixing features between classes.

    mix = midmix.am_mixup(num_classes=10).attach(model)
    with mix(labels):
        logits = model(inputs)
    mix.loss(logits).backward()

The mixing methods and their parts are here; `midmix.measures`, `midmix.losses`, `midmix.data`, `midmix.models`,
`midmix.training`, `midmix.decisions`, `midmix.reports` and `midmix.integrations` are rooms of their own, imported when
they are asked for.
"""

from importlib import import_module
from typing import Any

from midmix.errors import InputError
from midmix.mixing import (
    Mix,
    Plan,
    am_mixup,
    balanced_am_mixup,
    balanced_midpoint,
    erm,
    manifold_mixup,
    mixup,
    recipe,
    recipes,
)

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "Mix",
    "Plan",
    "am_mixup",
    "balanced_am_mixup",
    "balanced_midpoint",
    "erm",
    "manifold_mixup",
    "mixup",
    "recipe",
    "recipes",
]

_ROOMS = (
    "data",
    "decisions",
    "deploy",
    "integrations",
    "losses",
    "measures",
    "mixing",
    "models",
    "reports",
    "training",
)


def __getattr__(name: str) -> Any:
    """A room, or `load`, imported now that it is asked for: `import midmix` alone takes no longer than torch does."""
    if name == "load":
        return import_module("midmix.deploy").load
    if name in _ROOMS:
        return import_module(f"midmix.{name}")
    raise AttributeError(f"module 'midmix' has no attribute {name!r}")
