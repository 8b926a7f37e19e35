"""λ that follows the accuracy of training: at its end too early, or never on its way."""

from __future__ import annotations

from midmix.training.health.table import Evidence, declare

GONE, KNOWN, LEAST_KNOWN = 0.9, 0.5, 0.1
"""Shares: of λ's way to its end; of what a run learns in the end; of the way from chance to 1."""
LEAST_WAY, LEAST_SPAN = 0.2, 0.1
"""Shares of λ's way that an ended run should have gone; shorter ways are hardly any mixing, and meant so."""


@declare(
    "ratio_ends_early",
    "λ at its end too early",
    states="λ has gone nine tenths of its way in an epoch at whose end the balanced test accuracy is, above chance, "
    "less than half of what it ends with, or less than a tenth of the way to 1.",
    remedy="let λ follow the mean of the classes' accuracies (balanced_accuracy=true) or the last whole epoch's "
    "(accuracy=epoch), or choose a smaller beta",
)
def ratio_ends_early(evidence: Evidence) -> str | None:
    """Mostly the frequent classes' doing: who always says one of them is often right."""
    epochs = [epoch for epoch in evidence.trained if evidence.way(epoch) >= GONE]
    learnt = evidence.last["test_balanced_accuracy"] - evidence.chance
    if not epochs:
        return None
    first, enough = epochs[0], max(KNOWN * learnt, LEAST_KNOWN * (1 - evidence.chance))
    if first["test_balanced_accuracy"] - evidence.chance >= enough:
        return None
    return (
        f"λ was {first['ratio']:.2f} by epoch {first['epoch']}, when balanced accuracy was "
        f"{first['test_balanced_accuracy']:.1%}, and {evidence.last['test_balanced_accuracy']:.1%} in the end"
    )


@declare(
    "ratio_stuck",
    "λ stuck near 1",
    states="λ follows the accuracy, and has gone less than a fifth of its way in the last epoch.",
    remedy="hardly anything was mixed: see that the network learns (a longer training, a higher learning rate)",
)
def ratio_stuck(evidence: Evidence) -> str | None:
    """A line that is meant to have λ ≡ 1, such as a control with beta=0, has no way to go."""
    if evidence.schedule is None or not evidence.trained:
        return None
    start, end = evidence.schedule
    last = evidence.trained[-1]
    if abs(start - end) < LEAST_SPAN or evidence.way(last) >= LEAST_WAY:
        return None
    return (
        f"λ was {last['ratio']:.3f} in the last epoch, on a way from {start:.2f} to {end:.2f}; "
        f"training accuracy was {last['train_accuracy']:.1%}"
    )
