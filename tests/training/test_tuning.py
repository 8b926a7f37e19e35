"""Runs that train a part of a pretrained encoder: kept, loaded, gone on with, mixed as others are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from midmix.errors import InputError
from midmix.methods import Method
from midmix.training import Callback, Run, Settings, load_model, read_predictions, train_run

NETWORK = "timm:test_vit@32"


@pytest.fixture
def settings() -> Settings:
    pytest.importorskip("timm")
    return Settings.for_kind(
        "images", network=NETWORK, weights="none", tune="light", epochs=2, augment="none"
    )


def run(settings: Settings, method: str = "erm", **changed: object) -> Run:
    return Run(Method.parse(method), 0, Settings(**{**settings.as_dict(), **changed}))


@pytest.mark.parametrize("tune", ["light", "last:1", "all"])
def test_what_was_trained_is_kept_counted_and_loaded(tune, settings, pictures, tmp_path):
    record = train_run(run(settings, tune=tune), pictures, tmp_path)
    model, again = load_model(tmp_path)
    expected = read_predictions(tmp_path).logits
    with torch.no_grad():
        rows = pictures.test.inputs[torch.arange(12)].float() / 255
        torch.testing.assert_close(model(rows), expected, rtol=1e-5, atol=1e-6)
    assert again["trained_parameters"] == record["trained_parameters"]
    share = record["trained_parameters"] / record["parameters"]
    assert {"light": share < 0.2, "last:1": 0.05 < share < 0.5, "all": share == 1}[tune]


def test_a_run_that_goes_on_ends_as_one_that_was_not_interrupted(settings, pictures, tmp_path):
    train_run(run(settings), pictures, tmp_path / "whole")
    looks = iter([False, True])
    stopping = Callback(stop=lambda: next(looks), every=1)
    with pytest.raises(KeyboardInterrupt):
        train_run(run(settings), pictures, tmp_path / "parts", callback=stopping, checkpoint_seconds=0)
    train_run(run(settings), pictures, tmp_path / "parts")
    assert torch.equal(
        read_predictions(tmp_path / "parts").logits, read_predictions(tmp_path / "whole").logits
    )


@pytest.mark.parametrize("method", [
    "mixup", "balanced-am-mixup+balanced_softmax", "manifold-mixup", "cutmix", "erm+cosine:start=means",
])  # fmt: skip
def test_methods_act_on_a_lightly_tuned_encoder(method, settings, pictures, tmp_path):
    plain = train_run(run(settings, epochs=1), pictures, tmp_path / "plain")
    record = train_run(run(settings, method, epochs=1), pictures, tmp_path / "mixed")
    assert record["parameters"] - plain["parameters"] in (0, -3)  # a head of cosines has no bias
    one, other = (read_predictions(tmp_path / name).logits for name in ("plain", "mixed"))
    assert not torch.allclose(one, other)


def test_a_head_that_starts_from_class_means_answers_by_them(settings, pictures):
    from midmix.training.predict import features_of, predict
    from midmix.training.stages import start_head

    begun = run(settings, "erm+cosine:start=means")
    split = begun.split(pictures)
    model = begun.network(split)
    found = predict(model, split.train)
    start_head(begun.method, model, split)
    head = features_of(model, 3).classifier(model, 3)
    unit = torch.nn.functional.normalize(found.features)
    means = torch.stack([unit[found.labels == label].mean(0) for label in range(3)])
    torch.testing.assert_close(head(found.features), 16 * unit @ torch.nn.functional.normalize(means).T)
    random = run(settings, "erm+cosine")
    model = random.network(split)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    start_head(random.method, model, split)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(InputError, match=r"unknown start of cosine 'mean': did you mean means\?"):
        Method.parse("erm+cosine:start=mean").make_head()


@pytest.mark.parametrize("tune", ["light", "all"])
def test_a_head_that_starts_from_names_answers_as_without_training(tune, settings, pictures, clip_tiny):
    """What "zero-shot" is: the angle between an image and its class's name."""
    from midmix.training.predict import predict
    from midmix.training.stages import start_head

    begun = run(settings, "erm+cosine:start=names", network=str(clip_tiny), weights=None, tune=tune)
    split = begun.split(pictures)
    model = begun.network(split)
    start_head(begun.method, model, split)
    found = predict(model, split.test)
    names = model.features_of_names(pictures.train.classes)
    unit = torch.nn.functional.normalize
    torch.testing.assert_close(found.logits, 16 * unit(found.features) @ unit(names).T)


def test_a_head_on_features_starts_from_names_too(settings, pictures, clip_tiny, tmp_path):
    from midmix.models import fit_normalization
    from midmix.training import embedded
    from midmix.training.encoders import encoder_of
    from midmix.training.run import check_runs
    from midmix.training.stages import start_head

    begun = run(settings, "erm+cosine:start=names", network=str(clip_tiny), weights=None, tune="head")
    encoder = encoder_of(begun.settings)
    assert encoder is not None
    train, test = (
        replace(part, inputs=part.inputs[torch.arange(len(part))]) for part in (pictures.train, pictures.test)
    )
    source = embedded(replace(pictures, train=train, test=test), encoder, folder=tmp_path)
    check_runs([begun], source)
    split = begun.split(source)
    model = fit_normalization(begun.network(split), split.train.inputs)
    start_head(begun.method, model, split, lambda: encoder)
    named = torch.nn.functional.normalize(encoder.features_of_names(source.train.classes))
    named = named - named.mean(0)
    directions = torch.nn.functional.normalize(model.get_classifier().weight.detach())
    rows = split.test.inputs
    centred = (rows - model.normalize.mean) @ named.T  # what a row has of a name, beyond the mean row
    standard = model.normalize(rows)
    lengths = (named * model.normalize.std).norm(dim=1)
    torch.testing.assert_close(standard @ directions.T, centred / lengths, rtol=1e-4, atol=1e-5)
    for network, message in (
        ("timm:test_vit@32", "has no text side"),
        ("linear", "with a text side knows names"),
    ):
        other = run(
            settings,
            "erm+cosine:start=names",
            network=network,
            weights="none" if ":" in network else None,
            tune="head" if ":" in network else "all",
        )
        with pytest.raises(InputError, match=message):
            check_runs([other], source)


def test_only_an_encoder_can_be_tuned_in_part(settings, pictures, tmp_path: Path):
    for tune in ("light", "last:2"):
        begun = run(settings, network="resnet-8", weights=None, tune=tune)
        with pytest.raises(
            InputError, match=f"tune {tune}: is for pretrained encoders, and resnet-8 is trained"
        ):
            train_run(begun, pictures, tmp_path / "out")
    assert not (tmp_path / "out" / "run.json").exists()


def test_rates_decays_and_lengths_are_those_of_what_is_trained(settings):
    given = {"network": NETWORK, "weights": "none"}
    found = {
        tune: Settings.for_kind("images", **given, tune=tune) for tune in ("head", "light", "last:2", "all")
    }
    assert [found[tune].epochs for tune in found] == [20, 20, 10, 10]
    assert found["light"].learning_rate > found["all"].learning_rate
    assert found["last:2"].learning_rate == found["all"].learning_rate
    assert Settings.for_kind("images", **given, tune="light", learning_rate=0.5).learning_rate == 0.5
    own = Settings.for_kind("images", network="mine.py:encoder", tune="all")
    assert (own.epochs, own.learning_rate) == (found["all"].epochs, found["all"].learning_rate)
    assert Settings.for_kind("images", network="resnet-20", tune="all").learning_rate == 0.1
    assert json.loads(json.dumps(found["light"].as_dict()))["tune"] == "light"
