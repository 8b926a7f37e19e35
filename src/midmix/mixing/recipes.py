"""The methods that have names, each an assignment of parts. A new paper is a new part, or a new line here."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypedDict, Unpack

from torch import Tensor

from midmix.errors import InputError
from midmix.mixing.blend import Linear
from midmix.mixing.curve import ExponentialCurve
from midmix.mixing.labels import BothOwners, OneSided, TwoSided
from midmix.mixing.mix import Mix
from midmix.mixing.pairing import ClassBalancedPairs, InterClassPairs, RandomPairs, SelfPairs
from midmix.mixing.ratio import Accuracy, AccuracyRatio, BetaRatio, FixedRatio
from midmix.mixing.site import Input, RandomSite, Site
from midmix.registry import Registry, call, check_options, options_of

RECIPES: Registry[Callable[..., Mix]] = Registry("method", "midmix.recipes", hyphens=True)
"""Functions that make a mix of a number of classes and options, by name."""
CORE = ("erm", "mixup", "manifold-mixup", "am-mixup", "balanced-am-mixup", "balanced-midpoint")
"""What a comparison runs that names no method: they go with any rows, and cost little."""


class Settings(TypedDict, total=False):
    """What every recipe that mixes takes beside its own options; `Mix` says what they mean."""

    site: Site | str | None
    class_counts: Sequence[int] | Tensor | None
    clean_weight: float
    probability: float


@RECIPES.register
def erm(
    num_classes: int,
    *,
    site: Site | str | None = None,
    class_counts: Sequence[int] | Tensor | None = None,
) -> Mix:
    """Empirical risk minimisation: nothing is mixed; the baseline of every comparison.

    A clean term or a share of batches would be the same rows once more, so it has no such options.

    Args:
        num_classes: C.
        site: the classifier's name, where it is not to be found by itself.
        class_counts: training samples of each class.

    Raises:
        InputError: as `Mix` does.

    Example:
        >>> import torch
        >>> erm(num_classes=3).plan(torch.tensor([0, 2, 1])).weight
        tensor([1., 1., 1.])
    """
    return Mix(
        SelfPairs(),
        FixedRatio(1.0),
        OneSided(),
        Linear(),
        site,
        num_classes=num_classes,
        class_counts=class_counts,
    )


@RECIPES.register
def mixup(
    num_classes: int,
    *,
    alpha: float = 1.0,
    per_row: bool = False,
    **settings: Unpack[Settings],
) -> Mix:
    """Mixup (Zhang et al. 2018, arXiv 1710.09412): inputs and labels, `λ ~ Beta(α, α)`.

    `x̃ = λ x_i + (1-λ) x_j`, loss `λ ℓ(c_i) + (1-λ) ℓ(c_j)`, partners a random permutation of the batch.

    Args:
        num_classes: C.
        alpha: of the Beta distribution; 1 is uniform.
        per_row: a λ for each row instead of one for the batch.

    Raises:
        InputError: where α is not above 0, and as `Mix` does.

    Example:
        >>> import torch
        >>> plan = mixup(num_classes=3).plan(torch.tensor([0, 2, 1]), torch.Generator().manual_seed(1))
        >>> len(plan.targets)
        2
    """
    settings["site"] = settings.get("site") or Input()
    return Mix(
        RandomPairs(), BetaRatio(alpha, per_row=per_row), TwoSided(), num_classes=num_classes, **settings
    )


@RECIPES.register
def manifold_mixup(
    num_classes: int,
    *,
    alpha: float = 2.0,
    per_row: bool = False,
    **settings: Unpack[Settings],
) -> Mix:
    """Manifold mixup (Verma et al. 2019, arXiv 1806.05236): as `mixup`, at a layer drawn anew for each batch.

    Args:
        num_classes: C.
        alpha: of the Beta distribution; the paper uses 2.
        per_row: a λ for each row instead of one for the batch.
        site: the layers; without it the input and the stages before the last (`RandomSite`).

    Raises:
        InputError: where α is not above 0, and as `Mix` does.

    Example:
        >>> from midmix.mixing import Features
        >>> manifold_mixup(num_classes=10, site=RandomSite(Input(), Features())).site
        RandomSite(Input(), Features(name=None))
    """
    settings["site"] = settings.get("site") or RandomSite()
    return Mix(
        RandomPairs(), BetaRatio(alpha, per_row=per_row), TwoSided(), num_classes=num_classes, **settings
    )


@RECIPES.register
def am_mixup(
    num_classes: int,
    *,
    beta: float = 0.67,
    accuracy: Accuracy = "running",
    balanced_accuracy: bool = False,
    **settings: Unpack[Settings],
) -> Mix:
    """Asymptotic midpoint mixup in its paper's form (arXiv 2401.14696): features, `λ = exp(-β · acc)`, one-sided.

    `z_ij = λ z_i + (1-λ) z_j` with j of another class, under the label of i (λ ≥ 0.5 always).

    Args:
        num_classes: C.
        beta: of the exponential; 0.67 ends at λ = 0.512, ln 2 at 0.5.
        accuracy: which accuracy λ follows (`AccuracyRatio`).
        balanced_accuracy: the mean of the classes' accuracies instead of the plain one.
        site: the classifier's name, where it is not to be found by itself.

    Raises:
        InputError: for a β out of [0, ln 2], an unknown `accuracy`, and as `Mix` does.

    Example:
        >>> import torch
        >>> mix = am_mixup(num_classes=3)
        >>> mix.observe(accuracy=1.0)
        >>> mix.plan(torch.tensor([0, 2])).weight
        tensor([0.5117, 0.5117])
    """
    ratio = AccuracyRatio(ExponentialCurve(beta), num_classes, accuracy=accuracy, balanced=balanced_accuracy)
    return Mix(InterClassPairs(), ratio, OneSided(), Linear(), num_classes=num_classes, **settings)


@RECIPES.register
def balanced_am_mixup(
    num_classes: int,
    *,
    beta: float = 0.67,
    accuracy: Accuracy = "running",
    balanced_accuracy: bool = False,
    **settings: Unpack[Settings],
) -> Mix:
    """AM-mixup with class-balanced partners and both owners, a variant of this project's own for long tails.

    As `am_mixup`, but each other class of the batch is a partner equally often, and every pair makes two mixed
    rows: `z_ij` under the label of i and its mirror `z_ji` under that of j. So the head sees twice the rows (the
    encoder does not), and half of the labels that it is fed are near-uniform over the classes.

    Part of what it does is resampling: `beta=0` keeps λ at 1 and leaves that part alone, which is the control to
    compare with, beside the same loss without mixing.

    Args and errors as for `am_mixup`.

    Example:
        >>> import torch
        >>> balanced_am_mixup(num_classes=3).plan(torch.tensor([0, 2, 2])).targets[0][0]
        tensor([0, 2, 2, 2, 0, 0])
    """
    ratio = AccuracyRatio(ExponentialCurve(beta), num_classes, accuracy=accuracy, balanced=balanced_accuracy)
    return Mix(ClassBalancedPairs(), ratio, BothOwners(), Linear(), num_classes=num_classes, **settings)


@RECIPES.register
def balanced_midpoint(num_classes: int, *, ratio: float = 0.5, **settings: Unpack[Settings]) -> Mix:
    """Midpoints from the first step: class-balanced partners and both owners at one λ (compare arXiv 2210.13512).

    The control for every schedule of λ; at `ratio=1` nothing is mixed and resampling is left alone.

    Args:
        num_classes: C.
        ratio: λ, in [0.5, 1].

    Example:
        >>> import torch
        >>> balanced_midpoint(num_classes=3).plan(torch.tensor([0, 2])).weight
        tensor([0.5000, 0.5000, 0.5000, 0.5000])
    """
    return Mix(ClassBalancedPairs(), FixedRatio(ratio), BothOwners(), num_classes=num_classes, **settings)


Made = Callable[..., Mix]


def preset(**defaults: Any) -> Callable[[Made], Made]:
    """A decorator for recipes of which some of the settings that all share have another default.

    Example:
        >>> @preset(clean_weight=1.0)
        ... def both(num_classes: int, **settings) -> Mix:
        ...     return mixup(num_classes, **settings)
        >>> both(3).clean_weight, both(3, clean_weight=0.5).clean_weight
        (1.0, 0.5)
    """

    def wrap(make: Made) -> Made:
        @functools.wraps(make)
        def made(num_classes: int, **options: Any) -> Mix:
            return make(num_classes, **{**defaults, **options})

        made.defaults = defaults  # type: ignore[attr-defined]
        return made

    return wrap


def recipes() -> tuple[str, ...]:
    """The names that `recipe` knows.

    Example:
        >>> {"erm", "mixup", "am-mixup"} <= set(recipes())
        True
    """
    return RECIPES.names()


def recipe_options(name: str) -> dict[str, Any]:
    """The options of the recipe of this name, with their defaults.

    Raises:
        InputError: for an unknown name, with the nearest valid ones.

    Example:
        >>> recipe_options("mixup")
        {'alpha': 1.0, 'per_row': False, 'site': None, 'class_counts': None, 'clean_weight': 0.0, 'probability': 1.0}
    """
    of_mix = inspect.signature(Mix).parameters
    make = RECIPES.find(name)
    takes = {parameter.kind for parameter in inspect.signature(make).parameters.values()}
    shared = Settings.__annotations__ if inspect.Parameter.VAR_KEYWORD in takes else ()
    return {
        **options_of(make, without=("num_classes",)),
        **{option: of_mix[option].default for option in shared},
        **getattr(make, "defaults", {}),
    }


def recipe(name: str, /, num_classes: int, **options: Any) -> Mix:
    """The mix of this name, with the options of its function.

    Raises:
        InputError: for an unknown name or option, with the nearest valid ones; for a value that an option cannot have.

    Example:
        >>> float(recipe("am-mixup", num_classes=10, beta=0.5).ratio.curve.beta)
        0.5
    """
    check_options(name, options, recipe_options(name))
    made: object = call("method", name, RECIPES.find(name), num_classes, **options)
    if not isinstance(made, Mix):
        raise InputError(
            f"method {name!r}: made a {type(made).__name__}; its function must return a midmix.Mix"
        )
    return made
