"""The table of measures: each is declared once, beside what computes it, and everything that shows it reads it here."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.registry import Registry

if TYPE_CHECKING:
    from midmix.measures.accuracy import ShotGroups
    from midmix.measures.logit_margins import Margins
    from midmix.measures.streaming import CollapseMeter

Better = Literal["higher", "lower", ""]
Unit = Literal["percent", "number"]
Need = Literal["logits", "counts", "costs", "features", "head", "groups", "two classes"]
Table = Literal["outcomes", "two classes", "collapse", "groups", ""]


@dataclass(frozen=True)
class Outputs:
    """What a classifier made of labelled rows; what several measures share is computed once, when it is first needed.

    Attributes:
        labels: `[N]`, class indices.
        logits: `[N, C]`.
        log_probabilities: `[N, C]`, under a stated prior, for the measures that judge probabilities; those of softmax
            over the logits where None.
        counts: `[C]`, *training* rows a class.
        costs: `[C, C]`, of deciding the column where the row is true.
        features: `[N, D]`.
        head: weight `[C, D]` and bias `[C]` or None, of a linear classifier on the features.
        groups: `[C]`, the group of each class, from 0.
        max_rows: rows a class above which measures over pairs are estimated from a sample; None for exact.
        seed: of the sample.
    """

    labels: Tensor
    logits: Tensor | None = None
    counts: Tensor | None = None
    features: Tensor | None = None
    head: tuple[Tensor, Tensor | None] | None = None
    groups: Tensor | None = None
    max_rows: int | None = None
    seed: int = 0
    log_probabilities: Tensor | None = None
    costs: Tensor | None = None

    @property
    def given(self) -> frozenset[Need]:
        """What there is."""
        found: set[Need] = {
            name
            for name in ("logits", "counts", "costs", "features", "head", "groups")
            if getattr(self, name) is not None
        }
        if self.logits is not None and self.logits.ndim == 2 and self.logits.shape[1] == 2:
            found.add("two classes")
        return frozenset(found)

    @property
    def num_classes(self) -> int:
        """C, of whatever knows it."""
        if self.logits is not None:
            return self.logits.shape[1]
        if self.head is not None:
            return len(self.head[0])
        return len(self.counts) if self.counts is not None else int(self.labels.max()) + 1

    @cached_property
    def right(self) -> Tensor:
        """`[N]` bool: whether the largest logit is the label's."""
        from midmix.measures.checks import check_logits

        logits = self._known("logits", self.logits)
        check_logits(logits, self.labels)
        return logits.detach().argmax(dim=1) == self.labels

    @cached_property
    def judged(self) -> Tensor:
        """`[N, C]` whose softmax is judged as probabilities: those for the stated prior, else the logits."""
        if self.log_probabilities is not None:
            return self.log_probabilities
        return self._known("logits", self.logits)

    @cached_property
    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of the probabilities: confidence, whether the likeliest class is right, and loss of each row; see
        `midmix.measures.calibration.confidences`."""
        from midmix.measures.calibration import confidences
        from midmix.measures.checks import check_labels, check_logits

        if self.log_probabilities is None:
            check_logits(self._known("logits", self.logits), self.labels)
        check_labels(self.labels, self.judged.shape[1])
        return confidences(self.judged, self.labels)

    @property
    def positive(self) -> int:
        """Of two classes the one that is looked for: with fewer training rows; class 1 of even or unknown ones."""
        return 0 if self.counts is not None and bool(self.counts[0] < self.counts[1]) else 1

    @cached_property
    def score(self) -> Tensor:
        """`[N]` float64: the log-odds of the class that is looked for, for two classes."""
        from midmix.measures.checks import check_logits

        logits = self._known("logits", self.logits)
        check_logits(logits, self.labels)
        if logits.shape[1] != 2:
            raise InputError(f"logits: {logits.shape[1]} columns; this is a measure of two classes")
        pair = logits.detach().double()
        return pair[:, self.positive] - pair[:, 1 - self.positive]

    @cached_property
    def confusion(self) -> Tensor:
        """See `midmix.measures.confusion_matrix`."""
        from midmix.measures.accuracy import confusion_matrix

        return confusion_matrix(self._known("logits", self.logits), self.labels)

    @cached_property
    def shots(self) -> ShotGroups:
        """Classes by training rows."""
        from midmix.measures.accuracy import shot_groups

        counts = self._known("counts", self.counts)
        if self.logits is not None and len(counts) != self.logits.shape[1]:
            raise InputError(
                f"counts: {len(counts)} training counts for logits of {self.logits.shape[1]} classes; give one a class"
            )
        return shot_groups(counts)

    @cached_property
    def meter(self) -> CollapseMeter:
        """All rows in one meter: moments and samples are made once for every measure of collapse."""
        from midmix.measures.streaming import CollapseMeter

        meter = CollapseMeter(self.num_classes, max_rows=self.max_rows, seed=self.seed)
        meter.update(self._known("features", self.features), self.labels, self.logits)
        return meter

    @cached_property
    def margins(self) -> Margins:
        """See `midmix.measures.margins`."""
        from midmix.measures.logit_margins import margins

        return margins(self._known("logits", self.logits), self.labels)

    def class_weights(self, classes: Collection[int] | None = None) -> Tensor:
        """`[N]` float64: of a mean over classes of the mean over their rows; NaN where no class has a row."""
        labels, found = self._tested
        chosen = range(len(found)) if classes is None else classes
        kept = {c: found[c] for c in chosen if found[c]}
        if not kept:
            return torch.full(labels.shape, math.nan).double()
        share = torch.zeros(len(found), dtype=torch.float64)
        share[list(kept)] = torch.tensor(
            [1 / (rows * len(kept)) for rows in kept.values()], dtype=torch.float64
        )
        return share.to(labels.device)[labels]

    @cached_property
    def _tested(self) -> tuple[Tensor, list[int]]:
        """The labels, and how many rows each class has."""
        labels = self.labels.long()
        return labels, torch.bincount(labels, minlength=self.num_classes).tolist()

    @staticmethod
    def _known(name: str, value: Tensor | None) -> Tensor:
        if value is None:
            raise InputError(f"{name}: this measure needs them")
        return value


@dataclass(frozen=True)
class Measure:
    """One measure: what it is called, how it is read, and how it is computed.

    Attributes:
        name: as in results and code.
        heading: as people read it.
        better: `"higher"` or `"lower"`; empty where it describes a state and neither is.
        unit: `"percent"` for a fraction that is shown in percent.
        needs: what `Outputs` must have besides labels.
        compute: the value; NaN where it is undefined for these rows.
        rows: for a weighted mean over rows, `(values [N], weights [N])`: the value is `Σ weights · values`, the weights
            sum to 1 and are alike for all rows of a class. Intervals that count the test rows are made from it.
        table: the table that shows it; none where it is empty.
        order: its place there, from the left.

    Example:
        >>> from midmix.measures import MEASURES
        >>> few = MEASURES.find("few")
        >>> few.heading, few.better, few.unit, sorted(few.needs)
        ('few', 'higher', 'percent', ['counts', 'logits'])
    """

    name: str
    heading: str
    better: Better
    unit: Unit
    needs: frozenset[Need]
    compute: Callable[[Outputs], float]
    rows: Callable[[Outputs], tuple[Tensor, Tensor]] | None = None
    table: Table = ""
    order: float = 100.0


MEASURES: Registry[Measure] = Registry("measure", "midmix.measures", package="midmix.measures")
"""Every measure by name: ours are declared in the files of this package, others by entry points `midmix.measures`
of installed packages, each of which names a `Measure`."""


def declare(
    name: str,
    heading: str,
    better: Better,
    compute: Callable[[Outputs], float] | None = None,
    *,
    needs: Collection[Need],
    unit: Unit = "number",
    rows: Callable[[Outputs], tuple[Tensor, Tensor]] | None = None,
    table: Table = "",
    order: float = 100.0,
) -> Measure:
    """Register one of ours; with `rows` and no `compute`, the value is their weighted mean."""
    if compute is None:
        if rows is None:
            raise ValueError(f"measure {name!r}: give compute, or rows")
        compute = _mean_of(rows)
    found = Measure(name, heading, better, unit, frozenset(needs), compute, rows, table, order)
    return MEASURES.register(name=name)(found)


def _mean_of(rows: Callable[[Outputs], tuple[Tensor, Tensor]]) -> Callable[[Outputs], float]:
    def mean(outputs: Outputs) -> float:
        values, weights = rows(outputs)
        return float((values * weights).sum())

    return mean


def measures_of(*tables: Table) -> tuple[Measure, ...]:
    """The measures that these tables show, in their order; those of installed packages too.

    Example:
        >>> from midmix.measures import measures_of
        >>> [measure.name for measure in measures_of("outcomes")]
        ['accuracy', 'balanced_accuracy', 'many', 'medium', 'few', 'nll', 'ece']
    """
    found = [MEASURES.find(name) for name in MEASURES.names()]
    return tuple(sorted((one for one in found if one.table in tables), key=lambda one: one.order))


def evaluate_all(outputs: Outputs, only: Collection[str] | None = None) -> dict[str, float]:
    """Every measure that these outputs allow, or those of them that are named in `only`.

    Raises:
        InputError: an unknown name in `only`, parts that do not fit one another, non-finite rows.

    Example:
        >>> from midmix.measures import Outputs, evaluate_all
        >>> labels = torch.tensor([0, 1, 2])
        >>> found = evaluate_all(Outputs(labels, logits=4 * torch.eye(3), counts=torch.tensor([9, 3, 1])))
        >>> found["accuracy"], found["few"], "nc1" in found
        (1.0, 1.0, False)
    """
    names = MEASURES.names() if only is None else only
    measures = [MEASURES.find(name) for name in names]
    given = outputs.given
    return {one.name: float(one.compute(outputs)) for one in measures if one.needs <= given}
