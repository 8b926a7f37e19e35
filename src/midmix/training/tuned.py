"""What a search chose for a line, as its runs are told and their records keep it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from midmix.methods import Method
from midmix.training.settings import Settings


@dataclass(frozen=True)
class Tuned:
    """The choice and the budget of a search.

    Attributes:
        draws: how many values of the settings and options were tried, the given ones first.
        folds: of the cross-validation that each was tried in.
        measure: what was compared: over the held-out rows of all folds together.
        rows: which rows were cross-validated, in words.
        chosen: setting, or `part:option`, → value; empty where the given values were best.
        score: the measure with them.
        score_before: the measure with the given values.

    Example:
        >>> tuned = Tuned(draws=8, folds=3, chosen={"learning_rate": 0.1, "mixup:alpha": 0.2})
        >>> str(tuned.method(Method.parse("mixup"))), tuned.settings(Settings()).learning_rate
        ('mixup:alpha=0.2', 0.1)
    """

    draws: int
    folds: int
    measure: str = "balanced_accuracy"
    rows: str = ""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    score: float | None = None
    score_before: float | None = None

    def method(self, method: Method) -> Method:
        """The method with the options that were chosen."""
        return method.with_options({name: value for name, value in self.chosen.items() if ":" in name})

    def settings(self, settings: Settings) -> Settings:
        """The settings with those that were chosen."""
        return replace(settings, **{name: value for name, value in self.chosen.items() if ":" not in name})

    def as_dict(self) -> dict[str, Any]:
        """All fields, as plain data."""
        return {**asdict(self), "chosen": dict(self.chosen)}


def asked(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record, flat, with the settings as they were before a search chose others: what a run was asked to be.

    Example:
        >>> asked({"seed": 0, "settings": {"epochs": 9}, "search": {"draws": 4, "given": {"epochs": 5}}})["epochs"]
        5
    """
    search = record.get("search") or {}
    flat = {**record, **record.get("settings", {}), **search.get("given", {})}
    return {**flat, **({"search_draws": search["draws"]} if search else {})}
