"""The figures that need nothing but features, labels and, some of them, logits."""

from __future__ import annotations

from collections.abc import Sequence

from midmix.reports.drawing import Drawing
from midmix.reports.figures.centres import centres
from midmix.reports.figures.confusion import confusion
from midmix.reports.figures.projection import Projection
from midmix.reports.figures.projection import projection as projected
from midmix.reports.figures.reliability import reliability
from midmix.reports.subjects import Classes, Subject


def of_features(
    subjects: Sequence[Subject], classes: Classes, projection: Projection
) -> tuple[Drawing | None, ...]:
    """Projection, distances of the centres, reliability and confusion, in a page's order."""
    return (
        projected(subjects, classes, projection),
        centres(subjects, classes),
        reliability(subjects),
        confusion(subjects, classes),
    )
