"""Any two lines of a comparison: paired differences of every pair, corrected together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from midmix.reports.cells import FEW_ROWS, LEAST_ROWS, LEVEL, SAME
from midmix.reports.columns import Column
from midmix.reports.lines import BASELINE, lines_of, with_methods
from midmix.reports.outcomes import TestedRuns, interval_of
from midmix.reports.summary import all_same, values_of
from midmix.studies.statistics import Interval, holm


@dataclass(frozen=True)
class Difference:
    """How far one line is ahead of another in one measure, on the runs that share seed and split.

    Attributes:
        interval: of the first line's value less the second's, in the measure's own unit.
        corrected: p-value after Holm's correction over all pairs of the measure; NaN where there is none.
        same: whether every seed has the same difference.
        test_rows: that the measure stands on; 0 where unknown.
    """

    interval: Interval
    corrected: float = math.nan
    same: bool = False
    test_rows: int = 0

    @property
    def holds(self) -> bool:
        """Whether it is told from 0 after the correction."""
        return self.corrected < LEVEL

    @property
    def half(self) -> float:
        """Half the interval's width; NaN where there is none."""
        return (self.interval.high - self.interval.low) / 2

    @property
    def mark(self) -> str:
        """The table's marks: few test rows, or the same in every seed."""
        return (FEW_ROWS if 0 < self.test_rows < LEAST_ROWS else "") + (SAME if self.same else "")

    def reversed(self) -> Difference:
        """The second line's value less the first's."""
        found = self.interval
        turned = replace(found, mean=-found.mean, low=-found.high, high=-found.low)
        return replace(self, interval=turned)


@dataclass(frozen=True)
class Pairs:
    """All pairs of lines in one measure at the last epoch.

    Attributes:
        column: the measure.
        means: line → mean over its seeds; lines without a value are left out.
        differences: (first, second) → their difference, in both orders.
        level: at which the next difference would hold: Holm's, with those taken off that do hold.
    """

    column: Column
    means: Mapping[str, float]
    differences: Mapping[tuple[str, str], Difference]
    level: float

    @property
    def lines(self) -> list[str]:
        """The lines that have a value."""
        return list(self.means)

    @property
    def count(self) -> int:
        """Pairs, each counted once."""
        return len(self.differences) // 2

    def ahead(self, first: str, second: str) -> bool:
        """Whether the first line is better than the second, after the correction."""
        return self.verdict(first, second) == "better"

    def verdict(self, first: str, second: str) -> str:
        """`"better"` or `"worse"` where the first line's difference from the second holds, else `""`."""
        found = self.differences[first, second]
        if not (found.holds and self.column.better):
            return ""
        return "better" if (found.interval.mean > 0) == (self.column.better == "higher") else "worse"

    def ranked(self) -> list[str]:
        """The lines by their mean, the best first."""
        sign = -1 if self.column.better == "lower" else 1
        return sorted(self.means, key=lambda line: -sign * self.means[line])


def pairs_of(
    results: pd.DataFrame,
    columns: Sequence[Column],
    *,
    tested: TestedRuns | None = None,
    baseline: str = BASELINE,
) -> list[Pairs]:
    """The pairs of lines in each of these measures at the last epoch.

    Intervals are those of `summarise`. P-values are corrected after Holm over all pairs of lines in a measure: which
    pair is looked at is chosen by what came out, so the pairs with the baseline alone would be too small a family.

    Args:
        results: as `summarise` takes them.
        columns: the measures.
        tested: outputs of the runs, as `tested_runs` reads them.
        baseline: the line that comes first.

    Example:
        >>> runs = pd.DataFrame({
        ...     "method": ["erm", "erm", "mixup", "mixup"], "seed": [0, 1, 0, 1],
        ...     "split_hash": ["a", "b", "a", "b"], "epoch_choice": "last", "accuracy": [0.5, 0.7, 0.6, 0.81]})
        >>> (found,) = pairs_of(runs, [Column.of("accuracy")])
        >>> found.lines, found.count, round(found.differences["mixup", "erm"].interval.mean, 3)
        (['erm', 'mixup'], 1, 0.105)
    """
    results = with_methods(results)
    last = results[results["epoch_choice"] == "last"]
    lines = lines_of(last, baseline)
    return [_pairs(last, lines, column, tested or {}) for column in columns]


def _pairs(last: pd.DataFrame, lines: Sequence[str], column: Column, tested: TestedRuns) -> Pairs:
    by_line = {line: values_of(last[last["method"] == line], column.name) for line in lines}
    finite = {line: [v for v in values.values() if math.isfinite(v)] for line, values in by_line.items()}
    means = {line: float(np.mean(values)) for line, values in finite.items() if values}
    known = list(means)
    found: dict[tuple[str, str], Difference] = {}
    for i, first in enumerate(known):
        for second in known[:i]:
            shared = {
                key: value - by_line[second][key]
                for key, value in by_line[first].items()
                if key in by_line[second]
            }
            interval, rows = interval_of(shared, tested.get(first, {}), column.name, tested.get(second, {}))
            found[first, second] = Difference(interval, same=all_same(shared), test_rows=rows)
    corrected = holm(np.array([difference.interval.p for difference in found.values()]))
    both: dict[tuple[str, str], Difference] = {}
    for (pair, difference), p in zip(found.items(), corrected, strict=True):
        both[pair] = replace(difference, corrected=float(p))
        both[pair[::-1]] = both[pair].reversed()
    left = int(np.isfinite(corrected).sum() - (corrected < LEVEL).sum())
    return Pairs(column, means, both, LEVEL / max(left, 1))
