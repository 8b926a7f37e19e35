"""Transfer from groups to their members: rows, protocol, bounds, what goes on and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from midmix.data import Grouped, Hierarchy, Labelled, Source
from midmix.errors import InputError
from midmix.measures import classification, measures_of
from midmix.methods import parse_methods
from midmix.studies import compare, transfer
from midmix.studies.transfer import LOWER, UPPER
from midmix.training import Settings
from midmix.training.run import Run

FINE = ("beagle", "husky", "poodle", "siamese", "tabby")


@pytest.fixture(scope="module")
def animals() -> Grouped:
    """Five clouds in two groups: far apart between groups, nearer within; 24 training and 12 test rows each."""
    generator = torch.Generator().manual_seed(0)
    group = torch.tensor([0, 0, 0, 1, 1])
    centres = 4.0 * torch.eye(6)[group] + 1.5 * torch.randn(5, 6, generator=generator)

    def rows(each: int) -> Labelled:
        labels = torch.arange(5).repeat(each)
        return Labelled(centres[labels] + torch.randn(len(labels), 6, generator=generator), labels, FINE)

    return Grouped(Source("animals", rows(24), rows(12)), Hierarchy(FINE, ("dog", "cat"), group))


@pytest.fixture
def run(animals, short):
    def run(folder: Path, texts=("erm", "am-mixup"), **options) -> pd.DataFrame:
        settings = options.pop("settings", short)
        return transfer(animals, parse_methods(texts), folder, settings, **{"seeds": 2, "jobs": 1, **options})

    return run


def test_results_have_a_row_a_line_and_seed(run, animals, tmp_path):
    results = run(tmp_path / "out")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "results.parquet"), results)
    expected = [(m, s) for m in ("erm", "am-mixup", "fine-labels", "random-encoder") for s in (0, 1)]
    assert list(results[["method", "seed"]].itertuples(index=False, name=None)) == expected
    assert set(results["epoch_choice"]) == {"last"}
    assert {f"within_{name}" for name in (one.name for one in measures_of("groups", "collapse"))} <= set(
        results.columns
    )
    assert results.groupby("seed")["split_hash"].nunique().tolist() == [1, 1], "differences are paired"
    assert results["split_hash"].nunique() == 2
    methods = results[results["method"].isin(["erm", "am-mixup"])]
    assert methods["coarse_accuracy"].between(0.5, 1).all()
    assert results["coarse_accuracy"].isna().sum() == 4, "the bounds were not trained on groups"
    assert (results["epoch"] == [2, 2, 2, 2, 2, 2, 0, 0]).all()
    assert "finetuned_accuracy" not in results


def test_the_fine_results_are_those_of_the_files(run, animals, tmp_path):
    results = run(tmp_path / "out", ["erm"], seeds=1)
    folder = tmp_path / "out" / "runs" / "erm-seed0"
    with np.load(folder / "fine.npz", allow_pickle=False) as arrays:
        logits, labels = (torch.from_numpy(arrays[name]) for name in ("logits", "labels"))
    assert torch.equal(labels, animals.source.test.labels)
    split = Run(parse_methods(["erm"])[0], 0, Settings(), validation=0.2).split(animals.source)
    found = classification(logits, labels, split.train.counts())
    row = results.iloc[0]
    assert row["accuracy"] == pytest.approx(found.accuracy)
    assert row["nll"] == pytest.approx(found.nll, abs=1e-5)
    record = json.loads((folder / "run.json").read_text())
    assert record["classes"] == ["dog", "cat"], "the encoder has seen groups alone"
    assert record["split_hash"] == row["split_hash"] == split.hash


def test_encoders_see_the_rows_of_the_fine_split(animals):
    run = Run(parse_methods(["erm"])[0], 3, Settings(), validation=0.25, groups=animals.hierarchy)
    coarse = run.split(animals.source)
    fine = Run(run.method, 3, run.settings, validation=0.25).split(animals.source)
    assert coarse.hash == fine.hash
    assert isinstance(coarse.train.inputs, torch.Tensor)
    assert isinstance(fine.train.inputs, torch.Tensor)
    assert torch.equal(coarse.train.inputs, fine.train.inputs)
    assert torch.equal(coarse.train.labels, animals.hierarchy.group[fine.train.labels])
    assert fine.validation.counts().tolist() == [6] * 5, "a share of every fine class, not of every group"


def test_the_lower_bound_is_the_encoder_before_training(animals, run, tmp_path):
    run(tmp_path / "out", ["erm"], seeds=1)
    start = Run(LOWER, 0, Settings(network="mlp-16"), validation=0.2, groups=animals.hierarchy)
    trained = Run(parse_methods(["erm"])[0], 0, start.settings, validation=0.2, groups=animals.hierarchy)
    ours, theirs = (one.network(one.split(animals.source)).state_dict() for one in (start, trained))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not (tmp_path / "out" / "runs" / f"{LOWER.slug}-seed0" / "model.safetensors").exists()


def test_what_is_finished_is_not_run_again_and_lines_can_be_added(run, tmp_path):
    first = run(tmp_path / "out", ["erm"])
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").rglob("*.json")}
    more = run(tmp_path / "out", ["erm", "mixup"])
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    again = more[more["method"] != "mixup"].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, first, check_like=True)
    assert list(more["method"].drop_duplicates()) == ["erm", "mixup", str(UPPER), str(LOWER)]


def test_a_run_that_was_trained_but_not_probed_is_probed(run, tmp_path):
    first = run(tmp_path / "out", ["erm"], seeds=1)
    folder = tmp_path / "out" / "runs" / "erm-seed0"
    (folder / "transfer.json").unlink()
    model = (folder / "model.safetensors").stat().st_mtime_ns
    again = run(tmp_path / "out", ["erm"], seeds=1)
    pd.testing.assert_frame_equal(again, first)
    assert (folder / "model.safetensors").stat().st_mtime_ns == model


def test_side_by_side_is_in_turn(run, tmp_path):
    one = run(tmp_path / "one", ["am-mixup"], seeds=1)
    two = run(tmp_path / "two", ["am-mixup"], seeds=1, jobs=2)
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), two.drop(columns="seconds"))


def test_finetuning_starts_from_the_encoder(run, short, tmp_path):
    results = run(tmp_path / "out", ["erm"], seeds=1, finetune_epochs=8)
    assert results["finetuned_accuracy"].between(0, 1).all()
    by_line = results.set_index("method")["finetuned_accuracy"]
    assert by_line["fine-labels"] > 0.5, "a fine encoder under a fresh head"
    assert not list((tmp_path / "out").rglob("*.pt")), "no checkpoint stays"


def test_all_that_is_measured_goes_by_the_classifier_that_the_lines_name(run, short, networks, tmp_path):
    settings = Settings(network=f"{networks}:TwoHeads", epochs=2, batch_size=16)
    lines = ["erm:site=model.main", "am-mixup:site=model.main"]
    results = run(tmp_path / "out", lines, settings=settings, seeds=1, finetune_epochs=1)
    assert list(results["method"]) == [*lines, "fine-labels", "random-encoder"]
    assert results[["accuracy", "finetuned_accuracy"]].notna().all(axis=None)
    more = run(tmp_path / "out", lines[:1], settings=settings, seeds=1, finetune_epochs=1)
    assert len(more) == 4


def test_a_bound_whose_classifier_cannot_be_told_is_said_before_training(run, networks, tmp_path):
    settings = Settings(network=f"{networks}:Narrow", epochs=2, batch_size=16)
    with pytest.raises(InputError, match=r"fine-labels: .* 2 linear layers have 5 outputs"):
        run(tmp_path / "out", ["erm"], settings=settings)
    assert not (tmp_path / "out").exists()
    results = run(tmp_path / "out", ["erm:site=model.2"], settings=settings, seeds=1)
    assert len(results) == 3


def test_folders_of_other_comparisons(run, animals, short, tmp_path):
    run(tmp_path / "out", ["erm"], seeds=1)
    with pytest.raises(InputError, match="holds another comparison"):
        run(tmp_path / "out", ["erm"], seeds=1, finetune_epochs=1)
    with pytest.raises(InputError, match="holds another comparison"):
        compare(animals.source, parse_methods(["erm"]), tmp_path / "out", short, validation=0.2, jobs=1)
    moved = Grouped(animals.source, Hierarchy(FINE, ("dog", "cat"), torch.tensor([0, 0, 1, 1, 1])))
    with pytest.raises(InputError, match="groups is"):
        transfer(moved, parse_methods(["erm"]), tmp_path / "out", short, seeds=1, jobs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 0.0}, "validation: 0;"),
        ({"seeds": 0}, "seeds: 0"),
        ({"finetune_epochs": -1}, "finetune_epochs: -1"),
    ],
)
def test_nothing_is_written_for_what_cannot_be(run, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        run(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_pictures(tmp_path):
    """A ResNet on decoded images, channels last, as real sets have them."""
    generator = torch.Generator().manual_seed(1)

    def rows(each: int) -> Labelled:
        labels = torch.arange(4).repeat(each)
        images = torch.randint(128, (len(labels), 3, 8, 8), generator=generator, dtype=torch.uint8)
        images[torch.arange(len(labels)), labels % 3, :4] += (60 + 60 * (labels > 1))[:, None, None].to(
            torch.uint8
        )
        return Labelled(images, labels, ("a", "b", "c", "d"))

    grouped = Grouped(
        Source("pictures", rows(8), rows(3)),
        Hierarchy(("a", "b", "c", "d"), ("x", "y"), torch.tensor([0, 0, 1, 1])),
    )
    settings = Settings.for_kind(
        "images", network="resnet-8", width=4, epochs=1, batch_size=16, precision="bf16"
    )
    results = transfer(
        grouped, parse_methods(["am-mixup:clean_weight=1"]), tmp_path, settings, seeds=1, finetune_epochs=1
    )
    assert len(results) == 3
    assert results["accuracy"].between(0, 1).all()
