"""The door to other networks: what is passed, what is checked, what bad doors get."""

from __future__ import annotations

import sys
import uuid
from textwrap import dedent

import pytest
import torch

from midmix.errors import InputError
from midmix.models import build, describe, fit_normalization

SOURCE = """
import torch
from torch import nn

seen = {}

def plain(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(12, num_classes))

def shaped(num_classes, shape, width=8):
    seen.update(shape=shape, width=width)
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(width), nn.Linear(width, num_classes))

def by_other_name(*, num_classes, input_shape):
    seen.update(input_shape=input_shape)
    return plain(num_classes)

def anything(**options):
    seen.update(options)
    return plain(options["num_classes"])

def frozen_norm(num_classes):
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.9), nn.Flatten(), nn.Linear(12, num_classes))
    model[0].eval()
    return model

def no_classes(size):
    return plain(size)

def not_a_module(num_classes):
    return "a string"

def wrong_logits(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(12, num_classes + 1))

def wrong_output(num_classes):
    class Odd(nn.Module):
        def forward(self, x):
            return {"logits": x}
    return Odd()

def wrong_input(num_classes):
    return nn.Linear(5, num_classes)

constant = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module in the current folder, under a name that no other test has imported."""
    name = f"networks_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(dedent(SOURCE), encoding="utf-8")
    (tmp_path / f"{name}_broken.py").write_text("import surely_not_installed\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return name


def test_factory_in_current_folder(module):
    path = list(sys.path)
    model = build(f"{module}:plain", (3, 2, 2), 5, seed=0)
    assert sys.path == path
    assert model(torch.rand(3, 3, 2, 2)).shape == (3, 5)
    assert str(describe(model)) == f"{module}:plain (65 parameters)"
    fit_normalization(model, torch.rand(9, 3, 2, 2))
    assert (model.normalize.std != 1).all()


def test_factory_gets_what_it_names(module):
    build(f"{module}:shaped", (3, 2, 2), 5)
    assert sys.modules[module].seen == {"shape": (3, 2, 2), "width": 8}
    build(f"{module}:shaped", (3, 2, 2), 5, width=16)
    assert sys.modules[module].seen["width"] == 16
    build(f"{module}:by_other_name", (3, 2, 2), 5)
    assert sys.modules[module].seen["input_shape"] == (3, 2, 2)


def test_factory_with_keywords_gets_only_what_all_take(module):
    build(f"{module}:anything", (3, 2, 2), 5)
    assert sys.modules[module].seen == {"num_classes": 5}


def test_seed_reaches_the_factory(module):
    first, second = (build(f"{module}:plain", (3, 2, 2), 5, seed=4).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_trial_leaves_modes_as_they_were(module):
    model = build(f"{module}:frozen_norm", (3, 2, 2), 5)
    assert [layer.training for layer in model.model] == [False, True, True, True]
    assert model.model[0].num_batches_tracked == 0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("plian", r"unknown function in module .*'plian': did you mean plain"),
        ("constant", "object of type int, not a function"),
        ("no_classes", "does not take num_classes="),
        ("not_a_module", "returned an object of type str; it must return a torch.nn.Module"),
        ("wrong_logits", r"a tensor of shape \(2, 6\) where logits of shape \(2, 5\)"),
        ("wrong_output", "an object of type dict where logits"),
        ("wrong_input", r"a batch of shape \(2, 3, 2, 2\) fails: "),
        ("", "write module:function"),
    ],
)
def test_bad_functions_say_what_to_do(module, function, message):
    with pytest.raises(InputError, match=message) as caught:
        build(f"{module}:{function}", (3, 2, 2), 5)
    assert "\n" not in str(caught.value)


def test_width_for_a_function_without_it(module):
    with pytest.raises(InputError, match="does not take width="):
        build(f"{module}:plain", (3, 2, 2), 5, width=4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("surely_not_there:f", "no module 'surely_not_there' in the current folder"),
        ("torch.surely_not_there:f", "no module 'torch.surely_not_there'"),
        ("{module}_broken:f", "importing .* failed: No module named 'surely_not_installed'"),
        ("../networks:f", "write module:function"),
        (":f", "write module:function"),
    ],
)
def test_bad_modules_say_what_to_do(module, name, message):
    with pytest.raises(InputError, match=message):
        build(name.format(module=module), (3, 2, 2), 5)
