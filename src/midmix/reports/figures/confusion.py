"""Which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from midmix.measures import confusion_matrix
from midmix.reports.drawing import Drawing
from midmix.reports.figures.heat import HeatMap, ordering_note
from midmix.reports.plots import Material, plot
from midmix.reports.subjects import Classes, Subject, over_seeds


def confusion(subjects: Sequence[Subject], classes: Classes) -> Drawing | None:
    """Share of each true class's rows by predicted class, mean over seeds; None where no logits are known."""
    known = [subject for subject in subjects if subject.with_logits]
    if not known:
        return None
    matrices = [
        100 * np.mean([_shares(confusion_matrix(*pair).numpy()) for pair in subject.with_logits], axis=0)
        for subject in known
    ]
    scale = "share of the true class's rows, %"
    heat = HeatMap("confusion", classes, "true class", "predicted class", scale, 100.0, written_from=4.5)
    return Drawing(
        "confusion",
        "Confusion matrices",
        "Each row is a true class, each column the class it was taken for. A strong diagonal is "
        "better. Colour at the left, below the diagonal, is rare classes taken for frequent ones. "
        f"{ordering_note(classes)}{over_seeds(subjects)}",
        [heat.panel(subject, matrix) for subject, matrix in zip(known, matrices, strict=True)],
        pd.concat([heat.numbers(*pair) for pair in zip(known, matrices, strict=True)], ignore_index=True),
    )


def _shares(matrix: np.ndarray) -> np.ndarray:
    rows = matrix.sum(axis=1, keepdims=True)
    shares: np.ndarray = np.divide(matrix, rows, out=np.full(matrix.shape, np.nan), where=rows > 0)
    return shares


@plot("confusion", "geometry", 6)
def _plot(material: Material) -> Drawing | None:
    return confusion(material.subjects, material.classes)
