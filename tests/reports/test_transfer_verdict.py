"""What the verdict of a transfer says where the answer is known."""

import shlex
from pathlib import Path

import numpy as np
import pandas as pd

from midmix.reports.comparison import Comparison
from midmix.reports.transfer_verdict import transfer_verdict
from midmix.reports.transferred import Transferred

AGAIN = ["midmix", "transfer", "my data", "--classes-per-group", "3"]


def transferred(seeds=5, noise=0.004, **means):
    """Lines whose probe accuracy, k-NN accuracy and accuracy on the groups are around these means."""
    generator = np.random.default_rng(0)
    luck = generator.normal(0, 0.01, seeds)
    tables = []
    for line, (probe, knn, groups) in means.items():
        own = generator.normal(0, noise, (3, seeds))
        tables.append(
            pd.DataFrame(
                {
                    "method": line.replace("_", "-"),
                    "seed": range(seeds),
                    "split_hash": [str(seed) for seed in range(seeds)],
                    "epoch_choice": "last",
                    "accuracy": probe + luck + own[0],
                    "knn_accuracy": knn + luck + own[1],
                    "coarse_accuracy": groups + luck + own[2],
                }
            )
        )
    results = pd.concat(tables, ignore_index=True)
    return Transferred(Comparison(Path("out"), results, list(results["method"].unique()), "erm", []), [])


BOUNDS = {"fine_labels": (0.99, 0.99, 0.99), "random_encoder": (0.1, 0.1, 0.1)}


def test_the_bounds_take_no_part_and_a_winner_has_its_price():
    found = transferred(
        erm=(0.70, 0.60, 0.95), am_mixup=(0.80, 0.70, 0.90), mixup=(0.72, 0.62, 0.94), **BOUNDS
    )
    verdict = transfer_verdict(found, AGAIN)
    by_aim = {one.aim: one for one in verdict.findings}
    assert {aim: (one.line, one.wins) for aim, one in by_aim.items()} == {
        "Linear probe": ("am-mixup", True),
        "Nearest neighbours": ("am-mixup", True),
        "The groups themselves": ("erm", by_aim["The groups themselves"].wins),
    }
    assert verdict.pairs == 3
    assert "the groups themselves" in by_aim["Linear probe"].costs
    first = verdict.next[0]
    assert shlex.join(first.command) == "midmix analyze out/runs/am-mixup-seed0"
    assert "linear probe, nearest neighbours" in first.why


def test_where_nobody_wins_the_command_asks_for_the_seeds_that_would_decide():
    found = transferred(erm=(0.7, 0.6, 0.9), am_mixup=(0.704, 0.6, 0.9), noise=0.008, **BOUNDS)
    verdict = transfer_verdict(found, AGAIN)
    assert not any(one.wins for one in verdict.findings)
    seeds = next(one.seeds for one in verdict.findings if one.seeds)
    (step,) = verdict.next
    assert step.command == [*AGAIN, "--methods", "erm,am-mixup", "--seeds", str(seeds), "--out", "out"]
    assert seeds > 5
    assert f"about {seeds} seeds" in next(one.text for one in verdict.findings if one.seeds)


def test_where_no_number_of_seeds_decides_there_is_a_command_all_the_same():
    found = transferred(1, erm=(0.7, 0.6, 0.9), am_mixup=(0.704, 0.6, 0.9), **BOUNDS)
    verdict = transfer_verdict(found, AGAIN)
    assert [shlex.join(step.command) for step in verdict.next] == ["midmix analyze out/runs/erm-seed0"]
    one = transfer_verdict(transferred(am_mixup=(0.7, 0.6, 0.9), **BOUNDS), AGAIN)
    assert one.findings == []
    assert shlex.join(one.next[0].command) == "midmix analyze out/runs/am-mixup-seed0"
