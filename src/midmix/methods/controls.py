"""What a method must stand beside: the one list of controls, and the lines of a comparison that names none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from midmix.methods.baselines import BASELINES
from midmix.methods.method import Method
from midmix.methods.spec import Spec
from midmix.mixing.labels import OneSided
from midmix.mixing.recipes import recipe_options

RECOMMENDED = (
    "erm",
    "mixup",
    "am-mixup",
    "erm+balanced_softmax",
    "mixup+balanced_softmax",
    "am-mixup+balanced_softmax",
    "balanced-am-mixup+balanced_softmax",
)
"""The methods of a comparison that names none; their controls come to them."""
UNMIXED = {"beta": 0, "ratio": 1}
"""Option of a recipe → its value at which λ is 1 from the first step to the last."""


def controls_of(method: Method) -> tuple[Method, ...]:
    """What a method's mixing is measured against: each the same method but for the mix.

    1. The same loss unmixed (`erm`).
    2. The same loss with `mixup`.
    3. The same pairs and owners at λ = 1, which is resampling alone; where each row is its own owner that is the first.

    A method that mixes nothing has none, nor has a baseline.

    Example:
        >>> [str(control) for control in controls_of(Method.parse("balanced-am-mixup+balanced_softmax"))]
        ['erm+balanced_softmax', 'mixup+balanced_softmax', 'balanced-am-mixup:beta=0+balanced_softmax']
        >>> controls_of(Method.parse("ridge")), [str(control) for control in controls_of(Method.parse("am-mixup"))]
        ((), ['erm', 'mixup'])
    """
    if method.baseline is not None or method.mix.name == Spec("erm").name:
        return ()
    mixes = [Spec("erm"), Spec("mixup"), *_unmixed(method)]
    return tuple(replace(method, mix=mix) for mix in mixes if mix != method.mix)


def with_controls(methods: Iterable[Method], kind: Literal["images", "features"]) -> tuple[Method, ...]:
    """These methods, then those of their controls that are not among them, then the baselines where rows are features.

    Example:
        >>> lines = with_controls([Method.parse("mixup+ldam")], "features")
        >>> [str(line) for line in lines]
        ['mixup+ldam', 'erm+ldam', 'discriminant', 'logistic', 'ridge', 'lda', 'hist-gradient-boosting']
    """
    given = tuple(methods)
    controls = [control for method in given for control in controls_of(method)]
    baselines = [Method.parse(name) for name in BASELINES.names()] if kind == "features" else []
    return tuple(dict.fromkeys((*given, *controls, *baselines)))


def default_lines(kind: Literal["images", "features"]) -> tuple[Method, ...]:
    """The lines of a comparison that names none: the recommended methods with all their controls.

    Example:
        >>> [str(line) for line in default_lines("images")][-2:]
        ['balanced-am-mixup+balanced_softmax', 'balanced-am-mixup:beta=0+balanced_softmax']
        >>> len(default_lines("features"))
        13
    """
    return with_controls(map(Method.parse, RECOMMENDED), kind)


def missing_controls(methods: Sequence[Method], kind: Literal["images", "features"]) -> tuple[Method, ...]:
    """The controls that these lines lack.

    Example:
        >>> [str(line) for line in missing_controls([Method.parse("erm"), Method.parse("mixup")], "images")]
        []
    """
    return with_controls(methods, kind)[len(methods) :]


def _unmixed(method: Method) -> list[Spec]:
    known = recipe_options(method.mix.name)
    if isinstance(method.make_mix(num_classes=2).labels, OneSided):
        return []  # at λ = 1 each row is itself
    values = {option: value for option, value in UNMIXED.items() if option in known}
    kept = {option: value for option, value in method.mix.options if option not in values}
    return [Spec(method.mix.name, tuple({**kept, **values}.items()))] if values else []
