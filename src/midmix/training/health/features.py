"""Features that are mixed, and know nothing of the classes."""

from __future__ import annotations

from midmix.measures import variance_between
from midmix.training.health.table import Evidence, declare

LEAST_BETWEEN = 0.05
"""Share of the features' variance. Raw features of a pretrained encoder have .11 and more, of noise 0."""
UNMIXED = 0.98


@declare(
    "weak_features",
    "features too weak to mix",
    states="Rows were mixed behind a layer, and less than a twentieth of the variance of the normalised test features "
    "lies between the classes at the end (ε²).",
    remedy="between such features there is nothing to mix: train longer or with another learning rate, take a wider "
    "network or an encoder that is pretrained, or mix the input",
)
def weak_features(evidence: Evidence) -> str | None:
    """Seen at the end: features that were weak at first and have become better are how every training begins."""
    if not evidence.on_features or not evidence.trained or evidence.trained[-1]["ratio"] > UNMIXED:
        return None
    found = variance_between(evidence.test.features, evidence.test.labels)
    if not found < LEAST_BETWEEN:
        return None
    return f"{max(found, 0):.1%} of their variance lies between the classes"
