"""How far each class is from being called another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from midmix.measures import margins as class_margins
from midmix.reports.drawing import Drawing, Panel, panel
from midmix.reports.figures.by_class import by_class, curves
from midmix.reports.figures.dots import beside_names, dots
from midmix.reports.plots import Material, plot
from midmix.reports.subjects import Classes, Subject, over_seeds
from midmix.reports.theme import MUTED


def margins(subjects: Sequence[Subject], classes: Classes, measured: pd.DataFrame) -> Drawing | None:
    """Mean margin per class, and the balance per line; None where no logits or counts are known.

    ``measured`` has a row per output with its ``line`` and ``margin_balance``.
    """
    numbers = by_class(subjects, classes, "margin", _means) if len(classes) > 1 else None
    if numbers is None:
        return None

    def draw_classes(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        curves(axes, numbers, subjects, classes, "margin")
        axes.set_ylabel("mean margin of the class, logits")

    panels: list[Panel] = [
        panel("margins-by-class", "Margin of each class", 3.3, draw_classes, legend=subjects)
    ]
    if len(subjects) > 1 and "margin_balance" in measured:

        def draw_balance(figure: Figure) -> None:
            values = {
                s.label: measured.loc[measured["line"] == s.label, "margin_balance"].to_numpy()
                for s in subjects
            }
            axes = dots(figure, subjects, values)
            axes.axvline(0, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
            axes.set_xlabel("smallest / largest class margin")

        panels.append(
            panel(
                "margins-balance", "Balance of the margins", 3.3, draw_balance, margins=beside_names(subjects)
            )
        )
    return Drawing(
        "margins",
        "Margins and their balance",
        "A margin is the true class's logit minus the largest other; below 0 a class is wrong on average. Higher is "
        "safer, but logits have no common unit: between lines compare the shape, where flat is better. The balance is "
        "the smallest class margin over the largest: nearer to 1 is better, below 0 some class is lost."
        + over_seeds(subjects),
        panels,
        numbers,
        legend=True,
    )


def _means(logits: Tensor, labels: Tensor) -> np.ndarray:
    return class_margins(logits, labels).mean.numpy()


@plot("margins", "geometry", 2)
def _plot(material: Material) -> Drawing | None:
    return margins(material.subjects, material.classes, material.measured)
