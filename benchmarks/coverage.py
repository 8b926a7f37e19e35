"""How often the intervals of a comparison hold the truth: a simulation where the truth is known.

Two lines are trained with S seeds and tested on R rows a class of ten classes. A row of class c is right where

    μ_c + a_s + a_sc + b_r + e_sr > 0,

all normal: what a seed's training does to all rows and to a class, the row's own difficulty, the rest. The two lines
share part of the seed and of the row, as real ones do. The loss is log(1 + exp(-score)). The truth, what a new seed
gives on a new row, is had in closed form or by quadrature. Each repetition draws seeds *and* rows anew.

Two protocols: all seeds are tested on the same rows, or each draws its test rows, two fifths, from one table.

    python benchmarks/coverage.py [--repetitions 1000] [--seeds 3 5 10]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from midmix.studies.statistics import Interval, crossed, nested, over_seeds

CLASSES = 10
FEW = (7, 8, 9)
TEST_SHARE = 0.4
MIDDLES = (np.linspace(2.0, 0.3, CLASSES), np.linspace(1.9, 0.6, CLASSES))
"""μ_c of the two lines, from the most frequent class to the rarest."""


@dataclass(frozen=True)
class Ground:
    """The standard deviations of the parts."""

    seed: float = 0.10
    seed_class: float = 0.25
    row: float = 1.0
    rest: float = 0.7
    shared: float = 0.6
    """The share of the variance of seeds and rows that two lines have in common."""

    @property
    def total(self) -> float:
        return float(np.sqrt(self.seed**2 + self.seed_class**2 + self.row**2 + self.rest**2))

    def scores(self, seeds: int, rows: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """`[2, seeds, classes · rows]` and the rows' classes."""
        c = np.repeat(np.arange(CLASSES), rows)

        def both(*shape: int) -> np.ndarray:
            """Two standard normals that share part of their variance."""
            common = draw.standard_normal(shape)
            own = draw.standard_normal((2, *shape))
            found: np.ndarray = np.sqrt(self.shared) * common + np.sqrt(1 - self.shared) * own
            return found

        return (
            np.stack(MIDDLES)[:, None, c]
            + self.seed * both(seeds, 1)
            + self.seed_class * both(seeds, CLASSES)[..., c]
            + self.row * both(1, len(c))
            + self.rest * draw.standard_normal((2, seeds, len(c)))
        ), c

    def truth(self, line: int, loss: bool) -> np.ndarray:
        """`[C]`: expected accuracy, or loss, of a class."""
        middle = MIDDLES[line]
        if not loss:
            return np.asarray(stats.norm.cdf(middle / self.total))
        nodes, weights = np.polynomial.hermite_e.hermegauss(80)
        values = np.logaddexp(0, -(middle[:, None] + self.total * nodes))
        return np.asarray(values @ weights / weights.sum())


def repetition(
    ground: Ground, seeds: int, rows: int, draw: np.random.Generator, splits: str = "fixed"
) -> Iterator[tuple[str, Interval, Interval, float]]:
    """For each quantity: its name, our interval, that over seeds alone, and the truth."""
    table, mine = (round(rows / TEST_SHARE) if splits == "drawn" else rows), np.zeros((seeds, 0), dtype=int)
    scores, classes = ground.scores(seeds, table, draw)
    if (
        splits == "drawn"
    ):  # of each seed its own rows of every class; the classes of the rows are the same for all
        mine = np.argsort(draw.random((seeds, CLASSES, table)), axis=-1)[..., :rows]
        mine = (mine + table * np.arange(CLASSES)[:, None]).reshape(seeds, -1)
        scores = np.take_along_axis(scores, np.broadcast_to(mine, (2, *mine.shape)), axis=-1)
        classes = np.repeat(np.arange(CLASSES), rows)
    outcomes = {False: (scores > 0).astype(float), True: np.logaddexp(0, -scores)}
    whole = np.full(CLASSES, 1 / CLASSES)
    few = np.isin(np.arange(CLASSES), FEW) / len(FEW)
    for name, loss, share in (("overall", False, whole), ("few", False, few), ("NLL", True, whole)):
        weights = np.broadcast_to((share / rows)[classes], (seeds, len(classes)))
        y = outcomes[loss]
        for what, values, truth in (
            ("mean", y[0], ground.truth(0, loss)),
            ("difference", y[1] - y[0], ground.truth(1, loss) - ground.truth(0, loss)),
        ):
            ours = (
                crossed(values, weights, classes)
                if splits == "fixed"
                else nested([*values], [*weights], [classes] * seeds, pool=CLASSES * table, numbers=[*mine])
            )
            alone = over_seeds((weights * values).sum(axis=1))
            yield f"{name}, {what}", ours, alone, float(truth @ share)


def coverage(
    seeds: int, rows: int, repetitions: int, ground: Ground = Ground(), seed: int = 0, splits: str = "fixed"
) -> dict[str, tuple[float, float, float]]:
    """For each quantity: coverage of our 95 % interval, that of the interval over seeds, and our mean width."""
    draw = np.random.default_rng([seed, seeds, rows])
    found: dict[str, list[tuple[bool, bool, float]]] = {}
    for _ in range(repetitions):
        for name, ours, alone, truth in repetition(ground, seeds, rows, draw, splits):
            hits = ours.low <= truth <= ours.high, alone.low <= truth <= alone.high
            found.setdefault(name, []).append((*hits, ours.high - ours.low))
    return {
        name: tuple(np.mean(np.array(hits, dtype=float), axis=0).tolist()) for name, hits in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5, 10])
    parser.add_argument("--rows", type=int, nargs="+", default=[20, 70, 300], help="test rows a class")
    parser.add_argument("--splits", nargs="+", default=["fixed", "drawn"], choices=["fixed", "drawn"])
    options = parser.parse_args()
    print(f"| test rows | seeds | a class | of | covers % | over seeds alone % | mean width |\n|{'---|' * 7}")
    for splits in options.splits:
        for seeds in options.seeds:
            for rows in options.rows:
                found = coverage(seeds, rows, options.repetitions, splits=splits)
                for name, (ours, alone, width) in found.items():
                    shares = f"{100 * ours:.1f} | {100 * alone:.1f}"
                    print(f"| {splits} | {seeds} | {rows} | {name} | {shares} | {width:.4f} |", flush=True)


if __name__ == "__main__":
    main()
