"""A comparison's folder: what is in it, what is not run again, what goes on, and whose it is."""

from __future__ import annotations

import json
import multiprocessing
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from midmix.errors import InputError
from midmix.methods import parse_methods
from midmix.studies import Progress, collect, compare
from midmix.training import Settings, load_model
from midmix.training.run_folder import result_rows

COLUMNS = [
    "method", "seed", "split_hash", "epoch_choice", "epoch", "accuracy", "balanced_accuracy",
    "many", "medium", "few", "nll", "ece", "train_accuracy", "ratio", "network", "parameters", "seconds",
    "probabilities_for", "diverged",
]  # fmt: skip
SHARES = ["accuracy", "balanced_accuracy", "many", "medium", "few", "ece", "train_accuracy", "ratio"]


@pytest.fixture
def run(blobs, short):
    """Compares two lines with two seeds, unless told otherwise."""

    def run(folder: Path, texts=("erm", "am-mixup+balanced_softmax"), **options) -> pd.DataFrame:
        settings = options.pop("settings", short)
        options = {"seeds": 2, "jobs": 1, "validation": 0.2, **options}
        return compare(blobs, parse_methods(texts), folder, settings, **options)

    return run


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every file of the runs."""
    found = sorted(path for path in (folder / "runs").rglob("*") if path.is_file())
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def numbers(results: pd.DataFrame) -> pd.DataFrame:
    """What must not depend on when and how the runs were run."""
    keys = ["method", "seed", "epoch_choice"]
    return results.drop(columns="seconds").sort_values(keys).reset_index(drop=True)


def test_results_have_the_promised_columns_and_rows(run, tmp_path):
    results = run(tmp_path / "out")
    assert list(results.columns) == COLUMNS
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "results.parquet"), results)
    rows = results[["method", "seed", "epoch_choice"]].apply(tuple, axis=1).tolist()
    assert sorted(rows) == sorted(
        (method, seed, choice)
        for method in ("erm", "am-mixup+balanced_softmax")
        for seed in (0, 1)
        for choice in ("last", "validation", "test_oracle")
    )
    for column in SHARES:
        assert results[column].between(0, 1).all(), column
    assert (results["seconds"] > 0).all()
    assert set(results["network"]) == {"mlp-16"}
    assert set(results["parameters"]) == {6 * 16 + 16 + 16 * 3 + 3}
    assert results.groupby("seed")["split_hash"].nunique().eq(1).all(), "lines of a seed share the split"
    assert results["split_hash"].nunique() == 2
    assert results["split_hash"].str.fullmatch("[0-9a-f]{16}").all()


def test_epochs_are_chosen_as_their_names_say(run, short, tmp_path):
    results = run(tmp_path, ("am-mixup",), settings=replace(short, epochs=6, learning_rate=0.2), seeds=3)
    for (_, seed), rows in results.groupby(["method", "seed"]):
        history = pd.read_parquet(tmp_path / "runs" / f"am-mixup-seed{seed}" / "history.parquet")
        epochs = rows.set_index("epoch_choice")["epoch"].to_dict()
        # argmax takes the earliest of equals
        assert epochs == {
            "last": 6,
            "validation": 1 + history["validation_accuracy"].argmax(),
            "test_oracle": 1 + history["test_accuracy"].argmax(),
        }
        accuracies = rows.set_index("epoch_choice")["accuracy"]
        assert accuracies["test_oracle"] == history["test_accuracy"].max()
        assert accuracies["last"] == history["test_accuracy"].iloc[-1]


def test_without_a_validation_split_there_is_no_such_choice(run, tmp_path):
    results = run(tmp_path, ("erm",), validation=0.0, seeds=1)
    assert results["epoch_choice"].tolist() == ["last", "test_oracle"]


def test_a_run_folder_holds_plain_data_that_agrees_with_itself(run, blobs, tmp_path):
    run(tmp_path, ("am-mixup:beta=0.5",), seeds=1)
    (folder,) = (tmp_path / "runs").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.parquet", "model.safetensors", "run.json", "test.npz", "validation.npz",
    ]  # fmt: skip
    record = json.loads((folder / "run.json").read_text())
    assert record["method"] == "am-mixup:beta=0.5"
    assert record["classes"] == list(blobs.train.classes)
    assert sum(record["class_counts"]) == 88 - 18
    assert set(record["shots"]) == {"many", "medium", "few"}
    history = pd.read_parquet(folder / "history.parquet")
    with np.load(folder / "test.npz", allow_pickle=False) as test:
        assert test["logits"].dtype == test["features"].dtype == np.float32
        assert (test["logits"].argmax(1) == test["labels"]).mean() == history["test_accuracy"].iloc[-1]
        logits, features = test["logits"], test["features"]
    model, _ = load_model(folder)
    weight, bias = model.fc.weight.detach().numpy(), model.fc.bias.detach().numpy()
    np.testing.assert_allclose(features @ weight.T + bias, logits, rtol=1e-4, atol=1e-5)


def test_finished_runs_are_not_run_again(run, tmp_path):
    first, before = run(tmp_path), files(tmp_path)
    told: list[Progress] = []
    again = run(tmp_path, watch=told.append)
    assert files(tmp_path) == before
    assert told == []
    pd.testing.assert_frame_equal(again, first)


def test_lines_and_seeds_can_be_added_later(run, tmp_path):
    run(tmp_path / "grown", ("erm",), seeds=1)
    before = files(tmp_path / "grown")
    grown = run(tmp_path / "grown", ("erm", "mixup"), seeds=2)
    assert before.items() <= files(tmp_path / "grown").items()
    at_once = run(tmp_path / "once", ("erm", "mixup"), seeds=2)
    pd.testing.assert_frame_equal(numbers(grown), numbers(at_once))


def test_an_interrupted_comparison_goes_on_where_it_stood(run, tmp_path):
    whole = run(tmp_path / "whole")
    begun: list[str] = []

    def interrupt(progress):
        if progress.moment is not None:
            begun.append(progress.run)
            if len(set(begun)) == 2 and progress.moment.epoch == 2:  # in the second run of four
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", watch=interrupt, checkpoint_seconds=0)
    finished = files(tmp_path / "cut")
    assert sum(name.endswith("run.json") for name in finished) == 1
    left: list[Progress] = []
    resumed = run(tmp_path / "cut", watch=left.append, checkpoint_seconds=0)
    pd.testing.assert_frame_equal(numbers(resumed), numbers(whole))
    again = [progress for progress in left if progress.moment is not None]
    assert (again[0].run, again[0].moment.epoch) == (begun[-1], 2), "the first epoch was saved"
    assert len({progress.run for progress in again}) == 3, "what had finished is not run again"
    assert {name: at for name, at in files(tmp_path / "cut").items() if name in finished}.items() >= {
        name: at for name, at in finished.items() if "/checkpoints/" not in name
    }.items()
    assert not list((tmp_path / "cut").rglob("checkpoints"))


@pytest.mark.parametrize(
    "line",
    [
        "erm+experts+ride",
        "am-mixup+experts:count=2+ride+ldam",
        "mixup+supcon+balanced_softmax",
        "erm+bcl",
        "cmo+proco",
    ],
)
def test_what_experts_and_contrasts_learn_is_kept_in_an_interrupted_comparison(
    line, run, blobs, short, tmp_path
):
    options = {"texts": (line,), "settings": replace(short, augment="noise"), "seeds": 1}

    def interrupt(progress):
        if progress.moment is not None and progress.moment.epoch == 2:
            raise KeyboardInterrupt

    whole = run(tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", watch=interrupt, checkpoint_seconds=0, **options)
    assert list((tmp_path / "cut").rglob("checkpoints"))
    begun: list[int] = []

    def watch(progress):
        if progress.moment is not None:
            begun.append(progress.moment.epoch)

    resumed = run(tmp_path / "cut", watch=watch, checkpoint_seconds=0, **options)
    assert set(begun) == {2}, "the first epoch was saved"
    pd.testing.assert_frame_equal(numbers(resumed), numbers(whole))
    folders = [next((tmp_path / name / "runs").iterdir()) for name in ("whole", "cut")]
    models = [(folder / "model.safetensors").read_bytes() for folder in folders]
    assert models[0] == models[1]
    model, _ = load_model(folders[1])
    with np.load(folders[1] / "test.npz") as test, torch.inference_mode():
        np.testing.assert_allclose(model(blobs.test.inputs), test["logits"], rtol=1e-5, atol=1e-6)


def test_side_by_side_is_in_turn_bit_for_bit(run, tmp_path):
    told: list[Progress] = []
    apart = run(tmp_path / "apart", jobs=2, watch=told.append)
    pd.testing.assert_frame_equal(numbers(apart), numbers(run(tmp_path / "turn", jobs=1)))
    for path in (tmp_path / "turn" / "runs").glob("*/model.safetensors"):
        twin = tmp_path / "apart" / path.relative_to(tmp_path / "turn")
        assert twin.read_bytes() == path.read_bytes()
    assert [progress.done for progress in told if progress.ended] == [1, 2, 3, 4]
    assert {progress.total for progress in told} == {4}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"settings": Settings(network="mlp-8", epochs=2, batch_size=16)},
            "network is 'mlp-16' there and 'mlp-8' here",
        ),
        ({"validation": 0.1}, "validation is 0.2 there and 0.1 here"),
        ({"imbalance": 3.0}, "imbalance is None there and 3.0 here"),
    ],
)
def test_a_folder_of_another_comparison_is_refused(options, said, run, tmp_path):
    run(tmp_path, ("erm",), seeds=1)
    before = files(tmp_path)
    with pytest.raises(InputError, match="holds another comparison") as error:
        run(tmp_path, ("erm",), seeds=1, **options)
    assert said in str(error.value)
    assert "choose another folder" in str(error.value)
    assert files(tmp_path) == before


def test_other_rows_under_the_same_name_are_another_comparison(run, blobs, short, tmp_path):
    run(tmp_path, ("erm",), seeds=1)
    other = replace(blobs, train=replace(blobs.train, inputs=blobs.train.inputs + 1))
    with pytest.raises(InputError, match="train_rows is"):
        compare(other, parse_methods(["erm"]), tmp_path, short, validation=0.2)


def test_other_names_of_the_classes_are_another_comparison(run, blobs, short, tmp_path):
    run(tmp_path, ("erm",), seeds=1)
    names = (*blobs.train.classes[1:], blobs.train.classes[0])
    other = replace(blobs, train=replace(blobs.train, classes=names), test=replace(blobs.test, classes=names))
    with pytest.raises(InputError, match="class_names is"):
        compare(other, parse_methods(["erm"]), tmp_path, short, validation=0.2)


def test_a_run_of_other_settings_stands_in_no_table(run, tmp_path):
    run(tmp_path, ("erm",), seeds=1)
    path = tmp_path / "runs" / "erm-seed0" / "run.json"
    record = json.loads(path.read_text())
    record["settings"]["epochs"] += 60
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"erm-seed0.*epochs"):
        collect(tmp_path)
    with pytest.raises(InputError, match=r"erm-seed0.*epochs"):
        run(tmp_path, ("erm", "mixup"), seeds=1)


def test_a_profile_without_an_imbalance_is_of_no_account(run, tmp_path):
    results = run(tmp_path, ("erm",), seeds=1)
    pd.testing.assert_frame_equal(run(tmp_path, ("erm",), seeds=1, profile="step"), results)


def test_a_comparison_from_before_a_setting_was_there_goes_on(run, short, tmp_path):
    results = run(tmp_path, ("erm",), seeds=1)
    path = tmp_path / "comparison.json"
    old = json.loads(path.read_text())
    del old["channels_last"], old["groups"]
    path.write_text(json.dumps(old))
    with pytest.raises(InputError, match="channels_last is True there and False here"):
        run(tmp_path, ("erm",), seeds=1, settings=replace(short, channels_last=False))
    pd.testing.assert_frame_equal(run(tmp_path, ("erm",), seeds=1), results)


@pytest.mark.parametrize("content", ['{"source": "blo', "[1, 2]", ""])
def test_a_record_of_a_comparison_that_was_cut_is_said_so(content, run, tmp_path):
    run(tmp_path, ("erm",), seeds=1)
    (tmp_path / "comparison.json").write_text(content)
    with pytest.raises(InputError, match=r"comparison\.json: is not a comparison's record, or was cut"):
        run(tmp_path, ("erm",), seeds=1)


def test_a_source_is_told_by_its_rows_however_it_is_called(run, blobs, short, tmp_path):
    results = run(tmp_path, ("erm",), seeds=1)
    renamed = replace(blobs, name="./blobs/")
    again = compare(renamed, parse_methods(["erm"]), tmp_path, short, seeds=1, validation=0.2, jobs=1)
    pd.testing.assert_frame_equal(again, results)


def test_rows_that_are_decoded_on_access_are_told_by_their_place_too(pictures, short, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    settings = replace(short, network="resnet-8", width=4, epochs=1)

    def started(name: str) -> None:
        compare(
            replace(pictures, name=name), parse_methods(["erm"]), tmp_path / "out", settings, seeds=1, jobs=1
        )

    started("photos")
    for name in ("photos/", "./photos", str(tmp_path / "photos")):
        started(name)
    with pytest.raises(InputError, match=r"source is '.*photos' there and 'pictures' here"):
        started("pictures")


def test_a_folder_with_other_files_is_refused_and_left_alone(run, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="is not an empty folder and holds no comparison"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match="is not a folder"):
        run(tmp_path / "thesis.txt")


def test_no_seed_is_refused_before_anything_is_made(run, tmp_path):
    with pytest.raises(InputError, match="seeds: 0; at least one"):
        run(tmp_path / "out", seeds=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["resize-mix", "resize-mix:site=features"])
def test_a_mask_that_cannot_be_laid_on_the_rows_is_refused_before_anything_is_made(method, run, tmp_path):
    with pytest.raises(InputError, match=rf"^{method}: mask: rows of shape \(6,\) cannot be made smaller"):
        run(tmp_path / "out", ("erm", method))
    assert not (tmp_path / "out").exists()


def test_where_every_run_diverges_there_is_no_table(run, short, tmp_path):
    wild = replace(short, learning_rate=1e20, epochs=20, momentum=0.0)
    with pytest.raises(
        InputError, match=r"^erm-seed0: loss: became (nan|inf) at step .*; every run diverged"
    ):
        run(tmp_path, ("erm",), settings=wild)
    first = files(tmp_path)
    assert {Path(path).name for path in first} == {"run.json"}
    with pytest.raises(InputError, match="every run diverged"):  # and none is run again
        run(tmp_path, ("erm",), settings=wild)
    assert files(tmp_path) == first


@pytest.mark.parametrize("wild", [False, True])
def test_the_caller_keeps_its_threads(wild, run, short, tmp_path):
    torch.set_num_threads(3)  # the fixture of all tests here takes it back
    settings = replace(short, learning_rate=1e20, epochs=20, momentum=0.0) if wild else short
    with pytest.raises(InputError) if wild else nullcontext():
        run(tmp_path, ("erm",), seeds=1, settings=settings)
    assert torch.get_num_threads() == 3


def test_a_comparison_that_fails_leaves_the_callers_processes_alone(run, short, tmp_path):
    own = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    own.start()
    try:
        with pytest.raises(InputError, match="loss: became"):
            run(tmp_path, settings=replace(short, learning_rate=1e20, epochs=20, momentum=0.0), jobs=2)
        own.join(0.5)
        assert own.is_alive()
        assert multiprocessing.active_children() == [own], "those of the comparison have ended"
    finally:
        own.terminate()
        own.join()


def test_folders_without_finished_runs_say_so(tmp_path):
    with pytest.raises(InputError, match="holds no finished run"):
        collect(tmp_path)
    with pytest.raises(InputError, match="no finished run"):
        result_rows(tmp_path)
    with pytest.raises(InputError, match="holds no finished run"):
        load_model(tmp_path)


def test_a_model_file_of_another_network_is_refused(run, tmp_path):
    run(tmp_path / "small", ("erm",), seeds=1)
    run(tmp_path / "large", ("erm",), seeds=1, settings=Settings(network="mlp-32", epochs=1, batch_size=16))
    small, large = (
        tmp_path / name / "runs" / "erm-seed0" / "model.safetensors" for name in ("small", "large")
    )
    large.write_bytes(small.read_bytes())
    with pytest.raises(InputError, match=r"model\.safetensors: is not a .* of this run"):
        load_model(large.parent)
    large.write_bytes(small.read_bytes()[:-50])
    with pytest.raises(InputError, match=r"model\.safetensors: is not a"):
        load_model(large.parent)
