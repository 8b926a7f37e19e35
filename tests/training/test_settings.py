"""Wrong settings and lines are refused in one sentence that says what, where and what to do."""

import math

import pytest
import torch

from midmix.data import Labelled, load
from midmix.errors import InputError
from midmix.methods import Method, Spec, parse_methods
from midmix.mixing import recipes
from midmix.mixing.recipes import CORE
from midmix.training import Settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"optimizer": "sdg"}, "unknown optimizer 'sdg': did you mean sgd?"),
        ({"precision": "fp31"}, "unknown precision 'fp31': did you mean fp"),
        ({"augment": "crop-flp"}, "unknown augment 'crop-flp': did you mean crop-flip"),
        ({"augment": "flip+random-resized-crop"}, "put it first, for it is done as images are decoded"),
        ({"augment": "crop-flip+cutuot"}, "unknown augment 'cutuot': did you mean cutout?"),
        ({"augment": "cutout+cutout"}, "augment: cutout+cutout names cutout twice"),
        ({"augment": "none+cutout"}, "augment: none+cutout names none beside others"),
        ({"augment": ""}, "unknown augment ''"),
        ({"epochs": 0}, "epochs: 0 is too small; at least 1"),
        ({"batch_size": 1}, "batch_size: 1 is too small; at least 2"),
        ({"accumulate": 0}, "accumulate: 0 is too small; at least 1"),
        ({"evaluate_every": 0}, "evaluate_every: 0 is too small; at least 1"),
        ({"weight_decay": -1e-4}, "weight_decay: -0.0001 is too small; at least 0"),
        ({"warmup_epochs": math.nan}, "warmup_epochs: nan is too small"),
        ({"momentum": -0.1}, "momentum: -0.1 is too small; at least 0"),
        ({"momentum": 1.0}, "momentum: 1.0 must be below 1"),
        ({"learning_rate": 0.0}, "learning_rate: 0.0 must be above 0"),
        ({"learning_rate": math.nan}, "learning_rate: nan must be above 0"),
        ({"learning_rate": math.inf}, "learning_rate: inf must be above 0 and finite"),
        ({"width": 0}, "width: 0 must be at least 1"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(given, said):
    with pytest.raises(InputError) as error:
        Settings.for_kind("features", **given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_setting_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="unknown setting 'learning_rat': did you mean learning_rate"):
        Settings.for_kind("images", learning_rat=0.1)


def test_none_stands_for_the_kinds_default():
    assert Settings.for_kind("images", epochs=None, batch_size=7).epochs == Settings.for_kind("images").epochs
    assert Settings.for_kind("images").network != Settings.for_kind("features").network


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("am-mixpu", "unknown method 'am-mixpu': did you mean am-mixup"),
        ("", "a name is missing"),
        ("am-mixup:bta=0.5", "unknown option of am-mixup 'bta': did you mean beta"),
        ("am-mixup:beta", "'beta' is not option=value; write am-mixup:option=value"),
        ("am-mixup:=1", "'=1' is not option=value"),
        ("am-mixup:beta=", "'beta=' is not option=value"),
        ("am-mixup:beta=2", "beta: 2 would take the ratio out of [0.5, 1]"),
        ("am-mixup:beta=two", "am-mixup:beta=two: must be a number"),
        ("am-mixup:beta=[", "am-mixup:beta=[: must be a number"),
        ("mixup:alpha=nan", "alpha: nan must be above 0"),
        ("mixup:alpha=-1", "alpha: -1 must be above 0"),
        ("mixup:clean_weight=-1", "clean_weight: -1 must be 0 or more"),
        ("am-mixup:accuracy=lst", "unknown accuracy 'lst'"),
        ("am-mixup:accuracy=given", "use accuracy=running, epoch or validation"),
        (
            "am-mixup+balanced_sofmax",
            "unknown loss, order or head 'balanced_sofmax': did you mean balanced_softmax",
        ),
        ("erm+class_balancd", "unknown loss, order or head 'class_balancd'"),
        ("balanced_softmax", "balanced_softmax is a loss; write erm+balanced_softmax"),
    ],
)
def test_a_line_that_does_not_parse_says_why(text, said):
    with pytest.raises(InputError) as error:
        Method.parse(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "value"), [("2", 2), ("0.5", 0.5), ("1e-3", 0.001), ("true", True), ("fc", "fc")]
)
def test_options_are_read_as_what_they_look_like(text, value):
    (found,) = Spec.parse(f"am-mixup:option={text}").as_dict().values()
    assert found == value
    assert type(found) is type(value)


def test_a_line_named_twice_is_refused_however_it_is_written():
    with pytest.raises(InputError, match="erm stands there more than once"):
        parse_methods(["erm", "mixup", "erm + cross_entropy"])


def test_no_lines_are_the_core_recipes():
    assert tuple(str(line) for line in parse_methods([])) == CORE
    assert set(CORE) <= set(recipes())


def test_lines_that_differ_have_folders_that_differ():
    texts = [
        "erm",
        "erm+balanced_softmax",
        "am-mixup",
        "am-mixup:beta=0.5",
        "am-mixup:beta=0.5:clean_weight=1",
    ]
    slugs = [line.slug for line in parse_methods(texts)]
    assert len(set(slugs)) == len(texts)
    assert not any(set(slug) & set("/\\:* ") for slug in slugs)


def test_a_mix_and_a_criterion_are_fresh_each_time():
    line = Method.parse("am-mixup+balanced_softmax")
    assert line.make_mix(3) is not line.make_mix(3)
    assert line.make_loss() is not line.make_loss()


def test_a_network_brings_its_own_defaults_and_what_is_given_stays():
    assert Settings.for_kind("features", network="linear").weight_decay == 0.01
    assert Settings.for_kind("features", network="cosine").learning_rate == 0.1
    assert Settings.for_kind("features", network="linear", epochs=7).epochs == 7
    assert Settings.for_kind("features", network="mlp-8").epochs == Settings.for_kind("features").epochs


def labelled(rows):
    return Labelled(rows, torch.zeros(len(rows), dtype=torch.long), ("cat", "dog"))


def test_features_of_an_encoder_are_told_by_what_is_measured(generator):
    pooled = torch.randn(400, 256, generator=generator).relu() * torch.rand(256, generator=generator).add(0.1)
    assert Settings.for_rows(labelled(torch.randn(400, 256, generator=generator))).network == "linear"
    assert Settings.for_rows(labelled(torch.randn(400, 256, generator=generator).half())).network == "linear"
    assert Settings.for_rows(labelled(pooled + torch.rand(400, 256, generator=generator))).network == "linear"
    assert Settings.for_rows(labelled(pooled), network="mlp").network == "mlp"


def test_tables_pixels_and_categories_are_not_taken_for_an_encoders_features(generator):
    measured = torch.randn(400, 256, generator=generator)
    for rows in (
        measured[:, :60],
        measured * 10 ** torch.linspace(-3, 3, 256),  # amounts, ages, lengths
        (255 * measured.sigmoid()).round() * (measured > 0.5),  # pixels
        (measured > 1).float(),  # categories
        torch.ones(400, 256),
        measured[:1],
    ):
        assert Settings.for_rows(labelled(rows)).network == "mlp"
    assert Settings.for_rows(load("digits").train).network == "mlp"


@pytest.mark.parametrize("name", ["cifar10", "tiny-imagenet"])
def test_real_features_of_an_encoder(name, midmix_data):
    source = load(midmix_data / "embeddings" / name, label="label" if name == "cifar10" else "fine_label")
    assert Settings.for_rows(source.train).network == "linear"
