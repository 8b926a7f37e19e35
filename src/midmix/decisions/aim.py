"""What decisions are to be good at, and the decisions that are best at it."""

from __future__ import annotations

import csv
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from midmix.errors import InputError, unknown

Array = NDArray[np.float64]

AIMS = ("accuracy", "balanced", "f1", "recall@precision=0.9", "costs=FILE")
"""The texts that `parse_aim` reads, one of each kind; `f` takes any β, `recall@precision` any precision."""


@dataclass(frozen=True)
class Outcomes:
    """What some decisions came to, per class: all that a measure of them needs.

    Attributes:
        hits: rows `[..., C]` of each class that were decided so.
        decided: rows `[..., C]` for which each class was decided.
        rows: rows `[C]` of each class. All three may be weighted.
    """

    hits: Array
    decided: Array
    rows: Array

    @property
    def recall(self) -> Array:
        """Share `[..., C]` of a class's rows that were decided so; 0 for a class without rows."""
        return _ratio(self.hits, self.rows)

    @property
    def precision(self) -> Array:
        """Share `[..., C]` of the decisions for a class that are right; 0 where it was never decided."""
        return _ratio(self.hits, self.decided)


class Aim(ABC):
    """A stated aim: `decide` where it follows from probabilities alone, `score` for the choice of thresholds."""

    needs_thresholds: ClassVar[bool] = False
    """Whether decisions need thresholds that were chosen on held-out rows."""

    @property
    @abstractmethod
    def text(self) -> str:
        """What `parse_aim` makes this aim of; for costs, the word alone."""

    def decide(self, probabilities: Tensor, prior: Sequence[float]) -> Tensor:
        """The best class of each row, `[N]` (int64), of `probabilities [N, C]` under `prior [C]`.

        Raises:
            InputError: where thresholds are needed.
        """
        raise InputError(
            f"aim {self.text}: needs thresholds, chosen on validation rows; there are none, so hold some out"
        )

    @abstractmethod
    def score(self, outcomes: Outcomes, positive: int | None) -> Array:
        """How good outcomes `[..., C]` are, `[...]`, higher is better.

        Args:
            outcomes: of two classes where `positive` is given.
            positive: the class that is looked for, or None: all classes count alike, those without rows not at all.
        """

    def reached(self, outcomes: Outcomes, positive: int) -> NDArray[np.bool_]:
        """Whether outcomes `[..., 2]` are within what the aim demands, `[...]`."""
        return np.ones(outcomes.hits.shape[:-1], dtype=bool)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `aim_of` reads back."""
        return {"aim": self.text}


class ClasswiseAim(Aim):
    """An aim that is a weighted mean over classes, each by its own outcomes, `Σ_c w_c · value_c`."""

    @abstractmethod
    def values(self, hits: Array, decided: Array, rows: Array) -> Array:
        """Each class's value, of arrays of any one shape."""

    def weights(self, rows: Array, positive: int | None) -> Array:
        """`w [C]`: the same for every class with rows, sum 1."""
        there = rows > 0
        return there / max(int(there.sum()), 1)

    def score(self, outcomes: Outcomes, positive: int | None) -> Array:
        rows = np.broadcast_to(outcomes.rows, outcomes.hits.shape)
        values = self.values(outcomes.hits, outcomes.decided, rows)
        return np.asarray((values * self.weights(outcomes.rows, positive)).sum(axis=-1))


@dataclass(frozen=True)
class Accuracy(ClasswiseAim):
    """Most rows right under the stated prior: the likeliest class, `argmax_c p_c`.

    Example:
        >>> Accuracy().decide(torch.tensor([[0.6, 0.4]]), (0.9, 0.1))
        tensor([0])
    """

    @property
    def text(self) -> str:
        return "accuracy"

    def decide(self, probabilities: Tensor, prior: Sequence[float]) -> Tensor:
        return probabilities.argmax(dim=1)

    def values(self, hits: Array, decided: Array, rows: Array) -> Array:
        return _ratio(hits, rows)

    def weights(self, rows: Array, positive: int | None) -> Array:
        return np.asarray(rows / rows.sum())


@dataclass(frozen=True)
class BalancedAccuracy(ClasswiseAim):
    """Highest mean recall over the classes: `argmax_c p_c / π_c` (Menon et al. 2021, arXiv 2007.07314).

    A class that the prior gives no share is never decided.

    Example:
        >>> BalancedAccuracy().decide(torch.tensor([[0.6, 0.4]]), (0.9, 0.1))  # .67 against 4
        tensor([1])
    """

    @property
    def text(self) -> str:
        return "balanced"

    def decide(self, probabilities: Tensor, prior: Sequence[float]) -> Tensor:
        shares = torch.tensor(prior, dtype=probabilities.dtype, device=probabilities.device)
        return torch.where(shares > 0, probabilities / shares, -math.inf).argmax(dim=1)

    def values(self, hits: Array, decided: Array, rows: Array) -> Array:
        return _ratio(hits, rows)


