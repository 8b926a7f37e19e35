"""Second stages on a finished run give what training with them gives."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from midmix.decisions.calibrate import fit_calibration
from midmix.errors import InputError
from midmix.methods import STAGES, Method
from midmix.training import Run, load_model, predict, read_predictions, refit_run, train_run
from midmix.training.run_folder import HISTORY, MODEL


def run_of(line: str, short, **parts) -> Run:
    return Run(Method.parse(line), 1, short, **{"imbalance": 5, "validation": 0.3, "ranks": "drawn", **parts})


@pytest.mark.parametrize(
    "stage", [*STAGES.names(), "tau_norm:tau=auto", "logit_adjustment:tau=auto >> temperature"]
)
def test_a_refit_is_to_the_bit_what_training_with_the_stage_is(stage, blobs, short, tmp_path):
    before = run_of("mixup+balanced_softmax", short)
    train_run(before, blobs, tmp_path / "before")
    whole = replace(before, method=Method.parse(f"mixup+balanced_softmax >> {stage}"))
    straight = train_run(whole, blobs, tmp_path / "straight")
    record = refit_run(tmp_path / "before", stage, blobs, tmp_path / "refit")
    assert {**record, "seconds": 0, "hardware": ""} == {**straight, "seconds": 0, "hardware": ""}
    one, other = (load_file(tmp_path / name / MODEL) for name in ("straight", "refit"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    logits = [read_predictions(tmp_path / name).logits for name in ("straight", "refit", "before")]
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[1], logits[2])
    one_history, other_history = [
        pd.read_parquet(tmp_path / name / HISTORY).drop(columns="seconds") for name in ("straight", "refit")
    ]
    pd.testing.assert_frame_equal(one_history, other_history)


def test_stages_come_one_after_the_other(blobs, short, tmp_path):
    train_run(run_of("erm", short), blobs, tmp_path / "erm")
    both = refit_run(tmp_path / "erm", "tau_norm >> temperature", blobs, tmp_path / "both")
    refit_run(tmp_path / "erm", "tau_norm", blobs, tmp_path / "first")
    second = refit_run(tmp_path / "first", "temperature", blobs, tmp_path / "second")
    assert second["method"] == both["method"] == "erm >> tau_norm >> temperature"
    found = [read_predictions(tmp_path / name).logits for name in ("both", "second")]
    assert torch.equal(*found)
    again = refit_run(tmp_path / "first", "temperature", blobs, tmp_path / "second")  # done already
    assert again["method"] == second["method"]


def test_what_is_chosen_is_chosen_on_validation_rows(blobs, short, tmp_path):
    """The temperature is the likeliest one there, and of no other rows."""
    base = run_of("erm", short)
    train_run(base, blobs, tmp_path / "linear")
    split = base.split(blobs)
    assert split.validation is not None
    record = refit_run(tmp_path / "linear", "temperature", blobs, tmp_path / "t")
    before, after = (read_predictions(tmp_path / name).logits for name in ("linear", "t"))
    found = predict(load_model(tmp_path / "linear")[0], split.validation)
    expected = fit_calibration(found.logits, found.labels, [1 / 3] * 3).temperature
    assert record["validation"] == 0.3
    torch.testing.assert_close(after * expected, before, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_is_said_before_anything_is_written(blobs, short, tmp_path):
    train_run(run_of("erm", short, validation=0.0), blobs, tmp_path / "none")
    train_run(run_of("erm+cosine", short), blobs, tmp_path / "cosine")
    train_run(run_of("ridge", short), blobs, tmp_path / "ridge")
    cases = [
        (
            "none",
            "tau_norm:tau=auto",
            "chooses on held-out rows, and .* held out none; train it with a share",
        ),
        ("none", "temprature", "unknown stage 'temprature': did you mean temperature"),
        ("none", "tau_norm:tua=1", "unknown option of tau_norm 'tua': did you mean tau"),
        ("cosine", "tau_norm", "needs a linear classifier"),
        ("ridge", "tau_norm", "is of ridge, which fits itself"),
        ("missing", "tau_norm", "holds no finished run"),
    ]
    for folder, stage, words in cases:
        with pytest.raises(InputError, match=words):
            refit_run(tmp_path / folder, stage, blobs, tmp_path / "out")
    other = replace(blobs, train=replace(blobs.train, inputs=blobs.train.inputs + 1))
    with pytest.raises(InputError, match=r"is not what .* was trained on"):
        refit_run(tmp_path / "none", "tau_norm", other, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    refit_run(tmp_path / "none", "tau_norm", blobs, tmp_path / "out")
    with pytest.raises(InputError, match="holds another run"):
        refit_run(tmp_path / "none", "ncm", blobs, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["method"] == "erm >> tau_norm"
