"""The figures of a page by name: one file each, or one entry point of an installed package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pandas as pd

from midmix.registry import Registry
from midmix.reports.comparison import Comparison
from midmix.reports.drawing import Drawing
from midmix.reports.subjects import Classes, Subject

if TYPE_CHECKING:
    from midmix.reports.figures.projection import Projection

Section = Literal["outcomes", "geometry"]


@dataclass(frozen=True)
class Material:
    """What a page has to draw from; what it lacks is None or empty, and figures that need it are left out.

    Attributes:
        subjects: the lines with their test outputs; one for a page about features alone.
        classes: names, training rows and groups.
        measured: a row per output with its `line` and measures of collapse.
        summary: what `summarise` found.
        comparison: the runs with their histories.
        projection: how features are drawn in two dimensions.
    """

    subjects: list[Subject]
    classes: Classes
    measured: pd.DataFrame = field(default_factory=pd.DataFrame)
    summary: pd.DataFrame | None = None
    comparison: Comparison | None = None
    projection: Projection = "pca"


@dataclass(frozen=True)
class Plot:
    """A figure as pages find it.

    Attributes:
        name: in the registry.
        section: of the page: after the results, or after the measures of collapse.
        order: its place in the section, from the top.
        draw: the drawing; None where the material lacks what it needs.
    """

    name: str
    section: Section
    order: float
    draw: Callable[[Material], Drawing | None]


FIGURES: Registry[Plot] = Registry("figure", "midmix.figures", package="midmix.reports.figures")
"""Every figure by name: ours are declared in the files of `midmix.reports.figures`, others by entry points
`midmix.figures` of installed packages, each of which names a `Plot`."""


def plot(
    name: str, section: Section, order: float
) -> Callable[[Callable[[Material], Drawing | None]], Callable[[Material], Drawing | None]]:
    """A decorator that declares one of ours."""

    def keep(draw: Callable[[Material], Drawing | None]) -> Callable[[Material], Drawing | None]:
        FIGURES.register(name=name)(Plot(name, section, order, draw))
        return draw

    return keep


def drawings(material: Material, section: Section | None = None) -> list[Drawing]:
    """The figures that can be drawn from this, in the order of a page; of one section, or of all."""
    found = [FIGURES.find(name) for name in FIGURES.names()]
    chosen = [one for one in found if section in (None, one.section)]
    chosen.sort(key=lambda one: (("outcomes", "geometry").index(one.section), one.order))
    return [drawn for one in chosen if (drawn := one.draw(material)) is not None]
