"""Recipes of papers: settings that can be, told apart from what a user says, and in the documents as they are."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from midmix.cli.flags import TrainingFlags
from midmix.errors import InputError
from midmix.training import Settings
from midmix.training.published import RECIPES, recipe

PAGE = Path(__file__).parents[2] / "docs" / "large-sets.md"


@pytest.mark.parametrize("name", RECIPES)
def test_every_field_is_a_setting_and_has_its_source(name):
    known = {field.name for field in fields(Settings)}
    given = recipe(name)
    assert given.keys() <= known
    settings = Settings.for_kind("images", **given)
    assert {field: getattr(settings, field) for field in given} == given
    assert all("arXiv" in source for _, source in RECIPES[name].fields.values())


@pytest.mark.parametrize("name", RECIPES)
def test_every_field_stands_in_the_documents(name):
    text = PAGE.read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
    for field, (value, _) in RECIPES[name].fields.items():
        if field != "tune":
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            assert shown in row, field


def test_what_is_said_overrides_a_recipe():
    given = TrainingFlags(recipe="cifar10-lt-resnet32", epochs=3).options()
    assert (given["epochs"], given["weight_decay"], given["precision"]) == (3, 2e-4, None)
    assert "recipe" not in given
    with pytest.raises(InputError, match="unknown recipe 'imagenet-lt': did you mean imagenet-lt-resnet50"):
        TrainingFlags(recipe="imagenet-lt").options()
