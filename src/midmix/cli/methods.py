"""`midmix methods`: what can stand in a line of a comparison."""

from __future__ import annotations

import inspect

from rich.markup import escape
from rich.table import Table

from midmix import losses
from midmix.cli.console import console
from midmix.mixing import recipes
from midmix.mixing.recipes import RECIPES, recipe_options


def methods() -> None:
    """List the methods with their options, and the criteria that each goes with."""
    table = Table(title="Methods", title_justify="left", show_lines=True)
    for name in ("method", "what it does", "options"):
        table.add_column(name)
    for name in recipes():
        summary = (inspect.getdoc(RECIPES[name]) or "").split("\n\n")[0].replace("\n", " ")
        options = ", ".join(
            f"{option}={default}"
            for option, default in recipe_options(name).items()
            if option != "class_counts"
        )  # a comparison knows the counts by itself
        table.add_row(name, escape(summary), escape(options))
    console.print(table)
    console.print("Every method goes with every criterion:", ", ".join(losses.criteria()), highlight=False)
    console.print(
        "A line of a comparison: METHOD[:option=value…][+criterion], "
        "such as balanced-am-mixup:clean_weight=1+balanced_softmax",
        highlight=False,
        markup=False,
    )
