"""Colours, markers and type, the same for page and figures, for light and dark.

Figures are drawn in the light colours. On the page each of these becomes a CSS variable (see ``svg``), so they follow
the reader's light or dark mode; a figure's own file keeps the light colours, ready for a paper.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import matplotlib as mpl

# name → (light, dark). Light values are distinct: a figure's colour names its variable.
COLOURS = {
    "ink": ("#1c2024", "#e8eaed"),
    "muted": ("#606873", "#a0a8b3"),
    "rule": ("#d8dce1", "#32383f"),
    "accent": ("#1a6fb0", "#5aaeea"),
    "many": ("#1b7a8c", "#4bb8cc"),
    "medium": ("#8a6fb8", "#b49ae0"),
    "few": ("#c2503c", "#f2826c"),
}
# Okabe and Ito's hues, darkened for white paper and lightened for a dark page; the baseline is the neutral one.
LINE_COLOURS = (
    ("#5b6470", "#b3bbc6"),
    ("#0a66a8", "#5cb0f0"),
    ("#c27a00", "#f0b445"),
    ("#b34f8d", "#e592c3"),
    ("#00805c", "#35cba0"),
    ("#c4420c", "#ff8350"),
    ("#6746a6", "#b79cf2"),
    ("#7d6c10", "#d8c84c"),
)
# Ten classes at most are told apart by colour (after Paul Tol's muted scheme), more by group.
CLASS_COLOURS = (
    ("#332288", "#9a8df0"),
    ("#3f9fd0", "#88ccee"),
    ("#2f8f82", "#55bbaa"),
    ("#117733", "#4cbf70"),
    ("#85852a", "#b5b550"),
    ("#b89a3a", "#ddcc77"),
    ("#c05566", "#e08895"),
    ("#882255", "#cc6f9d"),
    ("#a8409a", "#d080c8"),
    ("#77706a", "#b0a8a0"),
)
MARKERS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "h": "⬢"}
"""Matplotlib's marker → the character that stands for it in the page's legend."""

_PALETTE = {
    **COLOURS,
    **{f"line-{i}": pair for i, pair in enumerate(LINE_COLOURS)},
    **{f"class-{i}": pair for i, pair in enumerate(CLASS_COLOURS)},
}
VARIABLES = {light: f"var(--{name})" for name, (light, _) in _PALETTE.items()}
"""A figure's light colour → the page's CSS variable."""

INK, MUTED, RULE, ACCENT = (COLOURS[name][0] for name in ("ink", "muted", "rule", "accent"))


def variables(*, dark: bool) -> str:
    """The CSS declarations of every colour, light or dark."""
    return " ".join(f"--{name}: {pair[dark]};" for name, pair in _PALETTE.items())


def line_colour(position: int) -> str:
    """The colour of the line in this position of the comparison, in every figure."""
    return LINE_COLOURS[position % len(LINE_COLOURS)][0]


def line_marker(position: int) -> str:
    """The marker that goes with it: identity never rests on colour alone, nor on eight colours."""
    return tuple(MARKERS)[(position + position // len(MARKERS)) % len(MARKERS)]


@contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib's settings for a figure: text stays text, names are never read as formulas, output is repeatable."""
    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": "midmix",
        "text.parse_math": False,
        "font.size": 11,
        "axes.titlesize": 11,
        "axes.labelsize": 11,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "legend.fontsize": 10,
        "legend.frameon": False,
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": MUTED,
        "axes.linewidth": 0.8,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "grid.color": RULE,
        "grid.linewidth": 0.8,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
    }
    with mpl.rc_context(cast(Any, settings)):
        yield
