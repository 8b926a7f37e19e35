"""Decisions are the best for their aim; texts and records are read, and what is wrong in them is said in a line."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from midmix.decisions import (
    Accuracy,
    BalancedAccuracy,
    Calibration,
    Costs,
    DecisionRule,
    FMeasure,
    LogitPrior,
    Offsets,
    RecallAtPrecision,
    Threshold,
    aim_of,
    decision_rule,
    parse_aim,
    shares_of,
)
from midmix.errors import InputError


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_decisions_are_the_naive_loops(seed, classes):
    generator = torch.Generator().manual_seed(seed)
    p = torch.randn(8, classes, generator=generator, dtype=torch.float64).softmax(1)
    prior = shares_of(torch.rand(classes, generator=generator) + 1e-3)
    costs = torch.randn(classes, classes, generator=generator, dtype=torch.float64)
    balanced = BalancedAccuracy().decide(p, prior)
    cheapest = Costs(tuple(map(tuple, costs.tolist()))).decide(p, prior)
    for i, row in enumerate(p.tolist()):
        assert balanced[i] == max(range(classes), key=lambda c: row[c] / prior[c])
        expected = [sum(row[t] * costs[t, j].item() for t in range(classes)) for j in range(classes)]
        assert expected[cheapest[i]] == pytest.approx(min(expected))
    errors = Costs(tuple(tuple(float(i != j) for j in range(classes)) for i in range(classes)))
    assert torch.equal(errors.decide(p, prior), Accuracy().decide(p, prior))


def test_costs_that_are_one_over_the_prior_are_the_balanced_aim(generator):
    p = torch.randn(50, 3, generator=generator, dtype=torch.float64).softmax(1)
    prior = (0.7, 0.2, 0.1)
    costs = Costs(tuple(tuple(0.0 if i == j else 1 / prior[i] for j in range(3)) for i in range(3)))
    assert torch.equal(costs.decide(p, prior), BalancedAccuracy().decide(p, prior))


def test_a_class_without_a_share_is_never_the_balanced_decision():
    assert BalancedAccuracy().decide(torch.tensor([[0.0, 0.4, 0.6]]), (0.0, 0.5, 0.5)).tolist() == [2]


@pytest.mark.parametrize(
    ("text", "aim"),
    [
        ("accuracy", Accuracy()),
        ("balanced", BalancedAccuracy()),
        ("f1", FMeasure(1)),
        ("f0.5", FMeasure(0.5)),
        ("recall@precision=0.9", RecallAtPrecision(0.9)),
    ],
)
def test_texts_are_read_and_written(text, aim):
    assert parse_aim(text, ["a", "b"]) == aim
    assert aim.text == text
    assert aim_of(json.loads(json.dumps(aim.to_dict()))) == aim


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("acuracy", "did you mean accuracy"),
        ("f", "unknown aim"),
        ("f0", "above 0"),
        ("f1.2.3", "not a number"),
        ("recall@precision", "unknown aim"),
        ("recall@precision=high", "not a number"),
        ("recall@precision=90", "at most 1"),
        ("costs", "did you mean costs=FILE"),
        ("costs=nowhere.csv", "cannot be read"),
    ],
)
def test_texts_that_are_no_aim(text, line):
    with pytest.raises(InputError, match=line) as raised:
        parse_aim(text, ["a", "b"])
    assert "\n" not in str(raised.value)


def test_recall_at_precision_is_for_two_classes():
    with pytest.raises(InputError, match="two classes, there are 3"):
        parse_aim("recall@precision=0.5", ["a", "b", "c"])


@pytest.mark.parametrize(
    "written",
    [
        "0,1\n20,0\n",
        "\ufeff,ok,fraud\nok,0,1\nfraud,20,0\n",
        ",fraud,ok\n\nfraud,0,20\nok,1,0\n",
    ],
)
def test_costs_are_read_bare_or_by_the_names_of_classes(tmp_path, written):
    file = tmp_path / "costs.csv"
    file.write_text(written, encoding="utf-8")
    aim = parse_aim(f"costs={file}", ["ok", "fraud"])
    assert aim == Costs(((0.0, 1.0), (20.0, 0.0)))
    assert aim_of(json.loads(json.dumps(aim.to_dict()))) == aim


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("", "square"),
        ("0,1\n", "1 rows of 2 columns"),
        ("0,1\n1\n", "2 rows of 1 or 2 columns"),
        ("0,1,2\n1,0,2\n2,1,0\n", "3 classes, but there are 2"),
        ("0,x\n1,0\n", "expected numbers only"),
        (",ok,cat\nok,0,1\ncat,1,0\n", "names of all classes"),
        (",ok,fraud\nok,0\nfraud,1,0\n", "not of one length"),
        ("0,nan\n1,0\n", "finite"),
    ],
)
def test_costs_that_are_no_square_matrix(tmp_path, written, line):
    file = tmp_path / "costs.csv"
    file.write_text(written)
    with pytest.raises(InputError, match=line) as raised:
        parse_aim(f"costs={file}", ["ok", "fraud"])
    assert "\n" not in str(raised.value)
    assert "costs.csv" in str(raised.value)


RULES = [
    DecisionRule(LogitPrior((0.9, 0.1)), (0.5, 0.5)),
    DecisionRule(
        LogitPrior((0.6, 0.4), 1.0), (0.9, 0.1), FMeasure(2), Calibration(1 / 3), Threshold(0.1 + 0.2, 0)
    ),
    DecisionRule(
        LogitPrior((0.7, 0.2, 0.1), 0.5),
        (0.7, 0.2, 0.1),
        FMeasure(),
        Calibration(2.0, (0.1, -0.1, 0.0)),
        Offsets((0.0, 1 / 3, 2.0)),
    ),
    DecisionRule(LogitPrior((0.9, 0.1)), (0.9, 0.1), Costs(((0.0, 1.0), (20.0, -0.1)))),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.aim.text)
def test_rules_go_through_json_and_decide_the_same(rule, generator):
    again = DecisionRule.from_dict(json.loads(json.dumps(rule.to_dict(), allow_nan=False)))
    assert again == rule
    logits = 3 * torch.randn(200, len(rule.prior), generator=generator)
    kept = logits.clone()
    assert torch.equal(again.decide(logits), rule.decide(logits))
    p = rule.probabilities(logits)
    assert torch.equal(logits, kept)
    torch.testing.assert_close(p.sum(1), torch.ones(200, dtype=torch.float64))
    if rule.thresholds is None:
        assert torch.equal(rule.decide(logits), rule.aim.decide(p, rule.prior))
    else:
        assert torch.equal(rule.decide(logits), rule.thresholds.decide(p.log()))


def changed(path, value):
    record = copy.deepcopy(RULES[1].to_dict())
    place = record
    for name in path[:-1]:
        place = place[name]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return record


@pytest.mark.parametrize(
    ("record", "line"),
    [
        ([], "expected a record of trained, prior"),
        (changed(["aim"], None), "lacks aim"),
        (changed(["colour"], 3), "has unknown colour"),
        (changed(["trained", "tau"], None), "trained: lacks tau"),
        (changed(["trained", "tau"], "x"), "tau"),
        (changed(["prior"], [0.9, 0.2]), r"sum to 1\.1"),
        (changed(["prior"], "data"), "list of numbers"),
        (changed(["prior"], [0.9, "x"]), "list of numbers"),
        (changed(["prior"], [0.8, 0.1, 0.1]), "3 shares for 2 classes"),
        (changed(["aim"], {"aim": "f9x"}), "unknown aim"),
        (changed(["aim"], {"aim": "costs=/etc/passwd"}), "expected|no file"),
        (changed(["aim"], {"aim": "costs"}), "aim, matrix"),
        (changed(["aim"], {"aim": "costs", "matrix": [[1, 2]]}), "square"),
        (changed(["calibration", "temperature"], -1), "temperature"),
        (changed(["calibration", "temperature"], "hot"), "temperature"),
        (changed(["calibration", "bias"], [0.0]), "bias: for 1 classes"),
        (changed(["calibration", "bias"], ["a", "b"]), "bias"),
        (changed(["thresholds"], {"threshold": "x", "positive": 1}), "threshold"),
        (changed(["thresholds"], {"threshold": 0.5, "positive": 2}), "positive"),
        (changed(["thresholds"], {"threshold": 0.5}), "lacks positive"),
        (changed(["thresholds"], {"offsets": [0.0, 0.0, 0.0]}), "offsets: for 3"),
        (changed(["thresholds"], {"offsets": [0.0, math.nan]}), "offsets"),
    ],
)
def test_records_that_are_no_rule_are_refused_in_a_line(record, line):
    with pytest.raises(InputError, match=line) as raised:
        DecisionRule.from_dict(record)
    assert "\n" not in str(raised.value)


def two_classes(rows, generator):
    """Logits that are exact for a prior of 90 : 10, and labels of such rows."""
    labels = (torch.rand(rows, generator=generator) < 0.1).long()
    x = 2 * labels + torch.randn(rows, generator=generator, dtype=torch.float64)
    return torch.stack((0 * x, 2 * x - 2 + math.log(1 / 9)), 1), labels


def test_a_rule_is_fitted_to_what_is_stated(generator):
    logits, labels = two_classes(8_000, generator)
    sure = 3 * logits
    rule = decision_rule(
        LogitPrior((0.9, 0.1)), [90, 10], aim="f1", calibrate="bias", validation=(sure[:4000], labels[:4000])
    )
    torch.testing.assert_close(rule.probabilities(sure), logits.softmax(1), atol=0.05, rtol=0)
    new, own = sure[4000:], labels[4000:]

    def f1(decided):
        return 2 * int((decided & own).sum()) / int((decided + own).sum())

    assert f1(rule.decide(new)) > f1(new.argmax(1)) + 0.02


def test_thresholds_follow_the_stated_prior(generator):
    """For a prior that makes the class common, F1 is best at another probability, found by weighted rows."""
    logits, labels = two_classes(20_000, generator)
    rule = decision_rule(
        LogitPrior((0.9, 0.1)), [90, 10], prior=(0.4, 0.6), aim="f1", validation=(logits, labels)
    )
    more = torch.multinomial(
        torch.where(labels == 1, 6.0, 4 / 9), 20_000, replacement=True, generator=generator
    )
    own = labels[more]
    assert own.double().mean().item() == pytest.approx(0.6, abs=0.02)
    p = rule.probabilities(logits[more])[:, 1]

    def f1(threshold):
        decided = (p >= threshold).long()
        return 2 * int((decided & own).sum()) / int((decided + own).sum())

    assert f1(rule.thresholds.value) >= max(f1(t / 100) for t in range(5, 95, 5)) - 0.005


def test_many_classes_get_offsets(generator):
    labels = torch.randint(3, (300,), generator=generator)
    logits = 2.0 * torch.nn.functional.one_hot(labels, 3) + torch.randn(300, 3, generator=generator)
    rule = decision_rule(LogitPrior((0.8, 0.1, 0.1)), [8, 1, 1], aim="f1", validation=(logits, labels))
    assert isinstance(rule.thresholds, Offsets)


@pytest.mark.parametrize(
    ("stated", "line"),
    [
        ({"aim": "f1"}, "chosen on validation rows; there are none"),
        ({"aim": "recall@precision=0.9"}, "chosen on validation rows; there are none"),
        ({"tune": True}, "chosen on validation rows; there are none"),
        ({"calibrate": "temperature"}, "fitted on validation rows; there are none"),
        ({"calibrate": "warmth"}, "choose one of none, temperature, bias"),
        ({"prior": (0.5, 0.4)}, "sum to 0.9"),
        ({"aim": Costs(((0, 1, 1), (1, 0, 1), (1, 1, 0)))}, "costs: for 3 classes"),
        ({"classes": ["a"]}, "1 names for 2 classes"),
    ],
)
def test_what_is_stated_wrongly_is_said_in_a_line(stated, line):
    with pytest.raises(InputError, match=line) as raised:
        decision_rule(LogitPrior((0.9, 0.1)), [90, 10], **stated)
    assert "\n" not in str(raised.value)
