"""Habits of axes that figures share."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from midmix.reports.drawing import shorten


def percent(axis: Axis) -> None:
    """Show fractions in percent; the axis label says the unit."""
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=""))


def log_counts(axes: Axes) -> None:
    """A log scale of row counts along x, with plain numbers at 1, 2, 5, 10, 20, …"""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else ""))


def legend_below(figure: Figure, axes: Axes) -> None:
    """The lines' names under the picture, where they fit on a phone."""
    handles, labels = axes.get_legend_handles_labels()
    labels = [shorten(label, 44) for label in labels]
    columns = 1 if max(map(len, labels), default=0) > 24 else 2
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, handlelength=1.8)
