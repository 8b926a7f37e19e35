"""Row by row outcomes of the runs that kept their test outputs: what intervals that count the test rows are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from midmix.measures import MEASURES, Outputs
from midmix.reports.comparison import Comparison, test_rows_in
from midmix.studies.statistics import Interval, crossed, nested, over_seeds


class RunKey(NamedTuple):
    """Which run of a line."""

    seed: int
    split: str


class Rows(NamedTuple):
    """One run's outcomes in one measure, ``[N]`` each."""

    values: np.ndarray
    weights: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class Tested:
    """A run's outputs on its test rows."""

    outputs: Outputs
    rows: str
    """Which rows these are: alike for runs that were tested on the same."""
    pool: int | None
    """Rows of the whole table that test rows are drawn from anew for each seed."""
    numbers: np.ndarray | None = None
    """Which of these they are; None where that is not known, or they are the same for all seeds."""

    def of(self, measure: str) -> Rows | None:
        """Row by row; None for a measure that is no mean over rows, or that these outputs do not allow."""
        if measure not in MEASURES.names():
            return None
        found = MEASURES.find(measure)
        if found.rows is None or not found.needs <= self.outputs.given:
            return None
        values, weights = found.rows(self.outputs)
        return Rows(values.double().numpy(), weights.double().numpy(), self.outputs.labels.numpy())


TestedRuns = Mapping[str, Mapping[RunKey, Tested]]
"""Line → run → its outputs at the last epoch."""


def tested_runs(comparison: Comparison) -> TestedRuns:
    """The runs that kept their test outputs."""
    found: dict[str, dict[RunKey, Tested]] = {line: {} for line in comparison.lines}
    for run in comparison.runs:
        if run.output is None or run.output.logits is None:
            continue
        outputs = Outputs(
            run.output.labels.long(),
            run.output.logits,
            torch.from_numpy(run.counts),
            log_probabilities=run.output.log_probabilities,  # whose likelihood the results hold
        )
        key = RunKey(run.seed, str(run.about.get("split_hash", "")))
        # Records of old name no test rows; all seeds of a comparison shared one split then.
        rows = str(run.about.get("test_rows", ""))
        if run.about.get("splits") == "drawn":
            rows += f", seed {run.seed}"
        numbers = test_rows_in(run.folder / "test.npz")
        found[run.line][key] = Tested(outputs, rows, pool_of(run.about), numbers)
    return found


def pool_of(about: Mapping[str, Any]) -> int | None:
    """Rows of the whole table, training and test, by a run's record; None where it does not say."""
    parts = [str(about.get(name, "")).split(" ")[0] for name in ("train_rows", "test_rows")]
    return sum(map(int, parts)) if all(part.isdecimal() for part in parts) else None


def interval_of(
    values: Mapping[RunKey, float],
    runs: Mapping[RunKey, Tested],
    measure: str,
    against: Mapping[RunKey, Tested] | None = None,
    confidence: float = 0.95,
) -> tuple[Interval, int]:
    """The interval of the mean of a measure over its runs, or of the difference ``against`` another line's runs.

    Seeds and test rows count where every run kept its outputs and these give the value that the results hold; seeds
    alone otherwise.

    Returns:
        The interval, and how many test rows the measure stands on in the run with fewest; 0 where that is not known.
    """
    keys = [key for key, value in values.items() if np.isfinite(value)]
    seeds = over_seeds(np.array([values[key] for key in keys]), confidence)
    first = [_rows(runs, key, measure) for key in keys]
    second = first if against is None else [_rows(against, key, measure) for key in keys]
    pairs = [
        (one, two) for one, two in zip(first, second, strict=True) if one is not None and two is not None
    ]
    if not keys or len(pairs) < len(keys):
        return seeds, 0
    rows = []
    for (one, two), key in zip(pairs, keys, strict=True):
        if len(one.values) != len(two.values) or not np.array_equal(one.weights, two.weights):
            return seeds, 0
        y = one.values if against is None else one.values - two.values
        if not np.isclose(float((one.weights * y).sum()), values[key], rtol=1e-4, atol=1e-5):
            return seeds, 0
        rows.append(one._replace(values=y))
    count = min(int((one.weights > 0).sum()) for one in rows)
    if _alike(runs[key].rows for key in keys) and _alike(one.classes.tobytes() for one in rows):
        values_, weights = (np.stack([one[i] for one in rows]) for i in (0, 1))
        return crossed(values_, weights, rows[0].classes, confidence), count
    pool = runs[keys[0]].pool
    known = [runs[key].numbers for key in keys]
    numbers = [one for one in known if one is not None]
    return nested(
        *zip(*rows, strict=True),
        pool=pool,
        numbers=numbers if len(numbers) == len(known) else None,
        confidence=confidence,
    ), count


def _rows(runs: Mapping[RunKey, Tested], key: RunKey, measure: str) -> Rows | None:
    return runs[key].of(measure) if key in runs else None


def _alike(items: Iterable[object]) -> bool:
    return len(set(items)) == 1
