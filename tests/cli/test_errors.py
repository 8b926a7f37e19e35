"""What bad input gets: one line that says what, where and what to do; exit code 2; nothing half-written."""

from __future__ import annotations

import errno
import json
import sys
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from midmix.cli.app import COMMANDS, app


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "digit"], ["unknown source 'digit'", "digits"]),
        (["compare", "digits", "--methods", "erm,am-mixpu"], ["unknown method 'am-mixpu'", "am-mixup"]),
        (["compare", "digits", "--methods", "am-mixup:bta=1"], ["unknown option of am-mixup 'bta'", "beta"]),
        (["compare", "digits", "--methods", "am-mixup:beta=3"], ["beta: 3", "0.6931"]),
        (["compare", "digits", "--methods", "mixup:alpha=x"], ["mixup", "alpha"]),
        (
            ["compare", "digits", "--methods", "erm+balanced_sofmax"],
            ["'balanced_sofmax'", "balanced_softmax"],
        ),
        (["compare", "digits", "--methods", "erm,erm"], ["erm", "more than once"]),
        (["train", "digits", "--method", "balanced-am-mixup:accuracy=given"], ["accuracy=given", "λ"]),
        (
            ["compare", "digits", "--methods", "erm,mixup", "--baseline", "mixpu"],
            ["unknown baseline 'mixpu'", "did you mean mixup"],
        ),
        (["compare", "digits", "--seeds", "0"], ["seeds: 0"]),
        (["compare", "digits", "--seeds", "1.5"], ["--seeds", 'unable to convert "1.5" into int']),
        (["compare", "digits", "--jobs", "0"], ["jobs: 0"]),
        (["compare", "digits", "--epochs", "0"], ["epochs: 0"]),
        (["compare", "digits", "--learning-rate", "-1"], ["learning_rate: -1"]),
        (["compare", "digits", "--network", "resnet-9"], ["resnet-9"]),
        (["compare", "digits", "--network", "resnet-8"], ["resnet-8", "image"]),
        (["compare", "digits", "--optimizer", "sgdd"], ["--optimizer", "sgd"]),
        (["compare", "digits", "--imbalance", "5000"], ["5000"]),
        (["compare", "digits", "--validation", "1.5"], ["1.5"]),
        (["compare", "digits", "--epoch", "3"], ["--epoch", "--epochs"]),
        (["compare", "digits", "--config", "none.yaml"], ["none.yaml", "no such file"]),
        (["comapre", "digits"], ["comapre", "compare"]),
        (["predict", "nowhere", "digits"], ["nowhere", "no finished run"]),
    ],
)
def test_bad_arguments(midmix, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    outcome = midmix(*arguments)
    assert outcome.code == 2
    for part in said:
        assert part in outcome.complaint
    assert list(tmp_path.iterdir()) == [], "nothing half-written"


def test_no_whole_number_is_left_to_be_rounded():
    numbers = [
        (command, argument.name, argument.parameter.converter)
        for command in COMMANDS
        for argument in app[command].assemble_argument_collection()
        if int in (argument.hint, *get_args(argument.hint))
    ]
    assert len(numbers) > 20
    assert [number for number in numbers if number[-1] is None] == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"seeds: 1\nepochs: [1\nmethods: erm\n", ["line 3", "not YAML"]),
        (b"seeds: 1\nmethods: \xe9rm\n", ["line 2", "UTF-8"]),
        (b"methods: e\0rm\n", ["not YAML"]),
        (b"- seeds\n", ["line 1", "NAME: VALUE"]),
        (b"compare:\n  epochs: 1\n", ["compare", "names below it"]),
        (b"methods: [erm, mixup]\n", ["methods", "erm,mixup"]),
        (b"method: erm\n", ["method", "--methods"]),
        (b"5: erm\n", ["5"]),
        (b"epochs: many\n", ["epochs", "many"]),
    ],
)
def test_a_configuration_that_is_not_one(midmix, table, tmp_path, content, said):
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    outcome = midmix("compare", table, "--config", path, "--out", tmp_path / "out")
    assert outcome.code == 2
    for part in (str(path), *said):
        assert part in outcome.complaint
    assert not (tmp_path / "out").exists()


