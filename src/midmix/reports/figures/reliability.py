"""Does confidence mean what it says."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from matplotlib.figure import Figure

from midmix.measures import ReliabilityBins, reliability_bins
from midmix.reports.drawing import Drawing, panel, slug
from midmix.reports.figures.axes import percent
from midmix.reports.plots import Material, plot
from midmix.reports.subjects import Subject, over_seeds
from midmix.reports.theme import MUTED, line_colour, line_marker

IMPOSSIBLE = -1e4
"""Log-probability, in place of -∞, of a class without a row among those that are tested."""
_LEAST_SHARE = 0.002
"""A bin of a handful of rows says nothing: the CSV has it, the curve does not."""


def reliability(subjects: Sequence[Subject]) -> Drawing | None:
    """Accuracy against confidence in 15 bins, the rows of all seeds together; None where no logits are known."""
    panels, tables = [], []
    for subject in subjects:
        if not subject.with_logits:
            continue
        judged, labels = (torch.cat(parts) for parts in zip(*subject.judged, strict=True))
        bins = reliability_bins(judged.nan_to_num(neginf=IMPOSSIBLE), labels)

        def draw(figure: Figure, subject: Subject = subject, bins: ReliabilityBins = bins) -> None:
            _diagram(figure, bins, subject.position)

        panels.append(
            panel(
                f"reliability-{subject.position}-{slug(subject.label)}",
                subject.label,
                4.1,
                draw,
                margins=(0.6, 0.1, 0.55, 0.1),
            )
        )
        tables.append(
            pd.DataFrame(
                {
                    "line": subject.label,
                    "from": bins.edges[:-1].numpy(),
                    "to": bins.edges[1:].numpy(),
                    "rows": bins.count.numpy(),
                    "confidence": bins.confidence.numpy(),
                    "accuracy": bins.accuracy.numpy(),
                }
            )
        )
    if not panels:
        return None
    return Drawing(
        "reliability",
        "Reliability diagrams",
        "Accuracy of the rows that a network is about equally sure of; the bars at the foot are their share of all "
        f"rows (points with less than {_LEAST_SHARE:.1%} of them are left out). Nearer to the diagonal is better: a "
        "network below it is too sure, one above it not sure enough. The gap, weighted by rows, is the calibration "
        "error (ECE), where lower is better. As in the tables, probabilities are for the shares of the classes among "
        "the test rows, where it is known which prior a line's logits answer for, and of softmax elsewhere."
        + (" The rows of all seeds are taken together." if over_seeds(subjects) else ""),
        panels,
        pd.concat(tables, ignore_index=True),
    )


def _diagram(figure: Figure, bins: ReliabilityBins, position: int) -> None:
    axes = figure.subplots()
    colour = line_colour(position)
    share = (bins.count / bins.count.sum().clamp(min=1)).numpy()
    filled = share >= _LEAST_SHARE
    middles = ((bins.edges[:-1] + bins.edges[1:]) / 2).numpy()
    axes.bar(middles, share / 4, width=0.9 / len(middles), color=MUTED, alpha=0.35, linewidth=0)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    confidence, accuracy = bins.confidence.numpy()[filled], bins.accuracy.numpy()[filled]
    axes.fill_between(confidence, accuracy, confidence, color=colour, alpha=0.18, linewidth=0)
    axes.plot(confidence, accuracy, color=colour, marker=line_marker(position), markersize=5, linewidth=1.6)
    axes.text(0.03, 0.97, f"ECE {bins.error:.3f}", va="top", transform=axes.transAxes)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence, %", ylabel="accuracy, %", aspect="equal")
    percent(axes.xaxis)
    percent(axes.yaxis)


@plot("reliability", "geometry", 5)
def _plot(material: Material) -> Drawing | None:
    return reliability(material.subjects)
