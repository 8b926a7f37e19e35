"""What the figures of features and logits are drawn from: one line of a comparison, or features from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor


class Output(NamedTuple):
    """A network's last layer on a test split; features from anywhere will do."""

    features: Tensor
    """``[N, D]``"""
    labels: Tensor
    """``[N]``, from 0 to C - 1."""
    logits: Tensor | None = None
    """``[N, C]``, or None where only features are known."""
    log_probabilities: Tensor | None = None
    """``[N, C]`` for the shares of the classes among these rows; None where the prior of the logits is not known."""


@dataclass(frozen=True)
class Subject:
    """One line of a comparison with its outputs, one a seed. A page about features alone has one subject."""

    position: int
    """Its place in the comparison, and so its colour and marker."""
    label: str
    outputs: list[Output]

    @property
    def with_logits(self) -> list[tuple[Tensor, Tensor]]:
        """(logits, labels) of the outputs that have both."""
        return [(output.logits, output.labels) for output in self.outputs if output.logits is not None]

    @property
    def judged(self) -> list[tuple[Tensor, Tensor]]:
        """(log-probabilities, labels) of the outputs with logits: those of the prior of the rows, else the logits."""
        return [
            (output.logits if output.log_probabilities is None else output.log_probabilities, output.labels)
            for output in self.outputs
            if output.logits is not None
        ]


def over_seeds(subjects: Sequence[Subject]) -> str:
    """What a caption adds where a picture is a mean: nothing for features from anywhere, or one seed."""
    return " Mean over seeds." if any(len(subject.outputs) > 1 for subject in subjects) else ""


@dataclass(frozen=True)
class Classes:
    """Names, training rows and groups of the classes; counts and groups may be unknown."""

    names: Sequence[str]
    counts: np.ndarray | None = None
    """``[C]`` training rows."""
    shots: Mapping[str, Sequence[int]] | None = None
    """Group → its classes: many, medium, few."""
    unit: str = "training rows"
    """What ``counts`` counts."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def by_count(self) -> np.ndarray:
        """The classes from most to fewest training rows; in their own order where counts are unknown."""
        return np.arange(len(self)) if self.counts is None else np.argsort(-self.counts, kind="stable")
