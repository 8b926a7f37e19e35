"""Equal tuning: what is tried, on which rows, and how it goes on where it was interrupted."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace

import pytest
import torch

from midmix.errors import InputError
from midmix.methods import Method, default_lines, parse_methods
from midmix.methods.ranges import RANGES, ranges_of
from midmix.reports import tuned_commands, tuning_of, write_tables
from midmix.studies import compare
from midmix.studies.search import FOLDS, defaults, draw, folds_of, space_of
from midmix.training import Run, Settings, finished

pytest.importorskip("optuna")
LINES = parse_methods(["erm", "mixup", "ridge"])


@pytest.fixture
def quick():
    return Settings(network="linear", epochs=4, batch_size=16, evaluate_every=4)


def outcomes(folder):
    return {path.parent.name: path.read_text() for path in sorted(folder.glob("search/runs/*/search.json"))}


def test_every_range_is_of_an_option_and_holds_its_default():
    for name, one in RANGES.items():
        part, _, option = name.partition(":")
        text = f"erm+{part}" if part == "balanced_softmax" else part
        found = ranges_of(Method.parse(text))
        assert found[name] == one
        assert (
            ranges_of(Method.parse(f"{text}:{option}={one.tidy((one.low + one.high) / 2)}")).get(name) is None
        )
        for value in (one.low, one.high):
            Method.parse(f"{text}:{option}={one.tidy(value)}")


@pytest.mark.parametrize("line", default_lines("features"), ids=str)
def test_draws_lie_in_their_ranges_and_depend_on_what_came_before_alone(line):
    run = Run(line, 0, Settings())
    space, given = space_of(run), defaults(run)
    assert space.keys() == given.keys()
    kept = [{"values": {}, "score": 0.5}]
    for number in range(1, 7):
        values = draw(space, given, kept, number, 8)
        assert values == draw(space, given, kept, number, 8)
        assert all(values[name] in space[name] for name in space)
        run.method.with_options({name: value for name, value in values.items() if ":" in name}).check()
        kept.append({"values": values, "score": number / 10})
    assert not space or len({json.dumps(one["values"]) for one in kept}) == len(kept)


def test_each_row_is_held_out_once_and_no_class_loses_its_last_row():
    labels = torch.tensor([0] * 20 + [1] * 7 + [2] * 2 + [3])
    held_out = folds_of(labels, FOLDS, seed=1)
    assert torch.cat(held_out).sort().values.tolist() == list(range(29))
    for rows in held_out:
        stays = torch.ones(len(labels), dtype=torch.bool)
        stays[rows] = False
        assert labels[stays].bincount(minlength=4).min() >= 1
    assert all(torch.equal(*pair) for pair in zip(held_out, folds_of(labels, FOLDS, seed=1), strict=True))


def test_lines_are_tuned_alike_without_a_look_at_the_test_rows(blobs, quick, tmp_path):
    results = compare(blobs, LINES, tmp_path / "one", quick, seeds=2, search=3, jobs=1)
    assert set(results["method"]) == {"erm", "mixup", "ridge"}  # a tuned line keeps its name
    records = [
        record for path in (tmp_path / "one" / "runs").iterdir() if (record := finished(path)) is not None
    ]
    assert len(records) == 6
    for record in records:
        found = json.loads(outcomes(tmp_path / "one")[f"{record['method']}-seed0"])
        assert len(found["draws"]) == record["search"]["draws"] == 3
        assert record["search"]["score"] == max(one["score"] for one in found["draws"])
        assert record["search"]["score_before"] == found["draws"][0]["score"]
        chosen = record["search"]["chosen"]
        assert {name: record["settings"][name] for name in chosen if ":" not in name} == {
            name: value for name, value in chosen.items() if ":" not in name
        }
        text, _ = tuned_commands([record])[record["method"]]
        assert Method.parse(text).as_dict() == record["specification"]
    assert "3 draws" in tuning_of(records)
    assert "3 draws" in write_tables(tmp_path / "one").read_text()
    assert not list((tmp_path / "one").glob("search/runs/*/trials"))

    other = replace(
        blobs, test=replace(blobs.test, inputs=-blobs.test.inputs, labels=blobs.test.labels.flip(0))
    )
    compare(other, LINES, tmp_path / "two", quick, seeds=1, search=3, jobs=1)
    assert outcomes(tmp_path / "two") == outcomes(tmp_path / "one")


def test_an_interrupted_search_ends_as_an_uninterrupted_one(blobs, quick, tmp_path):
    steps, last = 0, math.inf

    def interrupt(progress):
        nonlocal steps
        steps += progress.moment is not None
        if steps > last:
            raise KeyboardInterrupt

    compare(blobs, LINES, tmp_path / "whole", quick, seeds=1, search=3, jobs=1, watch=interrupt)
    steps, last = 0, steps // 3

    with pytest.raises(KeyboardInterrupt):
        compare(blobs, LINES, tmp_path / "broken", quick, seeds=1, search=3, jobs=1, watch=interrupt)
    assert list((tmp_path / "broken").glob("search/runs/*/draws.json"))  # in the midst of a line
    compare(blobs, LINES, tmp_path / "broken", quick, seeds=1, search=3, jobs=1)
    assert outcomes(tmp_path / "broken") == outcomes(tmp_path / "whole")


def test_a_folder_has_one_budget(blobs, quick, tmp_path):
    compare(blobs, LINES[:1], tmp_path, quick, seeds=1, jobs=1)
    with pytest.raises(InputError, match="search_draws is None there and 2 here"):
        compare(blobs, LINES[:1], tmp_path, quick, seeds=1, search=2, jobs=1)
    assert not (tmp_path / "search").exists()
    assert "Nothing was tuned" in write_tables(tmp_path).read_text()


def test_without_optuna_a_line_says_what_to_install(blobs, quick, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"midmix\[search\]"):
        compare(blobs, LINES[:1], tmp_path / "none", quick, seeds=1, search=2, jobs=1)
    assert not (tmp_path / "none").exists()
