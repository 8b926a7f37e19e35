"""One way from a seed to the random streams of a run."""

from __future__ import annotations

ORDER, DRAWS, TORCH, LOSS, TEST_ROWS, PARTS = 0, 1, 1000, 2000, 3000, 4000
"""Streams: the order of rows (with the epoch), the draws of a process (plus its rank), torch's own (plus its rank), the
first weights of what a loss learns, the test rows of a source that has no test split of its own, and which part of an
image is seen (with the epoch and the view)."""


def stream(seed: int, *parts: int) -> int:
    """A seed for one of a run's random streams; different parts give unrelated streams.

    Example:
        >>> stream(0, ORDER, 1) != stream(0, ORDER, 2)
        True
    """
    # The multiplier is that of PCG-64: odd and well mixed, so that neighbouring seeds part at once.
    state = 0
    for part in (seed, *parts):
        state = (state * 6364136223846793005 + part + 1442695040888963407) % 2**63
    return state