def test_an_unknown_column_names_the_nearest(midmix, table, tmp_path):
    outcome = midmix("compare", table, "--label", "labl", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "labl" in outcome.complaint
    assert "label" in outcome.complaint.replace("labl", "")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("1,2,cat\n1,inf,dog\n2,2,cat\n2,2,dog", ["height", "infinite"]),
        ("1,2,cat\n1,3,cat", ["class"]),
        ("1,2,\n1,3,cat\n2,2,dog", ["label"]),
    ],
)
def test_bad_rows(midmix, tmp_path, cells, said):
    path = tmp_path / "bad.csv"
    path.write_text(f"weight,height,label\n{cells}\n")
    outcome = midmix("train", path, "--out", tmp_path / "out")
    assert outcome.code == 2
    for part in (str(path), *said):
        assert part in outcome.complaint
    assert not (tmp_path / "out").exists()


WRITERS = ("compare", "transfer", "train", "analyze")


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.parametrize("name", ["chapter1.txt", "report.html.bak"])
def test_a_folder_that_holds_something_else(midmix, table, tmp_path, command, name):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / name).write_text("mine")
    outcome = midmix(command, table, "--out", tmp_path / "thesis")
    assert outcome.code == 2
    assert "--out" in outcome.complaint
    assert "training" not in outcome.err, "the source is not read"
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == [name]


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.parametrize("below", ["", "sub", "sub/sub"])
def test_a_file_in_the_place_of_the_folder(midmix, table, tmp_path, command, below):
    outcome = midmix(command, table, "--out", table / below)
    assert outcome.code == 2
    assert f"{table}: is not a folder" in outcome.complaint
    assert "training" not in outcome.err, "the source is not read"


def test_a_folder_that_cannot_be_written_to(midmix, table, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    for command in WRITERS:
        outcome = midmix(command, table, "--out", tmp_path / "out")
        assert outcome.code == 2
        assert f"{tmp_path}: cannot be written to" in outcome.complaint


def test_each_kind_of_folder_has_one_owner(midmix, table, tmp_path):
    commands = {
        "comparison": ("compare", table, "--methods", "erm", "--seeds", 1, "--jobs", 1, "--epochs", 1),
        "run": ("train", table, "--epochs", 1),
        "analysis": ("analyze", table),
    }
    for kind, command in commands.items():
        assert midmix(*command, "--out", tmp_path / kind).code == 0
    for kind, command in commands.items():
        for other in commands:
            before = {path: path.stat().st_mtime_ns for path in sorted((tmp_path / other).rglob("*"))}
            outcome = midmix(*command, "--out", tmp_path / other)
            if kind == other:
                assert outcome.code == 0, outcome.err
                continue
            assert outcome.code == 2
            assert f"is not an empty folder and holds no {kind}" in outcome.complaint
            assert {path: path.stat().st_mtime_ns for path in sorted((tmp_path / other).rglob("*"))} == before


def test_an_analysis_that_was_interrupted_is_done_again(midmix, table, tmp_path):
    assert midmix("analyze", table, "--out", tmp_path / "out").code == 0
    (tmp_path / "out" / "measures.parquet").unlink()
    assert midmix("analyze", table, "--out", tmp_path / "out").code == 0


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("none/p.csv", "there is no folder"),
        ("animals.csv/p.csv", "there is no folder"),
        ("d.csv", "is a folder"),
    ],
)
def test_predictions_that_cannot_be_written(midmix, table, tmp_path, out, said):
    (tmp_path / "d.csv").mkdir()
    outcome = midmix("predict", tmp_path / "nowhere", table, "--out", tmp_path / out)
    assert outcome.code == 2
    assert said in outcome.complaint
    assert "--out" in outcome.complaint


def test_a_folder_that_holds_another_run(midmix, table, tmp_path):
    base = ("train", table, "--epochs", 2, "--out", tmp_path / "run")
    assert midmix(*base).code == 0
    outcome = midmix(*base, "--method", "erm")
    assert outcome.code == 2
    assert "another run" in outcome.complaint
    assert "erm" in outcome.complaint
    assert midmix(*base).code == 0


def test_a_folder_that_holds_a_run_on_other_rows(midmix, table, tmp_path):
    base = ("train", table, "--epochs", 2, "--out", tmp_path / "run")
    assert midmix(*base).code == 0
    first, *rows = table.read_text().splitlines()
    table.write_text("\n".join([first, *sorted(rows)]))
    outcome = midmix(*base)
    assert outcome.code == 2
    assert "another run" in outcome.complaint
    assert "train_rows is" in outcome.complaint
    assert outcome.out == "", "no results are shown"


