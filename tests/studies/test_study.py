"""Studies as real processes: killed in the middle, gone on with, added to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from midmix.cli.app import run
from midmix.cli.console import console

LIMIT = 60
FILE = """
methods: [erm, "balanced-midpoint:ratio={{ratio}}"]
options: {{ratio: {ratios}}}
settings: {{network: mlp-8, epochs: {epochs}, evaluate_every: 10000}}
seeds: 2
oracle: "balanced-midpoint:ratio={{ratio}}"
sets:
  ten: {{source: digits, imbalance: 10}}
  fifty: {{source: digits, imbalance: {fifty}}}
"""


def write(tmp_path: Path, *, epochs: int = 2, ratios: str = "[0.5]", fifty: int = 50) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(FILE.format(epochs=epochs, ratios=ratios, fifty=fifty))
    return path


def start(*arguments: object) -> subprocess.Popen[str]:
    """A study in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "midmix", "study", *map(str, arguments), "--jobs", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        start_new_session=True,
    )


def end(*arguments: object) -> int:
    """A study in this process, to its end."""
    return run(["study", *map(str, arguments), "--jobs", "1"])


def records(out: Path) -> dict[str, int]:
    found = out.glob("sets/*/runs/*/run.json")
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in found}


def test_one_killed_in_the_middle_ends_with_the_numbers_of_one_that_was_not(tmp_path):
    file, whole, out = write(tmp_path, epochs=15), tmp_path / "whole", tmp_path / "out"
    process = start(file, "--out", out)
    until = time.monotonic() + LIMIT
    while not records(out) and time.monotonic() < until and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = records(out)
    assert kept
    assert not (out / "results.parquet").exists(), "it was over before it was killed"
    assert end(file, "--out", out) == 0
    after = records(out)
    assert len(after) > len(kept)
    assert {name: after[name] for name in kept} == kept, "finished runs are not run again"
    assert end(file, "--out", whole) == 0
    columns = ["set", "family", "method", "seed", "split_hash", "accuracy", "nll", "ratio"]
    left, right = (pd.read_parquet(one / "results.parquet")[columns] for one in (whole, out))
    pd.testing.assert_frame_equal(left, right)


def test_seeds_and_values_come_later_and_those_left_out_are_not_shown(tmp_path):
    out = tmp_path / "out"
    assert end(write(tmp_path), "--out", out) == 0
    before = records(out)
    assert len(before) == 2 * 2 * 2
    assert end(write(tmp_path, ratios="[0.5, 0.75]"), "--out", out, "--seeds", 3) == 0
    after = records(out)
    assert len(after) == 2 * 3 * 3
    assert {name: after[name] for name in before} == before

    results = pd.read_parquet(out / "results.parquet")
    assert results.groupby(["set", "method"])["seed"].nunique().eq(3).all()
    text = (out / "tables.md").read_text()
    assert text.index("## Regret") < text.index("## ten") < text.index("## fifty")
    svg = (out / "curves" / "balanced_accuracy-ten.svg").read_text()
    assert "ratio" in svg
    curve = pd.read_csv(out / "curves" / "balanced-accuracy.csv")
    assert sorted(curve[curve["set"] == "ten"]["value"].dropna()) == [0.5, 0.75]

    assert end(write(tmp_path), "--out", out, "--seeds", 1) == 0
    results = pd.read_parquet(out / "results.parquet")
    assert set(results["method"]) == {"erm", "balanced-midpoint:ratio=0.5"}
    assert set(results["seed"]) == {0}
    assert records(out) == after


def test_a_set_that_is_another_now_and_a_folder_of_something_else_are_refused(tmp_path, capfd):
    out = tmp_path / "out"
    assert end(write(tmp_path), "--out", out, "--seeds", 1) == 0
    before = records(out)
    for fifty, place in [(20, out), (50, tmp_path)]:
        capfd.readouterr()
        assert end(write(tmp_path, fifty=fifty), "--out", place) == 2
        (line,) = [line for line in capfd.readouterr().err.splitlines() if "midmix: " in line]
        assert "another" in line
        assert "--out" in line
    assert records(out) == before


def test_what_cannot_run_on_one_set_is_said_before_any_has_run(tmp_path, capfd):
    path = tmp_path / "study.yaml"
    path.write_text(
        "methods: [erm]\nsettings: {epochs: 1}\n"
        "sets: {a: {source: digits}, b: {source: digits, imbalance: 5000}}"
    )
    assert end(path, "--out", tmp_path / "out") == 2
    assert "midmix: set b: " in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_terminal_shows_the_name_of_every_set_whole(tmp_path, capsys, monkeypatch):
    """Sets that do not fit beside one another stand under one another."""
    names = [f"a-set-of-a-long-name-{number}" for number in range(6)]
    sets = "".join(f"  {name}: {{source: digits, imbalance: {9 + i}}}\n" for i, name in enumerate(names))
    path = tmp_path / "study.yaml"
    path.write_text(
        f"methods: [erm, mixup]\nsettings: {{network: mlp-8, epochs: 1}}\nseeds: 1\nsets:\n{sets}"
    )
    monkeypatch.setattr(console, "width", 80)
    assert end(path, "--out", tmp_path / "out") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in names)
    assert shown.count("mixup") >= 2  # each line beside each of them
