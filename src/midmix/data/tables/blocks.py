"""What is learnt of the columns of each kind: scikit-learn transformers whose state is plain data."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin

from midmix.data.precision import looked_at
from midmix.data.tables.column import TableColumn

FEWEST_ROWS, FEWEST_SHARE = 10, 0.002
"""A category, or a hole, has a feature of its own where at least so many rows and so large a share have it."""
SKEW = 1.0
"""Numbers whose sample skewness is beyond this, either way, are made more even."""
_YEAR, _WEEK = 365.2425, 7.0

Learnt = dict[str, Any]
B = TypeVar("B", bound="Block")


def often(count: int, rows: int) -> bool:
    """Whether so many of these rows are enough for a feature of their own."""
    return count >= max(FEWEST_ROWS, FEWEST_SHARE * rows) or (rows < 2 * FEWEST_ROWS and count > 1)


class Block(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Columns of one kind, encoded as `encode_columns` does, `[N, k]`, to features `[N, D]`.

    Args:
        columns: what they are.

    Attributes:
        learnt_: of each column, plain data.
    """

    kind: ClassVar[str]

    def __init__(self, columns: Sequence[TableColumn]) -> None:
        self.columns = columns

    def fit(self, X: np.ndarray, y: object = None) -> Self:  # noqa: N803
        """Learns from training rows."""
        self.learnt_: list[Learnt] = [
            self.learn(column, np.asarray(X, dtype=np.float64)[:, place])
            for place, column in enumerate(self.columns)
        ]
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """Features of rows, float64; none is NaN."""
        values = np.asarray(X, dtype=np.float64)
        found = [
            self.apply(column, learnt, values[:, place])
            for place, (column, learnt) in enumerate(zip(self.columns, self.learnt_, strict=True))
        ]
        return np.concatenate(found, 1) if found else np.empty((len(values), 0))

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the features."""
        names = [
            name
            for column, learnt in zip(self.columns, self.learnt_, strict=True)
            for name in self.names(column, learnt)
        ]
        return np.array(names, dtype=object)

    @classmethod
    def of(cls: type[B], columns: Sequence[TableColumn], learnt: Sequence[Learnt]) -> B:
        """One that has learnt this."""
        block = cls(columns)
        block.learnt_ = list(learnt)
        return block

    @abstractmethod
    def learn(self, column: TableColumn, values: np.ndarray) -> Learnt:
        """What a column's training rows `[N]` say."""

    @abstractmethod
    def apply(self, column: TableColumn, learnt: Learnt, values: np.ndarray) -> np.ndarray:
        """Features `[N, d]` of a column's rows."""

    @abstractmethod
    def names(self, column: TableColumn, learnt: Learnt) -> list[str]:
        """Names of these d features."""


class Numbers(Block):
    """`x`, holes filled with the median; where it is skewed, a power of `(x - centre) / scale`.

    The power (Yeo & Johnson 2000) is the likeliest for a normal distribution, as in scikit-learn's `PowerTransformer`;
    centre and scale are median and interquartile range (the standard deviation where that is 0). Numbers of two values
    are left as they are; of skewed ones, what is beyond the training rows counts as their
    least or most. A column with holes has a second feature, 1 where the number is missing.
    """

    kind = "number"

    def learn(self, column: TableColumn, values: np.ndarray) -> Learnt:
        there = values[~np.isnan(values)]
        learnt: Learnt = {
            "fill": float(np.median(there)) if len(there) else 0.0,
            "missing": often(len(values) - len(there), len(values)),
            "power": None,
        }
        sample = there[looked_at(len(there))]
        if len(np.unique(sample)) > 2 and abs(stats.skew(sample)) > SKEW:
            low, centre, high = np.quantile(sample, (0.25, 0.5, 0.75))
            scale = float(high - low) or float(sample.std())
            power = _power((sample - centre) / scale)
            ends = {"least": float(there.min()), "most": float(there.max())}
            learnt |= {"power": power, "centre": float(centre), "scale": scale, **ends}
        return learnt

    def apply(self, column: TableColumn, learnt: Learnt, values: np.ndarray) -> np.ndarray:
        absent = np.isnan(values)
        filled = np.where(absent, learnt["fill"], values)
        if learnt["power"] is not None:
            inside = filled.clip(
                learnt["least"], learnt["most"]
            )  # powers of what is far outside would be infinite
            filled = stats.yeojohnson((inside - learnt["centre"]) / learnt["scale"], lmbda=learnt["power"])
        return np.stack((filled, absent) if learnt["missing"] else (filled,), 1)

    def names(self, column: TableColumn, learnt: Learnt) -> list[str]:
        return [column.name, f"{column.name} is missing"][: 1 + learnt["missing"]]


class Categories(Block):
    """1 for the row's category, 0 for the others; all are 0 for rare and unseen ones, which are pooled so.

    A hole is a category too, where there are enough.
    """

    kind = "category"

    def learn(self, column: TableColumn, values: np.ndarray) -> Learnt:
        places = values[values >= 0].astype(np.int64)
        counts = np.bincount(places, minlength=len(column.values))
        kept = [
            value
            for value, count in zip(column.values, counts, strict=True)
            if often(int(count), len(values))
        ]
        return {"values": kept, "missing": often(int(np.isnan(values).sum()), len(values))}

    def apply(self, column: TableColumn, learnt: Learnt, values: np.ndarray) -> np.ndarray:
        own = {value: place for place, value in enumerate(column.values)}
        kept = np.array([own.get(value, -2) for value in learnt["values"]], dtype=np.float64)
        features = (values[:, None] == kept).astype(np.float64)
        return np.concatenate((features, np.isnan(values)[:, None]), 1) if learnt["missing"] else features

    def names(self, column: TableColumn, learnt: Learnt) -> list[str]:
        missing = [f"{column.name} is missing"] if learnt["missing"] else []
        return [*(f"{column.name}={value}" for value in learnt["values"]), *missing]


class Dates(Block):
    """The day, and where it stands in the year and the week as sine and cosine; in the day where there are hours.

    Holes are filled with the median, and marked as those of numbers are.
    """

    kind = "date"

    def learn(self, column: TableColumn, values: np.ndarray) -> Learnt:
        there = values[~np.isnan(values)]
        return {
            "fill": float(np.median(there)) if len(there) else 0.0,
            "missing": often(len(values) - len(there), len(values)),
            "hours": bool((there % 1 != 0).any()),
        }

    def apply(self, column: TableColumn, learnt: Learnt, values: np.ndarray) -> np.ndarray:
        absent = np.isnan(values)
        days = np.where(absent, learnt["fill"], values)
        features = [days]
        for period in (_YEAR, _WEEK, *((1.0,) if learnt["hours"] else ())):
            turn = 2 * np.pi * (days % period) / period
            features += [np.sin(turn), np.cos(turn)]
        if learnt["missing"]:
            features.append(absent.astype(np.float64))
        return np.stack(features, 1)

    def names(self, column: TableColumn, learnt: Learnt) -> list[str]:
        rounds = ("year", "week", *(("day",) if learnt["hours"] else ()))
        turns = [f"{column.name} {way} of {part}" for part in rounds for way in ("sine", "cosine")]
        return [column.name, *turns, *([f"{column.name} is missing"] if learnt["missing"] else [])]


BLOCKS: tuple[type[Block], ...] = (Numbers, Categories, Dates)


def _power(values: np.ndarray) -> float:
    from sklearn.preprocessing import PowerTransformer

    fitted = PowerTransformer(standardize=False).fit(values[:, None])
    return float(fitted.lambdas_[0])
