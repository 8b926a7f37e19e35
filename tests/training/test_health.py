"""Rules of health see what they should, in runs that are planted to fail; and are silent on the others."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from midmix.data import Source
from midmix.training.health import RULES, Evidence, examine
from midmix.training.history import Epoch
from midmix.training.predict import Predictions


@pytest.fixture(scope="module")
def benchmark_() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "health.py"
    spec = importlib.util.spec_from_file_location("benchmark_health", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look it up
    spec.loader.exec_module(module)
    return module


def epoch(number: int, train: float = 1.0, balanced: float = 0.9, ratio: float = 1.0) -> Epoch:
    found = dict.fromkeys(Epoch.__annotations__, math.nan)
    found |= {"epoch": number, "train_accuracy": train, "test_balanced_accuracy": balanced, "ratio": ratio}
    return found  # type: ignore[return-value]


def predictions(rows: int = 30, classes: int = 4) -> Predictions:
    """Every row right, and each class a point."""
    labels = torch.arange(classes).repeat(rows)
    return Predictions(torch.eye(classes)[labels], torch.eye(classes)[labels], labels)


def evidence(history: list[Epoch], test: Predictions | None = None, **more: object) -> Evidence:
    return Evidence(history, test or predictions(), list("abcd"), [90, 60, 30, 9], **more)  # type: ignore[arg-type]


def rules_of(found: Evidence) -> list[str]:
    return [finding.rule for finding in examine(found)]


ROUTE = [epoch(n, min(1, n / 10), 0.9 * min(1, n / 10), max(0.512, 1 - n / 20)) for n in range(1, 21)]
"""λ and accuracy go together."""


def test_a_run_that_goes_well_is_passed_over():
    assert rules_of(evidence(ROUTE, schedule=(1.0, 0.512), on_features=True)) == []


def test_lambda_that_ends_before_the_classes_are_known():
    early = [epoch(1, 0.9, 0.30, 0.55), *ROUTE[10:]]
    found = examine(evidence(early, schedule=(1.0, 0.512)))
    assert [one.rule for one in found] == ["ratio_ends_early"]
    assert "λ was 0.55 by epoch 1, when balanced accuracy was 30.0%, and 90.0% in the end" in found[0].seen
    assert rules_of(evidence(early)) == [], "λ of mixup is where it is by chance"
    known = [epoch(1, 0.9, 0.60, 0.55), *ROUTE[10:]]
    assert rules_of(evidence(known, schedule=(1.0, 0.512))) == []
    late = [epoch(1, 0.9, 0.30, 0.58), *ROUTE[10:]]
    assert rules_of(evidence(late, schedule=(1.0, 0.512))) == [], "nine tenths of the way are .561"


def test_lambda_that_never_leaves_1():
    stuck = [epoch(1, 0.1, 0.3, 1.0), epoch(2, 0.1, 0.3, 0.93)]
    assert "ratio_stuck" in rules_of(evidence(stuck, schedule=(1.0, 0.512)))
    assert "ratio_stuck" not in rules_of(evidence(stuck, schedule=(1.0, 1.0))), "a control is meant so"
    assert "ratio_stuck" not in rules_of(evidence(stuck)), "nothing is scheduled"
    moved = [epoch(1, 0.1, 0.3, 1.0), epoch(2, 0.1, 0.3, 0.90)]
    assert "ratio_stuck" not in rules_of(evidence(moved, schedule=(1.0, 0.512))), "a fifth of the way is .902"


def test_features_that_know_nothing():
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(60)
    noise = Predictions(torch.eye(4)[labels], torch.randn(240, 8, generator=draw), labels)
    mixed = [epoch(1, ratio=0.6)]
    assert rules_of(evidence(mixed, noise, on_features=True)) == ["weak_features"]
    assert rules_of(evidence(mixed, noise)) == [], "the input was mixed"
    assert rules_of(evidence([epoch(1, ratio=1.0)], noise, on_features=True)) == [], "nothing was mixed"


def test_training_that_still_rises():
    rising = [epoch(n, 0.5 + n / 100) for n in range(1, 21)]  # two points a tenth
    assert rules_of(evidence(rising)) == ["not_converged"]
    assert rules_of(evidence(rising[:18:6] + rising[-1:])) == ["not_converged"], "few epochs were evaluated"
    assert rules_of(evidence([epoch(n, 0.5 + n / 250) for n in range(1, 21)])) == [], (
        "less than a point a tenth"
    )
    assert rules_of(evidence([epoch(n, min(0.99, 0.8 + n / 100)) for n in range(1, 21)])) == [], "nearly all"
    assert rules_of(evidence([epoch(1, 0.6)])) == [], "one epoch does not rise"


def test_training_that_falls_apart():
    fell = [epoch(1, 0.9, 0.8), epoch(2, 0.95, 0.85), epoch(3, 0.6, 0.6)]
    assert rules_of(evidence(fell)) == ["diverged"]
    unknown = [epoch(1, math.nan, 0.8), epoch(2, math.nan, 0.85)]  # of a mix that shows no clean rows
    assert rules_of(evidence([*unknown, fell[-1]])) == ["diverged"]
    turned = [epoch(1, 0.9, 0.6), epoch(2, 0.95, 0.65), epoch(3, 0.7, 0.8)]
    assert rules_of(evidence(turned)) == [], (
        "another order of rows gives up the frequent classes for the rare ones"
    )
    staged = [epoch(1, 0.9, 0.8), epoch(2, 0.95, 0.85), epoch(3, 0.6, 0.6)]
    assert rules_of(evidence(staged, stages=True)) == [], "that was not the training"


def test_nothing_learned_is_chance_on_the_test_rows_and_the_frequent_class_on_the_training_rows():
    assert rules_of(evidence([epoch(1, 90 / 189, 0.26)])) == ["learned_nothing"]
    assert rules_of(evidence([epoch(1, 0.9, 0.26)])) == [], "learned by heart, which is something else"
    assert rules_of(evidence([epoch(1, 0.4, 0.5)])) == [], "rare classes are favoured"


def test_a_class_that_is_never_the_answer():
    test = predictions(rows=200)
    forgotten = test.labels == 3
    logits = test.logits.clone()
    logits[forgotten] = torch.eye(4)[0]
    logits[forgotten.nonzero()[:3, 0]] = torch.eye(4)[3]
    found = examine(evidence([epoch(1)], Predictions(logits, test.features, test.labels)))
    assert [one.rule for one in found] == ["ignored_class"]
    assert found[0].seen == "1 of 4 classes hardly ever predicted: d (9 training rows)"
    logits[forgotten.nonzero()[3, 0]] = torch.eye(4)[3]  # 4 of 200 are the 2 %
    assert rules_of(evidence([epoch(1)], Predictions(logits, test.features, test.labels))) == []
    few = predictions(rows=19)
    none = few.logits.clone()
    none[few.labels == 3] = torch.eye(4)[0]
    assert rules_of(evidence([epoch(1)], Predictions(none, few.features, few.labels))) == [], (
        "too few test rows"
    )


def test_every_rule_says_what_it_is_and_what_to_do():
    for name in RULES.names():
        rule = RULES.find(name)
        assert rule.states.endswith(".")
        assert not rule.remedy.endswith(".")
        assert rule.heading


RULE_NAMES = (
    "ignored_class", "not_converged", "diverged", "learned_nothing", "weak_features", "ratio_ends_early", "ratio_stuck",
)  # fmt: skip


@pytest.mark.parametrize("rule", RULE_NAMES)
def test_planted_failures_are_seen(benchmark_, rule):
    """One run for each rule; `python benchmarks/health.py` trains ten of each of more."""
    cases = list(benchmark_.planted())
    assert {case.rule for case in cases} == set(RULES.names()) == set(RULE_NAMES)
    case = next(case for case in cases if case.rule == rule)
    found = benchmark_.findings(*case.make(1))
    assert found is not None
    assert case.rule in [one["rule"] for one in found], case.what


@pytest.mark.parametrize("method", ["am-mixup", "balanced-midpoint+balanced_softmax"])
def test_a_healthy_run_is_passed_over_and_its_record_says_so(method, benchmark_, digits: Source):
    """One seed of some methods; `python benchmarks/health.py` trains a hundred runs."""
    assert benchmark_.findings(digits, benchmark_.run_of(method, 0, 5, epochs=40)) == []


def test_the_documentation_states_every_rule_as_it_is():
    text = (Path(__file__).parents[2] / "docs" / "health.md").read_text()
    for name in RULES.names():
        rule = RULES.find(name)
        assert f"| `{name}` | {rule.heading} | {rule.states} | {rule.remedy} |" in text
