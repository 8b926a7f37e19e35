"""The estimator's `method`: a mix and a loss, in a text or as objects, with options that a grid search can set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from midmix.errors import InputError, unknown
from midmix.losses import Loss, as_loss, loss_options, put_together
from midmix.methods import Method, Spec
from midmix.mixing import Mix, RowLoss
from midmix.mixing.recipes import recipe_options

MakesMix = Callable[..., Mix]
Given = str | Method | MakesMix | tuple[str | MakesMix, str | Loss | RowLoss]
"""`"erm+balanced_softmax"`; a `Method`; `midmix.am_mixup`; or a pair of a mix and a loss, each a text or an object."""


def make(given: Given, num_classes: int, counts: Tensor | None) -> tuple[Mix, Loss]:
    """A fresh mix and a fresh loss.

    Raises:
        InputError: for what is none or makes none, and for orders, heads and stages, which an estimator does not have.
    """
    if isinstance(given, tuple) and len(given) != 2:
        raise InputError(f"method: {given!r:.60} are {len(given)} parts; give a pair of a mix and a loss")
    mix, loss = given if isinstance(given, tuple) else (given, None)
    judge: object = loss
    if judge is not None and not isinstance(judge, str) and not callable(judge):
        raise InputError(f"method: its loss {judge!r:.60} is none; give the text of one, or a function")
    if isinstance(mix, str | Method):
        method = Method.parse(mix) if isinstance(mix, str) else mix
        if method.order or method.head or method.stages:
            raise InputError(
                f"method: {method}; here a method is a mix and a loss; orders, heads and stages are not"
            )
        if method.make_baseline() is not None:
            raise InputError(f"method: {method} is no network; take scikit-learn's own estimator of it")
        made, own = method.make_mix(num_classes, counts), method.make_loss()
        if loss is None:
            return made, own
        if method.losses and isinstance(loss, str):
            return made, Method.parse(f"{method}+{loss}").make_loss()
        if method.losses and not isinstance(loss, str):
            return made, put_together([own, as_loss(loss)])
    elif callable(mix):
        made = mix(num_classes, class_counts=counts)
        answer: object = made
        if not isinstance(answer, Mix):
            raise InputError(f"method: made a {type(answer).__name__}; it must return a midmix.Mix")
    else:
        raise InputError(
            f"method: {mix!r:.60} is none; give a text such as 'mixup+balanced_softmax', a function that returns a "
            "Mix, or a pair of a mix and a loss"
        )
    if loss is None or isinstance(loss, str):
        return made, Method.parse(f"erm+{loss}" if loss else "erm").make_loss()
    return made, as_loss(loss)


def options(given: Given) -> dict[str, Any]:
    """What can be set of a method in a text: `option` of the one part that has it, `part__option` of each.

    Example:
        >>> found = options("mixup+balanced_softmax:tau=0.5")
        >>> found["alpha"], found["tau"], found["balanced_softmax__tau"]
        (1.0, 0.5, 0.5)
    """
    if not isinstance(given, str | Method):
        return {}
    method = Method.read(given) if isinstance(given, str) else given
    found: dict[str, Any] = {}
    names: list[str] = []
    for part in _parts(method):
        for option, value in {**_known(part, method), **part.as_dict()}.items():
            found[f"{part.name}__{option}"] = found[option] = value
            names.append(option)
    return {name: value for name, value in found.items() if name.count("__") or names.count(name) == 1}


def with_options(given: Given, changes: Mapping[str, Any]) -> str:
    """A method's text with these options set, named as in `options`.

    Raises:
        InputError: for a method that is no text, and options that it does not have, with the nearest.

    Example:
        >>> with_options("mixup+balanced_softmax", {"alpha": 0.2, "tau": 0.5})
        'mixup:alpha=0.2+balanced_softmax:tau=0.5'
        >>> with_options("mixup", {"alhpa": 0.2})
        Traceback (most recent call last):
        ...
        midmix.errors.UnknownNameError: unknown option of mixup 'alhpa': did you mean alpha? Known: alpha, ...
    """
    if not isinstance(given, str | Method):
        raise InputError("method: only the options of a text can be set, such as 'am-mixup:beta=0.5'")
    method = Method.read(given) if isinstance(given, str) else given
    known = options(method)
    for name in changes:
        if name not in known:
            raise unknown(f"option of {method}", name, known)

    def changed(part: Spec) -> Spec:
        own = {**_known(part, method), **part.as_dict()}
        return part.with_options(
            {
                option: changes[name]
                for option in own
                for name in (option, f"{part.name}__{option}")
                if name in changes
            }
        )

    return str(replace(method, mix=changed(method.mix), losses=tuple(map(changed, method.losses))))


def _parts(method: Method) -> tuple[Spec, ...]:
    return (method.mix, *method.losses)


def _known(part: Spec, method: Method) -> dict[str, Any]:
    return recipe_options(part.name) if part is method.mix else loss_options(part.name)
