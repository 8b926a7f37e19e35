"""Linear discriminants for long tails, as a line that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from midmix.methods.baselines.baseline import BASELINES, Scores, arrays
from midmix.methods.stages.discriminant import check_options, discriminant, number


@BASELINES.register(name="discriminant")
@dataclass(frozen=True)
class Discriminant:
    """Linear discriminants whose class means are pulled together where rows are few, see `discriminant`: estimated from
    the training rows alone, with nothing to tune.

    Args:
        pull: k, rows that every class is given at the mean of the classes, 0 or more; `auto` to estimate it.
        shrinkage: s in [0, 1] towards a round covariance; `auto` for `D / (D + N)`.

    Raises:
        InputError: for values that cannot be; by `fit` for a class without rows.

    Example:
        >>> import torch
        >>> features, labels = torch.tensor([[-1.0], [-2.0], [1.0]]), torch.tensor([0, 0, 1])
        >>> Discriminant().fit(features, labels, 2, seed=0)(features).argmax(1)
        tensor([0, 0, 1])
    """

    pull: float | str = "auto"
    shrinkage: float | str = "auto"
    auto: ClassVar[tuple[str, ...]] = ("pull", "shrinkage")
    linear = True
    probabilities = True

    def __post_init__(self) -> None:
        check_options("discriminant", self.pull, self.shrinkage)

    def fit(self, features: Tensor, labels: Tensor, num_classes: int, seed: int) -> Scores:
        arrays(features[:0], labels, num_classes, "discriminant")  # every class has a row
        return discriminant(
            features, labels, num_classes, pull=number(self.pull), shrinkage=number(self.shrinkage)
        )
