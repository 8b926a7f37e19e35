"""Accuracy per class against its number of training rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from midmix.measures import confusion_matrix
from midmix.reports.drawing import Drawing, panel
from midmix.reports.figures.axes import percent
from midmix.reports.figures.by_class import BINS, by_class, curves
from midmix.reports.plots import Material, plot
from midmix.reports.subjects import Classes, Subject, over_seeds


def accuracy_by_count(subjects: Sequence[Subject], classes: Classes) -> Drawing | None:
    """Who pays for the tail, and who gains: a curve per line; None where no logits or counts are known."""
    numbers = by_class(subjects, classes, "accuracy", _accuracy)
    if numbers is None:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        curves(axes, numbers, subjects, classes, "accuracy")
        axes.set_ylabel("accuracy of the class, %")
        percent(axes.yaxis)
        axes.set_ylim(-0.03, 1.03)

    dots = (
        " A dot is a class; the curve runs through means of neighbouring classes."
        if len(classes) > BINS
        else ""
    )
    return Drawing(
        "accuracy-by-count",
        f"Accuracy per class against its {classes.unit}",
        "Higher is better; a flat curve treats rare and frequent classes alike."
        + over_seeds(subjects)
        + dots,
        [panel("accuracy-by-count", "", 3.3, draw, legend=subjects)],
        numbers,
        legend=True,
    )


def _accuracy(logits: Tensor, labels: Tensor) -> np.ndarray:
    matrix = confusion_matrix(logits, labels).numpy()
    rows = matrix.sum(axis=1)
    accuracy: np.ndarray = np.divide(
        matrix.diagonal(), rows, out=np.full(len(matrix), np.nan), where=rows > 0
    )
    return accuracy


@plot("accuracy-by-count", "outcomes", 1)
def _plot(material: Material) -> Drawing | None:
    if len(material.classes) == 2:
        return None  # two points a line, which the tables of decisions have
    return accuracy_by_count(material.subjects, material.classes)
