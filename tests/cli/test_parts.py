"""Parts of an array of jobs: they share a folder, and whoever ends last writes the report."""

from __future__ import annotations

import pandas as pd


def test_the_part_that_ends_last_writes_the_report(midmix, table, tmp_path):
    out = tmp_path / "out"
    command = (
        "compare",
        table,
        "--methods",
        "erm,mixup",
        "--seeds",
        2,
        "--epochs",
        2,
        "--jobs",
        1,
        "--out",
        out,
    )
    first = midmix(*command, "--part", "0/2", "--threads", 1)
    assert first.code == 0, first.err
    assert "part 0/2 is done; of all, 2 of 4 runs are finished" in first.err
    assert not (out / "report.html").exists()
    none = midmix(*command, "--part", "5/6")
    assert none.code == 0, none.err
    assert "2 of 4 runs" in none.err
    second = midmix(*command, "--part", "1/2")
    assert second.code == 0, second.err
    assert (out / "report.html").exists()
    assert len(pd.read_parquet(out / "results.parquet").drop_duplicates(["method", "seed"])) == 4


def test_a_study_and_a_transfer_have_parts_too(midmix, tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(
        "methods: [erm, mixup]\nseeds: 1\nsets: {digits: {source: digits, epochs: 1, network: linear}}\n"
    )
    out = tmp_path / "study"
    for part, written in (("1/2", False), ("2/3", False), ("0/2", True)):
        outcome = midmix("study", file, "--out", out, "--jobs", 1, "--part", part)
        assert outcome.code == 0, outcome.err
        assert (out / "tables.md").exists() == written
    for part, written in (("0/3", False), ("1/3", False), ("2/3", True)):
        outcome = midmix("transfer", "digits", "--methods", "erm", "--seeds", 1, "--epochs", 1, "--network", "mlp-8",
                         "--out", tmp_path / "transfer", "--jobs", 1, "--part", part)  # fmt: skip
        assert outcome.code == 0, outcome.err
        assert (tmp_path / "transfer" / "report.html").exists() == written


def test_a_part_that_there_is_not_is_refused_before_anything_is_written(midmix, table, tmp_path):
    for part in ("2/2", "1", "a/b", "-1/2"):
        outcome = midmix("compare", table, "--out", tmp_path / "out", f"--part={part}")
        assert outcome.code == 2
        assert f"--part {part}: give i/n with i from 0 to n - 1" in outcome.complaint
    assert not (tmp_path / "out").exists()