def test_a_comparison_with_other_settings(midmix, table, tmp_path):
    base = ("compare", table, "--methods", "erm", "--seeds", 1, "--jobs", 1, "--out", tmp_path / "out")
    assert midmix(*base, "--epochs", 2).code == 0
    outcome = midmix(*base, "--epochs", 3)
    assert outcome.code == 2
    assert "epochs is 2 there and 3 here" in outcome.complaint


def test_a_loss_that_is_no_longer_finite_names_the_step(midmix, table, tmp_path):
    outcome = midmix("train", table, "--learning-rate", 1e30, "--warmup-epochs", 0, "--out", tmp_path / "run")
    assert outcome.code == 2
    assert "step" in outcome.complaint
    assert "learning rate" in outcome.complaint
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("command", ["compare", "analyze"])
def test_umap_that_is_not_installed_is_told_before_anything_is_done(
    midmix, table, tmp_path, monkeypatch, command
):
    monkeypatch.setitem(sys.modules, "umap", None)
    outcome = midmix(command, table, "--projection", "umap", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "midmix[umap]" in outcome.complaint
    assert "training" not in outcome.err, "the source is not read"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["compare", "transfer", "train"])
def test_a_share_for_validation_that_holds_out_no_row(midmix, tmp_path, command):
    rows = [f"{row},{row % 3},{row},{row // 2}" for row in range(4)]
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,y,fine_label,coarse_label", *rows]))
    label = () if command == "transfer" else ("--label", "fine_label")
    outcome = midmix(command, tmp_path, *label, "--validation", 0.2, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "validation: a share of 0.2 holds out none of 4 training rows" in outcome.complaint
    assert not (tmp_path / "out").exists()


def test_a_model_file_of_another_network(midmix, table, tmp_path):
    run = tmp_path / "run"
    assert midmix("train", table, "--epochs", 2, "--out", run).code == 0
    tensors = load_file(run / "model.safetensors")
    save_file({name: torch.zeros(3) for name in tensors}, run / "model.safetensors")
    outcome = midmix("evaluate", run, table)
    assert outcome.code == 2
    assert "model.safetensors" in outcome.complaint
    assert "mlp" in outcome.complaint


def test_a_source_with_other_classes_than_the_model(midmix, table, tmp_path):
    run = tmp_path / "run"
    assert midmix("train", table, "--epochs", 2, "--out", run).code == 0
    outcome = midmix("evaluate", run, "digits")
    assert outcome.code == 2
    assert "digits" in outcome.complaint
    assert "'0', '1', '2', '3', '4' and 5 more" in outcome.complaint
    assert "it knows '<b>emu</b>', 'cat', 'dog';" in outcome.complaint
    assert "--label" in outcome.complaint


def test_files_that_would_execute_code_are_refused(midmix, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    np.savez(tmp_path / "bomb.npz", x=np.array([Bomb()], dtype=object), y=np.array([0]))
    outcome = midmix("train", tmp_path / "bomb.npz", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "bomb.npz" in outcome.complaint
    assert not (tmp_path / "exploded").exists()


def test_a_run_record_that_is_not_one(midmix, table, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"hello": 1}))
    outcome = midmix("evaluate", tmp_path / "run", table)
    assert outcome.code == 2
    assert "run.json" in outcome.complaint


@pytest.mark.parametrize(
    ("content", "said"), [(None, "is missing"), (b"PK", "is cut off"), (b"", "is cut off")]
)
def test_a_run_without_its_answers(midmix, table, tmp_path, content, said):
    base = ("train", table, "--epochs", 1, "--out", tmp_path / "run")
    assert midmix(*base).code == 0
    (tmp_path / "run" / "test.npz").unlink()
    if content is not None:
        (tmp_path / "run" / "test.npz").write_bytes(content)
    for command in (base, ("analyze", tmp_path / "run", "--out", tmp_path / "out")):
        outcome = midmix(*command)
        assert outcome.code == 2
        assert f"test.npz: {said}" in outcome.complaint
    assert not (tmp_path / "out").exists()


def test_a_file_that_may_not_be_read(midmix, table, tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (tmp_path / "run.json").write_text("{}")
    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    outcome = midmix("evaluate", tmp_path, table)
    assert outcome.code == 1
    assert f"{tmp_path / 'run.json'}: may not be used (Permission denied)" in outcome.complaint
    assert "written (" not in outcome.complaint


def test_a_comparison_under_a_launcher(midmix, table, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = midmix("compare", table, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "launcher" in outcome.complaint
    assert not (tmp_path / "out").exists()
