"""The page about one set of features."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from midmix.measures import MEASURES, CollapseReport
from midmix.reports.columns import MINUS
from midmix.reports.figures.projection import Projection
from midmix.reports.plots import Material, drawings
from midmix.reports.rendering import publish_all, render, save
from midmix.reports.subjects import Classes, Output, Subject


def write_analysis(
    folder: Path | str,
    output: Output,
    found: CollapseReport,
    *,
    title: str,
    counts: np.ndarray | None = None,
    projection: Projection = "pca",
) -> Path:
    """Write ``report.html`` and ``figures/`` (SVG and CSV) about one set of features.

    Args:
        folder: where to; made if it is not there.
        output: features and labels, with logits where there are any.
        found: what ``midmix.measures.collapse_report`` says of them; its ``per_class`` names the classes.
        title: what the features are.
        counts: training rows a class ``[C]``; the rows of each class in ``output`` where they are not known.
        projection: ``"pca"`` or ``"umap"``.

    Returns:
        The page's path.

    Raises:
        InputError: UMAP is asked for and not installed.
    """
    folder = Path(folder)
    names = [str(name) for name in found.per_class["class"]]
    rows = np.bincount(output.labels.numpy(), minlength=len(names))
    classes = Classes(names, rows, unit="rows") if counts is None else Classes(names, counts)
    subjects = [Subject(0, title, [output])]
    measured = pd.DataFrame(
        {"line": [title], "margin_balance": [found.totals.get("margin_balance", math.nan)]}
    )
    material = Material(subjects, classes, measured, projection=projection)
    html = render(
        "analysis.html.j2",
        title=title,
        in_short=f"{len(output.labels):,} rows · {len(names)} classes · {output.features.shape[1]} features",
        totals=[
            {
                "name": MEASURES.find(name).heading,
                "value": f"{value:.4f}".replace("-", MINUS),
                "error": f"{found.standard_errors[name]:.4f}" if name in found.standard_errors else "",
                "better": MEASURES.find(name).better or "a state",
            }
            for name, value in found.totals.items()
        ],
        has_errors=bool(found.standard_errors),
        headings=[name.replace("_", " ") for name in found.per_class],
        rows=[[_text(value) for value in row] for row in zip(*found.per_class.values(), strict=True)],
        figures=publish_all(drawings(material), folder / "figures"),
    )
    return save(html, folder)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "–"
    return "–" if value is None else str(value)
