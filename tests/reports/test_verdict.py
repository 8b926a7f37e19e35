"""What the verdict says where the answer is known."""

import io
import shlex

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from midmix.errors import InputError
from midmix.reports import read_comparison, terminal_verdict
from midmix.reports import tested_runs as outputs_of  # else taken for a test
from midmix.reports.verdict import verdict_of

SPREAD = np.array([0.00, 0.01, -0.01, 0.005, -0.005])


def _runs(seeds=5, **means):
    """Lines whose accuracies and NLL are around these means; the same luck of the seed moves all of them."""
    generator = np.random.default_rng(0)
    tables = []
    for line, (accuracy, few, nll) in means.items():
        own = generator.normal(0, 0.004, (3, seeds))
        luck = SPREAD[:seeds]
        tables.append(
            pd.DataFrame(
                {
                    "method": line.replace("_", "-"),
                    "seed": range(seeds),
                    "split_hash": [str(seed) for seed in range(seeds)],
                    "epoch_choice": "last",
                    "accuracy": accuracy + luck + own[0],
                    "few": few + luck + own[1],
                    "nll": nll - luck + own[2],
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _by_aim(verdict):
    return {finding.aim: finding for finding in verdict.findings}


CLEAR = {"erm": (0.80, 0.50, 0.60), "mixup": (0.70, 0.55, 0.90), "am_mixup": (0.90, 0.70, 0.80)}
TIED = {"erm": (0.80, 0.50, 0.60), "mixup": (0.9000, 0.70, 0.50), "am_mixup": (0.9001, 0.70, 0.50)}


def test_a_clear_winner_is_named_with_its_lead_over_the_second_and_its_price():
    verdict = verdict_of(_runs(**CLEAR), source="digits")
    found = _by_aim(verdict)
    assert {aim: (one.line, one.wins) for aim, one in found.items()} == {
        "Overall accuracy": ("am-mixup", True),
        "Rare classes": ("am-mixup", True),
        "Likelihood": ("erm", True),
    }
    assert found["Overall accuracy"].text.startswith("Ahead of all 2 others; of the second, erm, by ")
    assert found["Rare classes"].text.startswith("Ahead of all 2 others; of the second, mixup, by ")
    assert found["Overall accuracy"].costs.startswith("It costs: likelihood +0.2")
    assert found["Overall accuracy"].costs.endswith("in NLL against erm.")
    # erm's price on an aim is told against whoever is best there
    assert found["Likelihood"].costs.count("against am-mixup") == 2


def test_each_winner_has_a_command_and_nobody_else():
    steps = verdict_of(_runs(**CLEAR), source="my data", flags=["--epochs", "3"]).next
    assert [shlex.join(step.command) for step in steps] == [
        "midmix train 'my data' --method am-mixup --epochs 3",
        "midmix train 'my data' --method erm --epochs 3",
    ]
    assert "overall accuracy and rare classes" in steps[0].why


def test_two_that_lead_together_are_no_winner_though_both_beat_the_baseline():
    found = _by_aim(verdict_of(_runs(**TIED)))["Overall accuracy"]
    assert not found.wins
    assert found.rivals in (("mixup",), ("am-mixup",))
    assert "is not told from" in found.text
    assert "It does lead erm." in found.text
    assert found.costs == ""


def test_where_nobody_wins_the_baseline_goes_without_saying_if_it_is_among_the_best():
    alike = {"erm": (0.80, 0.50, 0.60), "mixup": (0.801, 0.501, 0.60)}
    (step,) = verdict_of(_runs(**alike)).next
    assert step.command[-1] == "erm"
    assert "No line is shown to beat erm" in step.why
    (step,) = verdict_of(_runs(**{**TIED, "mixup": TIED["am_mixup"]})).next
    assert step.command[-1] in ("mixup", "am-mixup")


def test_the_seeds_it_asks_for_decide_it():
    generator = np.random.default_rng(1)
    noise = generator.normal(0, 1, 3)
    noise = (noise - noise.mean()) / noise.std(ddof=1)

    def table(seeds, noise):
        return pd.DataFrame(
            {
                "method": ["erm"] * seeds + ["mixup"] * seeds,
                "seed": [*range(seeds)] * 2,
                "split_hash": [*map(str, range(seeds))] * 2,
                "epoch_choice": "last",
                "accuracy": [*[0.8] * seeds, *(0.81 + 0.01 * noise)],
            }
        )

    (found,) = verdict_of(table(3, noise)).findings
    assert not found.wins
    asked = int(found.text.partition("about ")[2].split(" ")[0])
    assert asked > 3

    def decides(seeds):  # the same mean and the same deviation over more seeds
        more = generator.normal(0, 1, seeds)
        (then,) = verdict_of(table(seeds, (more - more.mean()) / more.std(ddof=1))).findings
        return then.wins

    assert decides(asked)
    assert not decides(asked - 1)


@pytest.mark.parametrize("tested", [True, False])
def test_test_rows_are_advice_only_where_they_are_known(make_comparison, tmp_path, tested):
    lines = (("erm", "cross_entropy"), ("mixup", "cross_entropy"))
    comparison = read_comparison(make_comparison(tmp_path, lines=lines, rows=100))
    outputs = outputs_of(comparison) if tested else None
    text = " ".join(finding.text for finding in verdict_of(comparison.results, tested=outputs).findings)
    assert "is not told from" in text
    assert ("test rows" in text) == tested


def test_one_seed_decides_nothing_and_says_so():
    verdict = verdict_of(_runs(1, **CLEAR))
    assert not any(finding.wins for finding in verdict.findings)
    assert all("one seed, so no interval" in finding.text for finding in verdict.findings)
    assert len(verdict.next) == 1


def test_a_difference_without_any_spread_is_no_certainty():
    table = _runs(**CLEAR)
    table["accuracy"] = table["method"].map({"erm": 0.8, "mixup": 0.7, "am-mixup": 0.9})
    found = _by_aim(verdict_of(table))["Overall accuracy"]
    assert not found.wins
    assert "the same in every seed" in found.text


def test_lines_that_are_alike_in_every_run_are_told_so():
    table = _runs(erm=CLEAR["erm"])
    table = pd.concat([table, table.assign(method="mixup")], ignore_index=True)
    for finding in verdict_of(table).findings:
        assert not finding.wins
        assert "no difference at all" in finding.text


def test_two_lines_have_one_difference_and_no_correction():
    verdict = verdict_of(_runs(erm=CLEAR["erm"], am_mixup=CLEAR["am_mixup"]))
    found = _by_aim(verdict)
    assert found["Overall accuracy"].text.startswith("Ahead of erm by ")
    assert found["Likelihood"].line == "erm"
    assert "Holm" not in verdict.note


def test_one_line_has_a_command_and_no_finding():
    verdict = verdict_of(_runs(am_mixup=CLEAR["am_mixup"]))
    assert verdict.findings == []
    assert [step.command[-1] for step in verdict.next] == ["am-mixup"]
    assert "One line" in verdict.note


def test_lines_without_a_seed_in_common_are_not_compared():
    table = _runs(erm=CLEAR["erm"], am_mixup=CLEAR["am_mixup"])
    table.loc[table["method"] == "erm", "split_hash"] += "other"
    for finding in verdict_of(table).findings:
        assert not finding.wins
        assert "No seed is shared" in finding.text


def test_a_baseline_that_is_not_there_is_named():
    with pytest.raises(InputError, match="unknown baseline 'mixupp': did you mean mixup"):
        verdict_of(_runs(**CLEAR), baseline="mixupp")


def test_no_false_winner_among_lines_that_are_equal():
    """Nine lines of one distribution: a winner in no more than 5 % of comparisons, whoever looks best."""
    generator = np.random.default_rng(2)
    wins = 0
    for _ in range(60):
        table = pd.DataFrame(
            {
                "method": np.repeat([f"line{i}" for i in range(9)], 5),
                "seed": np.tile(np.arange(5), 9),
                "split_hash": np.tile([*"abcde"], 9),
                "epoch_choice": "last",
                "accuracy": generator.normal(0.8, 0.01, 45),
            }
        )
        wins += verdict_of(table).findings[0].wins
    assert wins <= 3


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal_ends_with_a_command_that_a_shell_takes(width):
    written = io.StringIO()
    shown = terminal_verdict(_runs(**CLEAR), source="my [red]data", flags=["--epochs", "3", "--width", "64"])
    Console(width=width, file=written, force_terminal=False).print(shown)
    text = written.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert text.index("Overall accuracy: am-mixup") < text.index("Likelihood: erm")
    last = " ".join(line.strip() for line in text[text.rindex("midmix train") :].split("\\\n"))
    assert shlex.split(last) == shlex.split("midmix train 'my [red]data' --method erm --epochs 3 --width 64")


def test_a_line_far_ahead_of_eight_equal_ones_wins():
    """Five standard deviations and five seeds: enough over the lines, too little for all 36 pairs at once."""
    generator = np.random.default_rng(3)
    wins = 0
    for _ in range(10):
        values = generator.normal(0.8, 0.01, (9, 5))
        values[4] += 0.05
        table = pd.DataFrame(
            {
                "method": np.repeat([f"line{i}" for i in range(9)], 5),
                "seed": np.tile(np.arange(5), 9),
                "split_hash": np.tile([*"abcde"], 9),
                "epoch_choice": "last",
                "accuracy": values.ravel(),
            }
        )
        (found,) = verdict_of(table).findings
        wins += found.wins and found.line == "line4"
    assert wins >= 9
