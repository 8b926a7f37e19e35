"""Each command does its job on a user's own file."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pandas as pd
import pytest

SCHEMA = [
    "method", "seed", "split_hash", "epoch_choice", "epoch", "accuracy", "balanced_accuracy", "many",
    "medium", "few", "nll", "ece", "train_accuracy", "ratio", "network", "parameters", "seconds", "probabilities_for",
    "diverged",
]  # fmt: skip


@pytest.fixture
def trained(midmix, table, tmp_path):
    out = tmp_path / "run"
    outcome = midmix("train", table, "--method", "am-mixup", "--epochs", 30, "--out", out)
    assert outcome.code == 0, outcome.err
    return out


def test_compare_writes_results_and_report_and_prints_the_table(midmix, table, tmp_path):
    out = tmp_path / "out"
    command = ("compare", table, "--methods", "erm,balanced-am-mixup:clean_weight=1+balanced_softmax",
               "--seeds", 2, "--epochs", 3, "--validation", 0.2, "--jobs", 1, "--out", out)  # fmt: skip
    outcome = midmix(*command)
    assert outcome.code == 0, outcome.err
    results = pd.read_parquet(out / "results.parquet")
    assert list(results.columns) == SCHEMA
    assert len(results) == 2 * 2 * 3
    assert set(results.epoch_choice) == {"last", "validation", "test_oracle"}
    assert results.groupby("seed").split_hash.nunique().eq(1).all()
    assert "erm" in outcome.out
    assert str(out / "report.html") in outcome.out
    page = (out / "report.html").read_text()
    assert "&lt;b&gt;emu" in page
    assert "<b>emu" not in page

    models = sorted(out.glob("runs/*/model.safetensors"))
    before = [path.stat().st_mtime_ns for path in models]
    again = midmix(*command)
    assert again.code == 0
    assert [path.stat().st_mtime_ns for path in models] == before, "finished runs are not run again"


def test_a_run_that_was_cut_short_is_told_the_command_that_trains_it_longer(midmix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    how = ("--method", "erm", "--imbalance", 10, "--epochs", 6, "--seed", 1)
    outcome = midmix("train", "digits", *how, "--out", "short")
    assert outcome.code == 0, outcome.err
    assert "training has not converged" in outcome.out
    found = outcome.out[outcome.out.index("midmix train digits") :]
    command = shlex.split(found[: found.index("--out again") + len("--out again")].replace("\\\n", " "))
    again = midmix(*command[1:])
    assert again.code == 0, again.err
    before, after = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("short", "again"))
    assert after["settings"] == {**before["settings"], "epochs": 12}
    for same in ("method", "seed", "imbalance", "ranks", "splits", "split_hash"):
        assert after[same] == before[same]


def test_the_verdict_of_two_classes_has_average_precision_in_place_of_rare_classes(midmix, table, tmp_path):
    frame = pd.read_csv(table)
    frame[frame.label != "cat"].to_csv(tmp_path / "two.csv", index=False)
    outcome = midmix("compare", tmp_path / "two.csv", "--methods", "erm,mixup", "--seeds", 3, "--epochs", 3,
                     "--width", 8, "--jobs", 1, "--out", tmp_path / "out")  # fmt: skip
    assert outcome.code == 0, outcome.err
    verdict = outcome.out[outcome.out.rindex("\nVerdict") :]
    assert "Average precision: " in verdict
    assert "Rare classes" not in verdict
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<dt>Average precision</dt>" in page[page.index('id="verdict"') :]


def test_compare_ends_with_a_verdict_whose_command_trains_the_same_way(midmix, table, tmp_path):
    outcome = midmix("compare", table, "--methods", "mixup,erm", "--seeds", 2, "--epochs", 3, "--width", 8,
                     "--jobs", 1, "--out", tmp_path / "out")  # fmt: skip
    assert outcome.code == 0, outcome.err
    table_at, verdict_at = outcome.out.index("Last epoch, mean over seeds"), outcome.out.index("\nVerdict")
    assert table_at < verdict_at < outcome.out.rindex("midmix train")
    last = outcome.out[outcome.out.rindex("midmix train") :].replace("\\\n", " ")
    command = shlex.split(last)[1:]
    assert command[-4:] == ["--width", "8", "--epochs", "3"]

    again = midmix(*command, "--out", tmp_path / "run")
    assert again.code == 0, again.err
    line = command[command.index("--method") + 1]
    first = json.loads((tmp_path / "out" / "runs" / f"{line}-seed0" / "run.json").read_text())
    then = json.loads((tmp_path / "run" / "run.json").read_text())
    for name in ("method", "settings", "reading", "split_hash", "class_counts"):
        assert then[name] == first[name]


def test_another_baseline_is_named_in_the_terminal_the_tables_and_the_page(midmix, table, tmp_path):
    out = tmp_path / "out"
    outcome = midmix("compare", table, "--methods", "erm,mixup", "--baseline", "mixup", "--seeds", 2,
                     "--epochs", 2, "--jobs", 1, "--out", out)  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "paired difference from mixup" in " ".join(outcome.out.split())
    for file in ("tables.md", "report.html"):
        assert "paired difference from mixup" in " ".join((out / file).read_text().split())


def test_a_configuration_file_gives_what_flags_give_and_flags_override_it(midmix, table, tmp_path):
    config = tmp_path / "study.yaml"
    config.write_text("methods: erm,mixup\nseeds: 1\nepochs: 2\n")
    outcome = midmix(
        "compare", table, "--config", config, "--methods", "erm", "--out", tmp_path / "out", "--jobs", 1
    )
    assert outcome.code == 0, outcome.err
    results = pd.read_parquet(tmp_path / "out" / "results.parquet")
    assert set(results.method) == {"erm"}
    assert set(results.epoch) <= {1, 2}


def test_a_configuration_file_alone(midmix, table, tmp_path):
    config = tmp_path / "study.yaml"
    config.write_text("methods: erm,mixup\nseeds: 1\nepochs: 2\nwidth: null\nlearning-rate: 1e-2\n")
    outcome = midmix("compare", table, "--config", config, "--out", tmp_path / "out", "--jobs", 1)
    assert outcome.code == 0, outcome.err
    results = pd.read_parquet(tmp_path / "out" / "results.parquet")
    assert list(results[results.epoch_choice == "last"].method) == ["erm", "mixup"]


def test_predict_names_each_row_with_its_class_and_probability(midmix, trained, table, tmp_path):
    unlabelled = tmp_path / "new.csv"
    unlabelled.write_text("height,weight\n0.1,0.0\n0.0,3.1\n")  # another order of columns than in training
    outcome = midmix("predict", trained, unlabelled, "--out", tmp_path / "p.csv", "--all-classes")
    assert outcome.code == 0, outcome.err
    predictions = pd.read_csv(tmp_path / "p.csv")
    assert list(predictions["class"]) == ["cat", "dog"]
    assert list(predictions["name"]) == [0, 1]
    columns = [f"probability:{name}" for name in ("<b>emu</b>", "cat", "dog")]
    assert predictions[columns].sum(axis=1).round(5).eq(1).all()
    assert predictions[columns].max(axis=1).round(6).eq(predictions["probability"].round(6)).all()


def test_evaluate_says_what_training_said(midmix, trained, table):
    outcome = midmix("evaluate", trained, table)
    assert outcome.code == 0, outcome.err
    assert "<b>emu</b>" in outcome.out
    assert "balanced" in outcome.out


def test_methods_lists_every_recipe_and_criterion(midmix, monkeypatch):
    from midmix import losses, recipes
    from midmix.cli.console import console

    monkeypatch.setattr(console, "_width", 80)
    outcome = midmix("methods")
    assert outcome.code == 0
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert "arXiv 1905.04899; alpha=1.0, per_row=False" in outcome.out
    for name in (*recipes(), *losses.losses()):
        assert name in outcome.out


def test_methods_lists_one_kind_says_all_of_one_part_and_suggests_near_names(midmix):
    heads = midmix("methods", "heads")
    assert heads.code == 0
    assert "experts" in heads.out
    assert "arXiv 2010.01809" in heads.out
    assert "tau_norm" not in heads.out
    part = midmix("methods", "logit_adjustment")  # a loss and a stage
    assert part.code == 0
    assert part.out.count("logit_adjustment, one of the") == 2
    assert "did you mean tau_norm" in midmix("methods", "tau-norm").complaint


def test_help_shows_defaults(midmix):
    assert (
        "[default: 0.05 for features, 0.1 for images]"
        in " ".join(midmix("compare", "--help").out.split()).replace("│ │ ", "")
        or "0.05 for features" in midmix("compare", "--help").out
    )


def test_every_setting_has_a_flag():
    from dataclasses import fields

    from midmix.cli.flags import TrainingFlags
    from midmix.training import Settings

    flags = [field.name for field in fields(TrainingFlags) if field.name != "recipe"]  # a paper's settings
    assert flags == [field.name for field in fields(Settings)]


def test_a_run_that_failed_says_so_and_what_to_do(midmix, tmp_path):
    flags = "--learning-rate", "0.000001", "--epochs", "2", "--network", "mlp-16", "--seeds", "1"
    found = midmix("compare", "digits", "--methods", "erm", *flags, "--jobs", "1", "--out", tmp_path / "c")
    assert found.code == 0
    assert "Health of the runs" in found.out
    assert "nothing was learned: erm (1 of 1 run)" in found.out
    assert "To do: see that labels belong to their rows" in " ".join(found.out.split())
    alone = midmix("train", "digits", "--method", "erm", *flags[:-2], "--out", tmp_path / "r")
    assert "nothing was learned: balanced test accuracy is" in alone.out


def test_features_of_an_encoder_get_a_linear_classifier_and_are_told_so(midmix, tmp_path):
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1], [60, 20])
    features = draw.normal(size=(80, 128)) + 2 * labels[:, None]
    np.savez(tmp_path / "features.npz", features=features, labels=labels)
    outcome = midmix(
        "train", tmp_path / "features.npz", "--method", "discriminant", "--out", tmp_path / "run"
    )
    assert outcome.code == 0, outcome.err
    assert "network: linear, for 128 measured columns" in outcome.err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["epochs"] == 20


def test_controls_are_added_where_they_are_asked_for_and_named_where_they_are_not(midmix, table, tmp_path):
    common = (
        "compare",
        table,
        "--methods",
        "mixup+balanced_softmax",
        "--seeds",
        1,
        "--epochs",
        2,
        "--width",
        8,
    )
    without = midmix(*common, "--out", tmp_path / "without", "--jobs", 1)
    assert without.code == 0, without.err
    said = " ".join((without.out + without.err).split())
    assert "controls that are not among the lines: erm+balanced_softmax, discriminant" in said
    added = midmix(*common, "--controls", "--out", tmp_path / "added", "--jobs", 1)
    assert added.code == 0, added.err
    methods = set(pd.read_parquet(tmp_path / "added" / "results.parquet").method)
    assert methods == {
        "mixup+balanced_softmax", "erm+balanced_softmax", "discriminant", "logistic", "ridge", "lda",
        "hist-gradient-boosting",
    }  # fmt: skip


TRACKER = """
from pathlib import Path
from accelerate.tracking import GeneralTracker

