"""How far the classes' centres lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from midmix.measures import centre_distances
from midmix.reports.drawing import Drawing
from midmix.reports.figures.heat import HeatMap, ordering_note
from midmix.reports.plots import Material, plot
from midmix.reports.subjects import Classes, Output, Subject, over_seeds


def centres(subjects: Sequence[Subject], classes: Classes) -> Drawing | None:
    """Distance of every two class centres on the unit sphere, mean over seeds; None where no features are known."""
    known = [subject for subject in subjects if subject.outputs]
    if not known or len(classes) < 2:
        return None
    matrices = [
        np.mean([_distances(output, len(classes)) for output in subject.outputs], axis=0) for subject in known
    ]
    farthest = max(float(np.nanmax(matrix, initial=0.0)) for matrix in matrices) or 1.0
    heat = HeatMap(
        "centres", classes, "class", "other class", "distance of the centres (2 is opposite)", farthest
    )
    return Drawing(
        "centres",
        "Distances of the class centres",
        "Distance of two classes' mean directions in feature space, all on one scale. More colour is "
        "better: the classes are farther apart. A pale square in the lower right corner is rare classes that have "
        f"fallen together. {ordering_note(classes)}{over_seeds(subjects)}",
        [heat.panel(subject, matrix) for subject, matrix in zip(known, matrices, strict=True)],
        pd.concat([heat.numbers(*pair) for pair in zip(known, matrices, strict=True)], ignore_index=True),
    )


def _distances(output: Output, classes: int) -> np.ndarray:
    """``[C, C]``; NaN for a class that the test split lacks, and on the diagonal: a class has none to itself."""
    found = centre_distances(output.features, output.labels).numpy()
    matrix = np.full((classes, classes), np.nan)
    matrix[: len(found), : len(found)] = found
    np.fill_diagonal(matrix, np.nan)
    return matrix


@plot("centres", "geometry", 4)
def _plot(material: Material) -> Drawing | None:
    if len(material.classes) == 2:
        return None  # one distance, which is the class uniformity
    return centres(material.subjects, material.classes)
