"""Two classes: precision against recall at every threshold, with the points where lines operate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from midmix.measures import ThresholdCurve
from midmix.reports.decisions import Scored, ScoredLines, scored_lines, share_of
from midmix.reports.drawing import Drawing, panel
from midmix.reports.figures.axes import mark, percent
from midmix.reports.plots import Material, plot
from midmix.reports.theme import MUTED, line_colour
from midmix.training.rule import AIM_ACCURACY, AIM_BALANCED, AS_TRAINED

RECALLS = np.linspace(0.01, 1.0, 100)
_FILLED = {AIM_ACCURACY: True, AIM_BALANCED: False}
KNOWN = (AS_TRAINED, *_FILLED)


def precision_recall(found: ScoredLines) -> Drawing:
    """Precision against recall, a curve a line, with what is decided for the aims."""
    scored = found.runs
    curves = {
        line: np.mean([_precision_at(one.curve) for one in runs], axis=0) for line, runs in scored.items()
    }
    points = {line: _points(runs) for line, runs in scored.items()}
    share = float(np.mean([share_of(one.curve) for runs in scored.values() for one in runs]))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axhline(share, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for subject in found.subjects:
            line, position = subject.label, subject.position
            if line not in curves:
                continue
            axes.plot(RECALLS, curves[line], color=line_colour(position), linewidth=1.6, label=line)
            for way, (recall, precision) in points[line].items():
                mark(axes, recall, precision, position, filled=_FILLED.get(way, False))
                if way not in KNOWN:
                    axes.annotate("stated", (recall, precision), (5, 5), textcoords="offset points")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), xlabel="recall, %", ylabel="precision, %")
        percent(axes.xaxis)
        percent(axes.yaxis)

    stated = [way for own in points.values() for way in own if way not in KNOWN]
    return Drawing(
        "precision-recall",
        "Precision and recall by threshold",
        f"Of the rows decided to be {found.positive!r}, the share that is (precision), against the share of all its "
        "rows that is found (recall), from the highest threshold on the left to the lowest. Higher is better. Each "
        "line operates at its marks: filled, deciding for overall accuracy; hollow, for balanced accuracy (both under "
        "the training data's prior; where that cannot be, by the larger logit)"
        + (f"; by its name, what was stated, {stated[0]}" if stated else "")
        + ". The marks of one line differ in the threshold "
        f"alone. The dashed line, {share:.1%}, is what drawing lots comes to."
        + (" Means over seeds." if any(len(runs) > 1 for runs in scored.values()) else ""),
        [panel("precision-recall", "", 3.6, draw, legend=found.subjects)],
        pd.concat([_curve_table(line, curves[line], points[line]) for line in scored], ignore_index=True),
        legend=True,
    )


def _precision_at(curve: ThresholdCurve) -> np.ndarray:
    """Precision at the highest threshold that reaches each of `RECALLS`; NaN without a row of the class."""
    recall, precision = curve.recall.numpy(), curve.precision.numpy()
    if not curve.positives:
        return np.full(len(RECALLS), np.nan)
    found: np.ndarray = precision[np.searchsorted(recall, RECALLS - 1e-9)]
    return found


def _points(runs: Sequence[Scored]) -> dict[str, tuple[float, float]]:
    """Mean recall and precision of the aims; of the larger logit where the runs have no aims."""
    ways = list(_FILLED) if all(one.calibrated for one in runs) else [AS_TRAINED]
    ways += [way for way in runs[0].points if way not in KNOWN]
    return {
        way: (
            float(np.mean([one.points[way][0] for one in runs])),
            float(np.mean([one.points[way][1] for one in runs])),
        )
        for way in ways
    }


def _curve_table(line: str, curve: np.ndarray, points: dict[str, tuple[float, float]]) -> pd.DataFrame:
    whole = pd.DataFrame({"line": line, "point": "curve", "recall": RECALLS, "precision": curve})
    marked = pd.DataFrame(
        [
            {"line": line, "point": way, "recall": recall, "precision": precision}
            for way, (recall, precision) in points.items()
        ]
    )
    return pd.concat([whole, marked], ignore_index=True)


@plot("precision-recall", "outcomes", 1.1)
def _precision_recall(material: Material) -> Drawing | None:
    found = None if material.comparison is None else scored_lines(material.comparison)
    return None if found is None else precision_recall(found)