@dataclass(frozen=True)
class Costs(Aim):
    """Least expected cost: `argmin_j Σ_i p_i cost_ij` (Elkan 2001, IJCAI).

    Args:
        matrix: `cost[i][j]`, of deciding j where i is true; any unit, gains are negative.

    Raises:
        InputError: not square, not finite, fewer than two classes.

    Example:
        >>> Costs(((0, 1), (20, 0))).decide(torch.tensor([[0.9, 0.1]]), (0.9, 0.1))  # 2 against 0.9
        tensor([1])
    """

    matrix: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        try:
            matrix = tuple(tuple(float(cost) for cost in row) for row in self.matrix)
        except (TypeError, ValueError):
            raise InputError(
                "costs: expected a square matrix of numbers, a row for each true class"
            ) from None
        if len(matrix) < 2 or any(len(row) != len(matrix) for row in matrix):
            widths = sorted({len(row) for row in matrix})
            raise InputError(
                f"costs: {len(matrix)} rows of {' or '.join(map(str, widths)) or 'no'} columns; "
                "a square matrix is needed, a row for each true class and a column for each decision"
            )
        if not all(math.isfinite(cost) for row in matrix for cost in row):
            raise InputError("costs: every cost must be a finite number")
        object.__setattr__(self, "matrix", matrix)

    @property
    def text(self) -> str:
        return "costs"

    def decide(self, probabilities: Tensor, prior: Sequence[float]) -> Tensor:
        costs = torch.tensor(self.matrix, dtype=probabilities.dtype, device=probabilities.device)
        if probabilities.shape[1] != len(costs):
            raise InputError(
                f"costs: a matrix for {len(costs)} classes, but there are {probabilities.shape[1]}"
            )
        return (probabilities @ costs).argmin(dim=1)

    def score(self, outcomes: Outcomes, positive: int | None) -> Array:
        """Minus the mean cost a row, for two classes."""
        if positive is None or len(self.matrix) != 2:
            raise InputError(
                f"aim costs: no thresholds are chosen for {len(self.matrix)} classes; decide by the least expected cost"
            )
        (right0, wrong0), (wrong1, right1) = self.matrix
        right, wrong = np.array([right0, right1]), np.array([wrong0, wrong1])
        costs = outcomes.hits * right + (outcomes.rows - outcomes.hits) * wrong
        return np.asarray(-costs.sum(axis=-1) / outcomes.rows.sum())

    def to_dict(self) -> dict[str, Any]:
        return {"aim": self.text, "matrix": [list(row) for row in self.matrix]}


@dataclass(frozen=True)
class FMeasure(ClasswiseAim):
    """`(1+β²) · hits / (β² · rows + decided)`, of the class looked for, or its mean over many classes (macro).

    Args:
        beta: how many times as much recall counts as precision (van Rijsbergen 1979), above 0.

    Raises:
        InputError: β that is not above 0.

    Example:
        >>> float(FMeasure().score(Outcomes(np.array([5.0, 3.0]), np.array([6.0, 4.0]), np.array([6.0, 4.0])), 1))
        0.75
    """

    needs_thresholds: ClassVar[bool] = True
    beta: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.beta < math.inf:
            raise InputError(f"aim f: beta {self.beta!r}; a number above 0 is needed, as in f1 or f0.5")
        object.__setattr__(self, "beta", float(self.beta))

    @property
    def text(self) -> str:
        return f"f{self.beta:.15g}"

    def values(self, hits: Array, decided: Array, rows: Array) -> Array:
        squared = self.beta**2
        return _ratio((1 + squared) * hits, squared * rows + decided)

    def weights(self, rows: Array, positive: int | None) -> Array:
        if positive is None:
            return super().weights(rows, positive)
        return np.asarray(np.arange(len(rows)) == positive, dtype=np.float64)


@dataclass(frozen=True)
class RecallAtPrecision(Aim):
    """Highest recall of the class looked for at which its precision is still the one stated; two classes.

    Args:
        precision: above 0, at most 1.

    Raises:
        InputError: a precision beyond.
    """

    needs_thresholds: ClassVar[bool] = True
    precision: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.precision <= 1:
            raise InputError(f"aim recall@precision: {self.precision!r}; a precision above 0, at most 1")
        object.__setattr__(self, "precision", float(self.precision))

    @property
    def text(self) -> str:
        return f"recall@precision={self.precision:.15g}"

    def score(self, outcomes: Outcomes, positive: int | None) -> Array:
        """Recall where the precision is reached; where not, what lacks of it, below 0."""
        if positive is None:
            raise InputError(f"aim {self.text}: is for two classes; for many take balanced or f1")
        precision, recall = outcomes.precision[..., positive], outcomes.recall[..., positive]
        return np.where(precision >= self.precision, recall, precision - self.precision)

    def reached(self, outcomes: Outcomes, positive: int) -> NDArray[np.bool_]:
        return np.asarray(outcomes.precision[..., positive] >= self.precision)


