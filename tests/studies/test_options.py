"""Every name end to end: in a whole comparison each entry, and each option that it declares, changes the results.

What is tried is read off the registries, so that a new entry is tried as soon as it has a name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from midmix.data import Source
from midmix.errors import InputError
from midmix.losses import LOSSES
from midmix.methods import BASELINES, HEADS, ORDERS, STAGES, Method
from midmix.mixing.recipes import RECIPES, recipe_options
from midmix.registry import Registry, options_of
from midmix.studies import compare
from midmix.training import Settings

KINDS: Mapping[str, tuple[Registry[Callable[..., Any]], str]] = {
    "mix": (RECIPES, "{}"),
    "loss": (LOSSES, "erm+{}"),
    "order": (ORDERS, "erm+{}"),
    "head": (HEADS, "erm+{}"),
    "stage": (STAGES, "erm >> {}"),
    "baseline": (BASELINES, "{}"),
}
"""Kind → where its names are, and a method that one of them stands in."""
ENTRIES = [(kind, name) for kind, (registry, _) in KINDS.items() for name in registry.names()]
WHAT_IS_THERE_ANYWAY = ("erm", "cross_entropy", "shuffled")
FORMS = {"ride": "erm+experts+{}", "ncm:cosine": "erm+cosine >> {}"}
"""Entry, or one with an option, → the method that it stands in, where it does not go without something else."""
ALWAYS = {
    "equalization:": "threshold=0.5",
    "equalization:probability": "threshold=0.5",
    "label_aware_smoothing:power": "shape=power",
}
"""Entry with an option, or with none, → what it needs beside it to do anything on so small a table."""
OTHERS: Mapping[str, object] = {
    "alpha": 0.2,
    "beta": 0.3,
    "cosine:start": "means",
    "entropy": 0.3,
    "high": 0.6,
    "max_iter": 3,
    "max_leaf_nodes": 2,
    "probability": 0.2,
    "shape": "linear",
    "start": 0.2,
    "tail": 0.1,
    "threshold": 0.3,
    "window": 10,
}
"""Another value of an option, or of one of an entry, where half as much again would not do."""
IMAGES = ("resize-mix",)

Find = Callable[[Sequence[str]], list[np.ndarray]]


@pytest.fixture
def find(blobs: Source, pictures: Source, short: Settings, tmp_path: Path) -> Find:
    """Compares methods, and gives the logits of the test rows that the comparison has kept of each."""

    def find(texts: Sequence[str], **given: Any) -> list[np.ndarray]:
        methods = [Method.parse(text) for text in texts]
        images = methods[-1].mix.name in IMAGES
        views = "views" in methods[-1].make_loss().needs
        settings = replace(short, evaluate_every=2, augment="noise" if views else "none", **given)
        source, lines = pictures if images else blobs, list(dict.fromkeys(methods))
        compare(source, lines, tmp_path / "out", settings, seeds=1, jobs=1, validation=0.2)
        found = []
        for method in methods:
            with np.load(tmp_path / "out" / "runs" / f"{method.slug}-seed0" / "test.npz") as file:
                found.append(file["logits"])
        return found

    return find


def declared(kind: str, name: str) -> dict[str, Any]:
    """The options that a method's text may give, with their defaults; `site` has a test of its own."""
    if kind == "mix":
        # A comparison knows the counts by itself.
        return {o: value for o, value in recipe_options(name).items() if o not in ("class_counts", "site")}
    return options_of(KINDS[kind][0].find(name))


def other(name: str, make: Callable[..., Any], option: str, default: Any) -> object:
    """Another value of an option than its default."""
    for known in (f"{name}:{option}", option):
        if known in OTHERS:
            return OTHERS[known]
    hint = get_type_hints(make).get(option)
    if get_origin(hint) is Literal:
        return next(value for value in get_args(hint) if value != default)
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return default + 1
    return 0.4 if default in (0.0, "auto") else default * 1.5


def text(name: str, form: str, option: str = "", value: object = None) -> str:
    """The method in which an entry stands, with an option set or without, and with all that it needs for it."""
    whose = f"{name}:{option}"
    part = ":".join(filter(None, [name, ALWAYS.get(whose)]))
    if value is not None:
        part += f":{option}={str(value).lower() if isinstance(value, bool) else value}"
    return FORMS.get(whose, FORMS.get(name, form)).format(part)


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_an_entry_and_each_of_its_options_change_the_results(kind, name, find):
    registry, form = KINDS[kind]
    make = registry.find(name)
    pairs = {"": ("erm", text(name, form))}
    for option, default in declared(kind, name).items():
        pairs[option] = (
            text(name, form, option),
            text(name, form, option, other(name, make, option, default)),
        )
        if default == "auto" or option in getattr(make, "auto", ()):
            value = "auto" if default != "auto" else 0.7
            pairs[f"{option}, auto"] = (text(name, form, option), text(name, form, option, value))
    if name == "ncm":  # the classes' means as they are do not go with a head of cosines
        pairs["cosine"] = ("erm+cosine", pairs["cosine"][1])
    texts = list(dict.fromkeys(line for pair in pairs.values() for line in pair))
    logits = dict(zip(texts, find(texts), strict=True))
    still = []
    for option, (one, another) in pairs.items():
        size = np.abs(logits[one]).max()
        if np.abs(logits[one] - logits[another]).max() < 1e-5 * size:
            still.append(option)
    assert still == ([""] if name in WHAT_IS_THERE_ANYWAY else [])


REFUSED = {"saliency-mix": "follows the gradient at the model's input"}


@pytest.mark.parametrize("name", RECIPES.names())
def test_the_site_is_where_it_says(name, find, networks):
    """On a network whose classifier nobody can guess; images, which have places, are mixed at another stage."""
    if name in IMAGES:
        one, another = find([name, f"{name}:site=stage2"], network="resnet-8", width=4)
        assert np.abs(one - another).max() > 1e-5 * np.abs(one).max()
        return
    with pytest.raises(InputError, match="classifier"):
        find([name], network=f"{networks}:TwoHeads")
    if name in REFUSED:
        with pytest.raises(InputError, match=REFUSED[name]):
            find([f"{name}:site=model.main"], network=f"{networks}:TwoHeads")
    else:
        assert np.isfinite(find([f"{name}:site=model.main"], network=f"{networks}:TwoHeads")).all()


def test_every_option_that_is_set_is_in_the_record(find, tmp_path):
    """What a method's text says is what its record says: defaults are not in the way."""
    find(["mixup:alpha=0.3+vs:gamma=0.1:tau=0.5 >> tau_norm:tau=0.3"])
    record = next((tmp_path / "out" / "runs").glob("*/run.json")).read_text()
    for said in ('"alpha": 0.3', '"gamma": 0.1', '"tau": 0.5', '"tau": 0.3'):
        assert said in record
