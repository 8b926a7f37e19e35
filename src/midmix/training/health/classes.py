"""Classes that a head has forgotten."""

from __future__ import annotations

from midmix.text import printable
from midmix.training.health.table import Evidence, declare

LEAST_ROWS, LEAST_SHARE = 20, 0.02
NAMED = 3


@declare(
    "ignored_class",
    "a head that ignores a class",
    states="A class with training rows and at least 20 test rows is predicted for less than 2 % of as many test rows "
    "as it has.",
    remedy="correct for the counts (+balanced_softmax), draw rare classes more often (+class_balanced, +drw), or set "
    "thresholds (midmix.decisions)",
)
def ignored_class(evidence: Evidence) -> str | None:
    """Few right answers are no failure of the head, but never to give the answer is."""
    found = [
        (count, name)
        for name, count, tested, predicted in zip(
            evidence.classes,
            evidence.class_counts,
            evidence.tested.tolist(),
            evidence.predicted.tolist(),
            strict=True,
        )
        if count > 0 and tested >= LEAST_ROWS and predicted < LEAST_SHARE * tested
    ]
    if not found:
        return None
    named = ", ".join(f"{printable(name)} ({count:,} training rows)" for count, name in sorted(found)[:NAMED])
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f"{len(found)} of {len(evidence.classes)} classes hardly ever predicted: {named}{more}"
