"""Training that has not come to its end, or has come apart."""

from __future__ import annotations

import math

from midmix.training.health.table import Evidence, declare
from midmix.training.history import LAST_PART

FITTED = 0.98
RISE = 0.01
FALL = 0.10
HEADROOM, TRAIN_HEADROOM = 0.05, 0.02


@declare(
    "not_converged",
    "training has not converged",
    states="Accuracy on clean training rows is below 98 % and rose, over the last tenth of the training or what of "
    "it was evaluated, by more than a point a tenth.",
    remedy="train twice as long, and all lines alike (--epochs), or with a higher learning rate (--learning-rate)",
    change=lambda evidence: {"epochs": 2 * evidence.trained[-1]["epoch"]},
)
def not_converged(evidence: Evidence) -> str | None:
    """The learning rate falls to 0 by then, so that what still rises was cut short."""
    epochs = evidence.trained
    if len(epochs) < 2 or epochs[-1]["train_accuracy"] >= FITTED:
        return None
    last = epochs[-1]
    before = [epoch for epoch in epochs if epoch["epoch"] <= (1 - LAST_PART) * last["epoch"]]
    if not before:
        return None
    rise = last["train_accuracy"] - before[-1]["train_accuracy"]
    tenths = (last["epoch"] - before[-1]["epoch"]) / (LAST_PART * last["epoch"])
    if not rise > RISE * tenths:
        return None
    return (
        f"training accuracy rose from {before[-1]['train_accuracy']:.1%} to {last['train_accuracy']:.1%} "
        f"between epoch {before[-1]['epoch']} and the last, {last['epoch']}"
    )


@declare(
    "diverged",
    "training has diverged",
    states="Balanced test accuracy has ended ten points or more below the best that it had been, and accuracy on clean "
    "training rows as far below the best of both.",
    remedy="lower the learning rate (--learning-rate), lengthen the warm-up (--warmup-epochs), or use --precision fp32",
)
def diverged(evidence: Evidence) -> str | None:
    """Losses that are no longer finite end a run with an error; this is what stays finite.

    A mix that shows no clean rows leaves training accuracy unknown at most epochs; what was right of test rows then
    stands for it.
    """
    if not evidence.trained:
        return None
    last = evidence.trained[-1]
    best = max(evidence.trained, key=lambda epoch: epoch["test_balanced_accuracy"])
    known = [epoch["train_accuracy"] for epoch in evidence.trained if not math.isnan(epoch["train_accuracy"])]
    reached = max([best["test_balanced_accuracy"], *known])
    fallen = best["test_balanced_accuracy"] - last["test_balanced_accuracy"], reached - last["train_accuracy"]
    if min(fallen) < FALL:
        return None
    return (
        f"balanced test accuracy fell from {best['test_balanced_accuracy']:.1%} at epoch {best['epoch']} to "
        f"{last['test_balanced_accuracy']:.1%}, and training accuracy is {last['train_accuracy']:.1%}"
    )


@declare(
    "learned_nothing",
    "nothing was learned",
    states="Balanced test accuracy has ended within a twentieth of the way from chance to 1, and accuracy on clean "
    "training rows within a fiftieth of the way from the most frequent class's share to 1.",
    remedy="see that labels belong to their rows and that features are scaled; then try another learning rate, or a "
    "longer training",
)
def learned_nothing(evidence: Evidence) -> str | None:
    """Both, because a head that favours rare classes may well be right less often than one that never looks."""
    last, chance = evidence.last, evidence.chance
    share = max(evidence.class_counts) / sum(evidence.class_counts)
    if last["test_balanced_accuracy"] - chance >= HEADROOM * (1 - chance):
        return None
    if last["train_accuracy"] - share >= TRAIN_HEADROOM * (1 - share):
        return None
    return (
        f"balanced test accuracy is {last['test_balanced_accuracy']:.1%} where chance is {chance:.1%}, and training "
        f"accuracy {last['train_accuracy']:.1%} where the most frequent class is {share:.1%} of the rows"
    )