class Kept(GeneralTracker):
    name, requires_logging_directory, tracker = "kept", True, None

    def __init__(self, run, folder):
        super().__init__()
        self.file = Path(folder, run)

    def log(self, values, step=None):
        with self.file.open("a") as file:
            print(step, values, file=file)
"""


def test_compare_tells_trackers_of_its_runs_and_its_table(midmix, table, tmp_path):
    (tmp_path / "own.py").write_text(TRACKER)
    out = tmp_path / "out"
    command = ("compare", table, "--methods", "erm,ridge", "--no-controls", "--seeds", 1, "--epochs", 2, "--jobs", 1,
               "--track", f"{tmp_path}/own.py:Kept", "--out", out)  # fmt: skip
    assert midmix(*command).code == 0
    assert {path.name for path in (out / "tracked").iterdir()} == {"erm-seed0", "ridge-seed0", "comparison"}
    assert "epoch/test_accuracy" in (out / "tracked" / "ridge-seed0").read_text()
    told = (out / "tracked" / "comparison").read_text()
    assert "| method | overall % |" in told
    assert (out / "tables.md").read_text().splitlines()[4] in told.replace("\\n", "\n")
    outcome = midmix("train", table, "--track", "wanbd", "--out", tmp_path / "run")
    assert outcome.code == 2
    assert "did you mean wandb, swanlab?" in outcome.complaint
    assert not (tmp_path / "run").exists()
