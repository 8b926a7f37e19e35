"""The health of a run: rules that see in what a run wrote down that its figures should not be trusted, or why."""

from __future__ import annotations

from midmix.training.health.table import RULES, Evidence, Finding, Rule, examine

__all__ = ["RULES", "Evidence", "Finding", "Rule", "examine"]
