"""Test features in two dimensions, line by line on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch.nn.functional import normalize

from midmix.errors import InputError
from midmix.reports.drawing import Drawing, panel, shorten, slug
from midmix.reports.plots import Material, plot
from midmix.reports.subjects import Classes, Output, Subject
from midmix.reports.theme import ACCENT, CLASS_COLOURS, COLOURS, INK

Projection = Literal["pca", "umap"]
_ROWS = 700
"""A panel draws at most this many rows: more hide each other, and weigh down the page."""


def projection(subjects: Sequence[Subject], classes: Classes, method: Projection = "pca") -> Drawing | None:
    """The first seed's test features on the unit sphere, projected by PCA or UMAP; None where there are none.

    Raises:
        InputError: ``method="umap"`` without umap-learn.
    """
    known = [subject for subject in subjects if subject.outputs]
    if not known:
        return None
    placed = [_project(subject.outputs[0], method) for subject in known]
    limit = 1.05 * max(float(np.abs(points).max()) for points, _, _ in placed) or 1.0
    panels, tables = [], []
    for subject, (points, labels, note) in zip(known, placed, strict=True):

        def draw(
            figure: Figure, points: np.ndarray = points, labels: np.ndarray = labels, note: str = note
        ) -> None:
            axes = figure.subplots()
            _scatter(axes, points, labels, classes)
            axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.set_xlabel(note)

        panels.append(
            panel(
                f"projection-{subject.position}-{slug(subject.label)}",
                subject.label,
                4.7,
                draw,
                margins=(0.05, 0.05, 0.3, 0.0),
            )
        )
        tables.append(
            pd.DataFrame(
                {
                    "line": subject.label,
                    "class": np.take(list(classes.names), labels),
                    "x": points[:, 0],
                    "y": points[:, 1],
                }
            )
        )
    rows = max(len(subject.outputs[0].labels) for subject in known)
    beside = (
        f", first seed, each line projected by its own {method.upper()}, all on one scale"
        if len(known) > 1
        else ""
    )
    return Drawing(
        "projection",
        f"Features in two dimensions ({method.upper()})",
        f"Features scaled to length 1{beside}; {_colour_note(classes)} Classes that keep apart are better; classes "
        "shrunk to a point have collapsed, and a rare class inside a frequent one is lost. Two dimensions show a part "
        "of it: the measures see all." + (f" {_ROWS} of {rows:,} rows are drawn." if rows > _ROWS else ""),
        panels,
        pd.concat(tables, ignore_index=True),
    )


def _project(output: Output, method: Projection) -> tuple[np.ndarray, np.ndarray, str]:
    """(points [n, 2] centred on 0, their labels, what the axes are)."""
    features = normalize(output.features.double(), dim=1).numpy()
    labels = output.labels.numpy()
    if features.shape[1] < 2 or len(features) < 3:  # nothing to project: show what there is
        points = np.pad(features, ((0, 0), (0, max(0, 2 - features.shape[1]))))[:, :2]
        note = "the features themselves"
    elif method == "pca":
        from sklearn.decomposition import PCA  # half a second that pages without features need not pay

        pca = PCA(2, svd_solver="covariance_eigh").fit(features)
        points = pca.transform(features)
        note = f"{100 * np.nansum(pca.explained_variance_ratio_):.0f} % of the variance"
    else:
        points = _umap().fit_transform(features)
        note = "UMAP: neighbourhoods count, distances do not"
    points = points - points.mean(axis=0)
    if len(points) > _ROWS:
        kept = np.sort(np.random.default_rng(0).choice(len(points), _ROWS, replace=False))
        points, labels = points[kept], labels[kept]
    return points, labels, note


def check_projection(method: Projection) -> None:
    """Sees that the projection can be had, before what it is to show is made.

    Raises:
        InputError: ``method="umap"`` without umap-learn.
    """
    if method == "umap":
        _umap()


def _umap() -> Any:
    try:
        import umap
    except ImportError:
        raise InputError(
            "projection: UMAP is not installed; pip install 'midmix[umap]', or use pca"
        ) from None
    return umap.UMAP(n_components=2, random_state=0, n_jobs=1)


def _scatter(axes: Axes, points: np.ndarray, labels: np.ndarray, classes: Classes) -> None:
    """Points by class, named at their middle, where ten colours do; by group of classes beyond."""
    if len(classes) <= len(CLASS_COLOURS):
        for c in np.unique(labels):
            mine = points[labels == c]
            axes.plot(*mine.T, "o", color=CLASS_COLOURS[c][0], markersize=3.2, mew=0, alpha=0.6)
        for c in np.unique(labels):
            x, y = np.median(points[labels == c], axis=0)
            axes.text(
                x,
                y,
                shorten(classes.names[c], 14),
                ha="center",
                va="center",
                fontsize=10,
                weight="bold",
                color=INK,
            )
        return
    for group, members in (classes.shots or {"": range(len(classes))}).items():
        mine = points[np.isin(labels, list(members))]
        colour = COLOURS[group][0] if group in COLOURS else ACCENT
        axes.plot(*mine.T, "o", color=colour, markersize=3.2, mew=0, alpha=0.6, label=group)
    if classes.shots:
        axes.legend(loc="upper right", handletextpad=0, markerscale=2)


def _colour_note(classes: Classes) -> str:
    if len(classes) <= len(CLASS_COLOURS):
        return "a colour is a class, its name at the median of its rows."
    return "colours are the groups of classes." if classes.shots else "classes share one colour."


@plot("projection", "geometry", 3)
def _plot(material: Material) -> Drawing | None:
    return projection(material.subjects, material.classes, material.projection)
