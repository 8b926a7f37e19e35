"""Per-sample criteria for long tails. Every one goes with every mix: `mix.loss(logits, criterion)`."""

from midmix.losses.prior import BalancedSoftmax
from midmix.losses.registry import criteria, criterion
from midmix.mixing.criterion import Criterion, cross_entropy

__all__ = ["BalancedSoftmax", "Criterion", "criteria", "criterion", "cross_entropy"]
