"""`midmix methods`: what a method is made of."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from midmix.cli.console import console
from midmix.errors import unknown
from midmix.losses import LOSSES
from midmix.methods import BASELINES, HEADS, ORDERS, STAGES
from midmix.mixing.recipes import RECIPES, recipe_options
from midmix.registry import Registry, options_of

KINDS: dict[str, tuple[str, Registry[Any]]] = {
    "mixes": ("first", RECIPES),
    "losses": ("behind +", LOSSES),
    "orders": ("of rows, behind +", ORDERS),
    "heads": ("behind +", HEADS),
    "stages": ("second stages, behind >>", STAGES),
    "baselines": ("that are no networks, alone, where rows are features", BASELINES),
}
PAPER = re.compile(r"arXiv\s+(\d{4}\.\d{4,5})")
CITED = re.compile(r" \([^()]*arXiv\s+\d{4}\.\d{4,5}[^()]*\)")
"""A citation in a sentence, whose number stands below it."""


def methods(name: str | None = None, /) -> None:
    """List the parts that methods are made of: mixes, losses, orders, heads, second stages, with their options.

    Parameters
    ----------
    name
        A kind (mixes, losses, orders, heads, stages, baselines), or a part, whose whole description is shown.
        [default: all kinds]
    """
    if name is None:
        for kind in KINDS:
            console.print(_list(kind))
        console.print(
            "A method: MIX[:option=value…][+PART[:option=value…]…][ >> STAGE[:option=value…]…], "
            "such as balanced-am-mixup:clean_weight=1+balanced_softmax or erm >> tau_norm:tau=0.7.\n"
            "A part of your own stands as module:function or path/to/file.py:function. "
            "midmix methods NAME says all of one part.",
            highlight=False,
            markup=False,
        )
    elif name in KINDS:
        console.print(_list(name))
    else:
        found = {kind: registry for kind, (_, registry) in KINDS.items() if name in registry.names()}
        if not found:
            known = {part for _, registry in KINDS.values() for part in registry.names()}
            raise unknown("part of a method", name, known | KINDS.keys())
        for kind, registry in found.items():
            make = registry.find(name)
            shown = _said(shown_options(kind, name, make))
            text = inspect.getdoc(make) or ""
            console.print(
                f"{name}, one of the {kind}; options: {shown or 'none'}\n\n{text}\n",
                highlight=False,
                markup=False,
            )


def shown_options(kind: str, name: str, make: Callable[..., Any]) -> dict[str, Any]:
    """The options that a method's text may give to a part, with their defaults."""
    if kind != "mixes":
        return options_of(make)
    # A comparison knows the counts by itself.
    return {option: value for option, value in recipe_options(name).items() if option != "class_counts"}


def _list(kind: str) -> Group:
    """A kind's parts, each with a line on what it does, and one with its paper and its options."""
    title, registry = KINDS[kind]
    parts = {name: registry.find(name) for name in registry.names()}
    options = {name: shown_options(kind, name, make) for name, make in parts.items()}
    common = _in_all([found for found in options.values() if len(found) > 1]) if kind == "mixes" else {}
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, make in parts.items():
        text = inspect.getdoc(make) or ""
        paper = PAPER.search(text)
        own = {
            option: value
            for option, value in options[name].items()
            if option not in common or value != common[option]
        }
        below = ("" if paper is None else f"arXiv {paper[1]}", _said(own))
        what = Text(CITED.sub("", text.split("\n\n")[0].replace("\n", " ")))
        if any(below):
            what.append("\n" + "; ".join(filter(None, below)), style="dim")
        table.add_row(Text(name, style="bold"), what)
    heading = Text(f"{kind.capitalize()}, {len(parts)}: {title}", style="bold underline")
    shared = (
        [Text(f"Each takes {_said(common)} too, where nothing else is said.", style="dim")] if common else []
    )
    return Group(heading, *shared, table, "")


def _in_all(options: list[dict[str, Any]]) -> dict[str, Any]:
    """The options that all have, with the default that most of them have."""
    names = [name for name in options[0] if all(name in found for found in options)]
    return {name: Counter(found[name] for found in options).most_common(1)[0][0] for name in names}


def _said(options: dict[str, Any]) -> str:
    return ", ".join(f"{option}={value}" for option, value in options.items())
