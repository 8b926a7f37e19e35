"""Classifiers that are no networks, by name; what every claim about a network over fixed features must stand beside."""

from midmix.methods.baselines.baseline import BASELINES, Baseline, Scores, logit_prior

__all__ = ["BASELINES", "Baseline", "Scores", "logit_prior"]
