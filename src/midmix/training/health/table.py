"""The table of the rules: each is declared once, beside what it looks for; everything that shows it reads it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from midmix.mixing import Features, Hidden, Mix, RandomSite
from midmix.registry import Registry
from midmix.training.history import Epoch
from midmix.training.predict import Predictions


@dataclass(frozen=True)
class Evidence:
    """What the rules look at: what a run wrote down of itself.

    Attributes:
        history: the evaluated epochs, the last of them last.
        test: predictions for the test rows at the last epoch.
        classes: their names.
        class_counts: training rows of each.
        schedule: λ where nothing is known and where everything is, for one that follows the accuracy; else None.
        on_features: whether rows are mixed behind some layer of the network.
        stages: whether stages after the training made the last classifier.
    """

    history: Sequence[Epoch]
    test: Predictions
    classes: Sequence[str]
    class_counts: Sequence[int]
    schedule: tuple[float, float] | None = None
    on_features: bool = False
    stages: bool = False

    @classmethod
    def of(
        cls,
        mix: Mix | None,
        history: Sequence[Epoch],
        test: Predictions,
        classes: Sequence[str],
        class_counts: Sequence[int],
        *,
        stages: bool = False,
    ) -> Evidence:
        """The evidence of a run that was trained with this mix, or without one."""
        if mix is None:
            return cls(history, test, classes, class_counts, stages=stages)
        site = isinstance(mix.site, Hidden | Features | RandomSite)
        return cls(history, test, classes, class_counts, mix.ratio.span, site, stages)

    @property
    def trained(self) -> Sequence[Epoch]:
        """The evaluated epochs of the training itself."""
        return self.history[:-1] if self.stages else self.history

    @property
    def last(self) -> Epoch:
        """The last evaluated epoch."""
        return self.history[-1]

    @property
    def chance(self) -> float:
        """Balanced accuracy of a classifier that does not look."""
        return 1 / len(self.classes)

    def way(self, epoch: Epoch) -> float:
        """How much of its way λ has gone, from 0 to 1; 0 where it follows no schedule."""
        if self.schedule is None or abs(self.schedule[0] - self.schedule[1]) < 1e-6:
            return 0.0
        start, end = self.schedule
        return (start - epoch["ratio"]) / (start - end)

    @cached_property
    def tested(self) -> Tensor:
        """`[C]`, test rows of each class."""
        return torch.bincount(self.test.labels, minlength=len(self.classes))

    @cached_property
    def predicted(self) -> Tensor:
        """`[C]`, test rows that are taken for each class."""
        return torch.bincount(self.test.logits.argmax(1), minlength=len(self.classes))


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: as in records.
        heading: as people read it.
        states: the whole rule, in words.
        remedy: what to do.
        see: what was seen, in words with figures; None for a healthy run.
        change: settings with which the run is to be repeated, where the remedy says so.
    """

    name: str
    heading: str
    states: str
    remedy: str
    see: Callable[[Evidence], str | None]
    change: Callable[[Evidence], Mapping[str, Any]] = lambda evidence: {}


@dataclass(frozen=True)
class Finding:
    """What a rule found in a run: plain data, as it stands in the record.

    `change` are settings with which the run is to be repeated; empty where the remedy is another.
    """

    rule: str
    heading: str
    seen: str
    remedy: str
    change: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.heading}: {self.seen}; {self.remedy}"


RULES: Registry[Rule] = Registry("health rule", "midmix.health", package="midmix.training.health")
"""Every rule by name: ours are declared in the files of this package, others by entry points `midmix.health` of
installed packages, each of which names a `Rule`."""


def declare(
    name: str,
    heading: str,
    *,
    states: str,
    remedy: str,
    change: Callable[[Evidence], Mapping[str, Any]] = lambda evidence: {},
) -> Callable[[Callable[[Evidence], str | None]], Callable[[Evidence], str | None]]:
    """A decorator that registers one of ours."""

    def keep(see: Callable[[Evidence], str | None]) -> Callable[[Evidence], str | None]:
        RULES.register(name=name)(Rule(name, heading, states, remedy, see, change))
        return see

    return keep


def examine(evidence: Evidence) -> list[Finding]:
    """What the rules find in a run; empty for a healthy one.

    Example:
        >>> import math
        >>> epoch = dict.fromkeys(Epoch.__annotations__, math.nan) | {"epoch": 1, "ratio": 1.0}
        >>> epoch |= {"train_accuracy": 0.5, "test_balanced_accuracy": 0.5}
        >>> always_first = Predictions(torch.eye(2)[[0] * 60], torch.eye(2)[[0] * 60], torch.arange(60) % 2)
        >>> found = examine(Evidence([epoch], always_first, ["ant", "bee"], [50, 50]))
        >>> [finding.rule for finding in found]
        ['ignored_class', 'learned_nothing']
    """
    rules = [RULES.find(name) for name in RULES.names()]
    return [
        Finding(rule.name, rule.heading, seen, rule.remedy, dict(rule.change(evidence)))
        for rule in rules
        if (seen := rule.see(evidence)) is not None
    ]
