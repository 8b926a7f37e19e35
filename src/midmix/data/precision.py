"""What is lost where numbers of 64 bits become features of 32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from midmix.data.labels import listing

MOST_ROWS = 4096
"""So many rows, evenly spaced, tell whether a column's differences are lost."""


def looked_at(rows: int) -> np.ndarray:
    """Indices of the rows by which a column is judged, sorted, at most `MOST_ROWS`."""
    return np.arange(rows) if rows <= MOST_ROWS else np.linspace(0, rows - 1, MOST_ROWS).astype(np.int64)


def merged(values: np.ndarray) -> np.ndarray:
    """Of each column, whether `float32` leaves at most half of its different values different.

    Random numbers of 53 bits lose a few of thousands by chance; a column with a large constant in it loses nearly all:
    beyond 2^24 ≈ 1.7·10^7, `float32` is coarser than 1.

    Args:
        values: numbers `[N, D]` of more than 24 bits.

    Example:
        >>> values = np.array([[0.1], [0.2], [0.3]])
        >>> merged(np.hstack([values, values + 1e8, np.full((3, 1), 1e8)])).tolist()
        [False, True, False]
    """
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    lost: np.ndarray = _different(rounded) * 2 <= _different(values)
    return lost


def _different(values: np.ndarray) -> np.ndarray:
    """How many different values each column has."""
    ordered = np.sort(values, axis=0)
    different: np.ndarray = 1 + (ordered[1:] != ordered[:-1]).sum(0)
    return different


def note_merged(columns: Sequence[str]) -> tuple[str, ...]:
    """A note on the columns whose differences are lost, if there are any."""
    if not columns:
        return ()
    return (
        f"features whose differences are lost, as numbers of 32 bits keep some 7 digits: {listing(columns)}; subtract "
        "what their values have in common, the same from rows to predict",
    )
