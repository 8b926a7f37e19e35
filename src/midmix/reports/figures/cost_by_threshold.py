"""Two classes: what decisions cost at every threshold, for several prices of a miss."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from midmix.measures import ThresholdCurve
from midmix.reports.decisions import ScoredLines, scored_lines, share_of
from midmix.reports.drawing import Drawing, panel
from midmix.reports.figures.axes import mark
from midmix.reports.plots import Material, plot
from midmix.reports.theme import MUTED, line_colour

LOG_ODDS = np.linspace(-7.0, 7.0, 141)
_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
_HIGHEST = 1.5
"""Costs above this, of the cheaper of always and never, are off the picture."""


def cost_by_threshold(found: ScoredLines) -> Drawing | None:
    """Cost against the threshold, a panel for each price of a miss; None where no line's probabilities are known."""
    scored = {
        line: known for line, runs in found.runs.items() if (known := [one for one in runs if one.calibrated])
    }
    if not scored:
        return None
    first = next(iter(scored.values()))[0].curve
    panels, tables = [], []
    for price in prices(first):
        costs = {
            line: np.mean([_relative_cost(one.curve, price) for one in runs], axis=0)
            for line, runs in scored.items()
        }
        marks = {line: float(np.interp(-math.log(price), LOG_ODDS, cost)) for line, cost in costs.items()}

        def draw(
            figure: Figure,
            costs: dict[str, np.ndarray] = costs,
            marks: dict[str, float] = marks,
            price: float = price,
        ) -> None:
            axes = figure.subplots()
            axes.axhline(1, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
            axes.axvline(-math.log(price), color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
            for subject in found.subjects:
                line, position = subject.label, subject.position
                if line in costs:
                    axes.plot(LOG_ODDS, costs[line], color=line_colour(position), linewidth=1.6, label=line)
                    mark(axes, -math.log(price), marks[line], position, filled=True)
            axes.set(xlim=(-7, 7), ylim=(0, _HIGHEST), xlabel="threshold of the probability, % (log-odds)")
            axes.set_ylabel("relative cost")
            axes.xaxis.set_major_locator(FixedLocator([math.log(p / (1 - p)) for p in _TICKS]))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 / (1 + math.exp(-x)):.3g}"))

        panels.append(panel(f"cost-{price:g}", _priced(price), 3.3, draw, legend=found.subjects))
        tables += [
            pd.DataFrame(
                {
                    "line": line,
                    "a miss costs": price,
                    "threshold": 1 / (1 + np.exp(-LOG_ODDS)),
                    "relative cost": cost,
                    "seeds": len(scored[line]),
                }
            )
            for line, cost in costs.items()
        ]
    left_out = [line for line in found.runs if line not in scored]
    return Drawing(
        "cost-by-threshold",
        "Cost by threshold",
        f"What decisions cost where a row of {found.positive!r} missed costs so many false alarms, against "
        "the probability above which it is decided. Lower is better; 1 is what deciding the same for every "
        "row costs. The mark, on the dotted line, is where a line operates: the threshold that is best where its "
        "probabilities are true, 1 / (1 + the price of a miss). The farther it lies above the lowest point of its "
        "curve, which is known in hindsight only, the falser they are. Probabilities are for the training data's "
        f"prior; of the test rows {share_of(first):.1%} are of the class."
        + (" Means over seeds." if any(len(runs) > 1 for runs in scored.values()) else "")
        + (f" Not known, and left out: {', '.join(left_out)}." if left_out else ""),
        panels,
        pd.concat(tables, ignore_index=True),
        legend=True,
    )


def prices(curve: ThresholdCurve) -> list[float]:
    """Of a miss, in false alarms: 1, 10, and what makes both classes count alike.

    Example:
        >>> import torch
        >>> from midmix.measures import threshold_curve
        >>> prices(threshold_curve(torch.arange(50.0), torch.arange(50) > 48))
        [1, 10, 49]
    """
    even = max(1, round(curve.negatives / max(curve.positives, 1)))
    return sorted({1, 10, even}) if not 5 <= even <= 20 else sorted({1, even})


def _relative_cost(curve: ThresholdCurve, price: float) -> np.ndarray:
    """Cost at the thresholds `LOG_ODDS`, relative to the cheaper of always and never."""
    # thresholds fall, so those above x come first; a row is decided where its log-odds are above x
    above = np.searchsorted(-curve.threshold.numpy(), -LOG_ODDS, side="left")
    hits = np.concatenate(([0.0], curve.hits.numpy()))[above]
    alarms = np.concatenate(([0.0], curve.alarms.numpy()))[above]
    least = min(price * curve.positives, curve.negatives)
    cost: np.ndarray = (price * (curve.positives - hits) + alarms) / (least or math.nan)
    return cost


def _priced(price: float) -> str:
    return "A miss costs as much as a false alarm" if price == 1 else f"A miss costs {price:g} false alarms"


@plot("cost-by-threshold", "outcomes", 1.2)
def _cost_by_threshold(material: Material) -> Drawing | None:
    found = None if material.comparison is None else scored_lines(material.comparison)
    return None if found is None else cost_by_threshold(found)