def parse_aim(text: str, classes: Sequence[str]) -> Aim:
    """The aim of a text: `accuracy`, `balanced`, `f1` (or `f2`, `f0.5`), `recall@precision=0.9`, `costs=costs.csv`.

    The CSV file of costs has a row for each true class and a column for each decision: bare numbers in the order of
    `classes`, or with the classes' names in its first row and its first column, in any order.

    Args:
        text: as above.
        classes: names of the classes, in order.

    Raises:
        InputError: an aim that nobody knows, with the nearest; a number that is none; a file that cannot be read, is
            not square or of other classes.

    Example:
        >>> parse_aim("f2", ["no", "yes"]), parse_aim("recall@precision=0.8", ["no", "yes"])
        (FMeasure(beta=2.0), RecallAtPrecision(precision=0.8))
        >>> parse_aim("balancd", ["no", "yes"])
        Traceback (most recent call last):
        ...
        midmix.errors.UnknownNameError: unknown aim 'balancd': did you mean balanced? Known: accuracy, balanced, ...
    """
    name, equals, value = text.strip().partition("=")
    if name == "costs" and value:
        return read_costs(Path(value), classes)
    if name == "recall@precision" and value:
        aim: Aim = RecallAtPrecision(_number(value, text))
        if len(classes) != 2:
            raise InputError(f"aim {text}: is for two classes, there are {len(classes)}; take balanced or f1")
        return aim
    if not equals:
        if name in _SIMPLE:
            return _SIMPLE[name]
        if re.fullmatch(r"f[\d.]+", name):
            return FMeasure(_number(name[1:], text))
    raise unknown("aim", text, AIMS)


def aim_of(record: object) -> Aim:
    """The aim of plain data, as `Aim.to_dict` gives it.

    Raises:
        InputError: where it is not that.

    Example:
        >>> aim_of(BalancedAccuracy().to_dict())
        BalancedAccuracy()
    """
    if not isinstance(record, dict) or not isinstance(record.get("aim"), str):
        raise InputError("aim: expected a record with the name of an aim")
    text: str = record["aim"]
    expected = {"aim", "matrix"} if text == "costs" else {"aim"}
    if record.keys() != expected:
        raise InputError(f"aim {text}: expected the fields {', '.join(sorted(expected))}")
    if text == "costs":
        return Costs(record["matrix"])
    if text.startswith("costs="):
        raise InputError("aim: a record holds its matrix of costs, no file")
    return parse_aim(text, ("0", "1"))


def read_costs(path: Path, classes: Sequence[str]) -> Costs:
    """The cost matrix of a CSV file; see `parse_aim`.

    Raises:
        InputError: no such file; not square or not numbers; names that are not the classes'.
    """
    if path.exists() and not path.is_file():  # a device may have no end, and a pipe no writer
        raise InputError(f"costs {path}: is no file; give a CSV file")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(map(str.strip, row))]
    except (OSError, ValueError, csv.Error) as error:  # of names with a NUL too
        reason = getattr(error, "strerror", None) or "is not a CSV file in UTF-8"
        raise InputError(f"costs {path}: cannot be read: {reason}") from None
    names = list(classes)
    if rows and sorted(rows[0][1:]) == sorted(names) and sorted(row[0] for row in rows[1:]) == sorted(names):
        columns = [rows[0].index(name, 1) for name in names]
        by_name = {row[0]: row for row in rows[1:]}
        if any(len(row) != len(rows[0]) for row in rows):
            raise InputError(f"costs {path}: its rows are not of one length")
        rows = [[by_name[name][column] for column in columns] for name in names]
    try:
        matrix = tuple(tuple(float(cell) for cell in row) for row in rows)
    except ValueError:
        raise InputError(
            f"costs {path}: expected numbers only, or the names of all classes ({', '.join(names[:6])}"
            f"{', …' if len(names) > 6 else ''}) in the first row and the first column"
        ) from None
    try:
        costs = Costs(matrix)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if len(matrix) != len(names):
        raise InputError(f"costs {path}: a matrix for {len(matrix)} classes, but there are {len(names)}")
    return costs


_SIMPLE: dict[str, Aim] = {"accuracy": Accuracy(), "balanced": BalancedAccuracy()}


def _number(text: str, aim: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"aim {aim}: {text!r} is not a number") from None


def _ratio(part: Array, whole: Array) -> Array:
    """`part / whole`, 0 where there is nothing."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
