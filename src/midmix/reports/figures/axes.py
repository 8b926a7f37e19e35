"""Habits of axes that figures share."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from midmix.reports.theme import line_colour, line_marker


def percent(axis: Axis) -> None:
    """Show fractions in percent; the axis label says the unit."""
    axis.set_major_formatter(PercentFormatter(1.0, decimals=None, symbol=""))


def log_counts(axes: Axes) -> None:
    """A log scale of row counts along x, with plain numbers at 1, 2, 5, 10, 20, …"""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else ""))


def mark(axes: Axes, x: float, y: float, position: int, *, filled: bool = True) -> None:
    """The marker of the line in this position of the comparison, by itself; hollow where it is not filled."""
    colour = line_colour(position)
    axes.plot(
        [x],
        [y],
        marker=line_marker(position),
        markersize=7,
        color=colour,
        markerfacecolor=colour if filled else "none",
        markeredgewidth=1.6,
        linestyle="none",
        zorder=4,
    )


def name_room(names: Sequence[str], size: float = 9) -> float:
    """Inches that the longest of these names takes beside an axis, at a font size in points.

    Example:
        >>> round(name_room(["erm", "balanced-am-mixup"]), 2)
        1.25
    """
    return 0.0082 * size * max(map(len, names), default=0)
