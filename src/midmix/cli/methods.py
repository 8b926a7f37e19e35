"""`midmix methods`: what a method is made of."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from rich.markup import escape
from rich.table import Table

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
            console.print(_table(kind))
        console.print(
            "A method: MIX[:option=value…][+PART[:option=value…]…][ >> STAGE[:option=value…]…], "
            "such as balanced-am-mixup:clean_weight=1+balanced_softmax or erm >> tau_norm:tau=0.7.\n"
            "A part of your own stands as module:function or path/to/file.py:function. "
            "midmix methods NAME says all of one part.",
            highlight=False,
            markup=False,
        )
    elif name in KINDS:
        console.print(_table(name))
    else:
        found = {kind: registry for kind, (_, registry) in KINDS.items() if name in registry.names()}
        if not found:
            known = [part for _, registry in KINDS.values() for part in registry.names()]
            raise unknown("part of a method", name, (*KINDS, *known))
        for kind, registry in found.items():
            make = registry.find(name)
            shown = ", ".join(
                f"{option}={default}" for option, default in shown_options(kind, name, make).items()
            )
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


def _table(kind: str) -> Table:
    title, registry = KINDS[kind]
    table = Table(title=f"{kind.capitalize()}: {title}", title_justify="left", show_lines=True)
    for column in ("name", "what it does", "paper", "options"):
        table.add_column(column, no_wrap=column == "name")
    for name in registry.names():
        make = registry.find(name)
        text = inspect.getdoc(make) or ""
        paper = PAPER.search(text)
        options = ", ".join(f"{option}={value}" for option, value in shown_options(kind, name, make).items())
        what = text.split("\n\n")[0].replace("\n", " ")
        table.add_row(
            escape(name), escape(what), "" if paper is None else f"arXiv {paper[1]}", escape(options)
        )
    return table
