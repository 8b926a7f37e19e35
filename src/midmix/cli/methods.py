"""`midmix methods`: what a method is made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from rich.markup import escape
from rich.table import Table

from midmix.cli.console import console
from midmix.losses import LOSSES
from midmix.methods import BASELINES, HEADS, ORDERS, STAGES
from midmix.mixing.recipes import RECIPES, recipe_options
from midmix.registry import Registry, options_of

KINDS: tuple[tuple[str, Registry[Any]], ...] = (
    ("losses, behind +", LOSSES),
    ("orders of rows, behind +", ORDERS),
    ("heads, behind +", HEADS),
    ("second stages, behind >>", STAGES),
    ("baselines that are no networks, alone, where rows are features", BASELINES),
)


def methods() -> None:
    """List the parts that methods are made of: mixes, losses, orders, heads, second stages, with their options."""
    table = _table("mixes, first")
    for name in RECIPES.names():
        options = {k: v for k, v in recipe_options(name).items() if k != "class_counts"}
        _row(table, name, RECIPES.find(name), options)  # a comparison knows the counts by itself
    console.print(table)
    for title, registry in KINDS:
        table = _table(title)
        for name in registry.names():
            _row(table, name, registry.find(name), options_of(registry.find(name)))
        console.print(table)
    console.print(
        "A method: MIX[:option=value…][+PART[:option=value…]…][ >> STAGE[:option=value…]…], "
        "such as balanced-am-mixup:clean_weight=1+balanced_softmax or erm >> tau_norm:tau=0.7.\n"
        "A part of your own stands as module:function or path/to/file.py:function.",
        highlight=False,
        markup=False,
    )


def _table(title: str) -> Table:
    table = Table(title=title[0].upper() + title[1:], title_justify="left", show_lines=True)
    for name in ("name", "what it does", "options"):
        table.add_column(name)
    return table


def _row(table: Table, name: str, make: Callable[..., Any], options: dict[str, Any]) -> None:
    summary = (inspect.getdoc(make) or "").split("\n\n")[0].replace("\n", " ")
    shown = ", ".join(f"{option}={default}" for option, default in options.items())
    table.add_row(escape(name), escape(summary), escape(shown))
