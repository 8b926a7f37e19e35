"""The classifier and the stages before it are found in networks of many makes, or the error says what to name."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from midmix.errors import InputError
from midmix.mixing.classifier import find_classifier, find_stages
from midmix.models import build


class Timm(nn.Module):
    """A network of timm's conventions, with a second layer that would fit as well."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.patch_embed = nn.Sequential(nn.Conv2d(3, 4, 2))
        self.blocks = nn.Sequential(nn.Sequential(nn.Linear(4, 10)), nn.Sequential(nn.Linear(10, 4)))
        self.aux = nn.Linear(4, 10)
        self.head = nn.Linear(4, classes) if classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        return self.head


class Wrapper(nn.Module):
    """As DistributedDataParallel and torch.compile wrap a network."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.module(x)
        return logits


def with_fc() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(stem=nn.Linear(4, 10), projector=nn.Linear(10, 10), fc=nn.Linear(10, 10))
    )


def test_the_only_layer_with_as_many_outputs():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Dropout(), nn.Linear(8, 3)))
    assert find_classifier(model, 3) is model[2][1]


def test_the_usual_name_where_several_fit():
    model = with_fc()
    assert find_classifier(model, 10) is model.fc


@pytest.mark.parametrize("name", ["fc", "classifier", "head", "heads", "linear", "score"])
def test_usual_names(name):
    layers = OrderedDict([("other", nn.Linear(5, 5)), (name, nn.Linear(5, 5))])
    assert find_classifier(nn.Sequential(layers), 5) is layers[name]


def test_not_a_projection_inside_an_attention_head():
    attention = nn.ModuleDict({"head": nn.Linear(5, 5)})
    model = nn.ModuleDict({"attn": attention, "head": nn.Linear(5, 5)})
    assert find_classifier(model, 5) is model["head"]


def test_what_the_models_own_convention_names():
    model = Timm(10)
    assert find_classifier(model, 10) is model.head


def test_a_headless_model_of_that_convention_is_searched():
    model = Timm(0)
    with pytest.raises(InputError, match="2 linear layers have 10 outputs"):
        find_classifier(model, 10)


@pytest.mark.parametrize("wrap", [Wrapper, nn.Sequential, lambda m: Wrapper(Wrapper(m))])
def test_through_wrappers(wrap):
    model = with_fc()
    assert find_classifier(wrap(model), 10) is model.fc


def test_ambiguity_lists_the_layers_to_choose_from():
    model = nn.Sequential(OrderedDict(a=nn.Linear(4, 3), b=nn.Linear(3, 3)))
    says = (
        r"classifier of Sequential: 2 linear layers have 3 outputs; name it with site='…'. "
        r"Linear layers: a \(4 to 3\), b \(3 to 3\)"
    )
    with pytest.raises(InputError, match=says):
        find_classifier(model, 3)


def test_none_that_fits_says_so():
    with pytest.raises(InputError, match=r"no linear layer has num_classes = 7 outputs; .* 0 \(4 to 3\)"):
        find_classifier(nn.Sequential(nn.Linear(4, 3)), 7)
    with pytest.raises(InputError, match="Linear layers: none"):
        find_classifier(nn.Sequential(nn.Conv2d(3, 7, 1)), 7)


@pytest.mark.parametrize("depth", [8, 20])
def test_stages_of_a_resnet(depth):
    model = build(f"resnet-{depth}", (3, 8, 8), 10, width=4)
    assert find_stages(model, 10) == ["stem", "stage1", "stage2", "stage3"]
    assert find_stages(Wrapper(model), 10) == [f"module.{name}" for name in find_stages(model, 10)]


def test_stages_of_an_mlp_are_its_hidden_layers():
    assert find_stages(build("mlp-8-7-6", (4,), 3), 3) == ["hidden.0", "hidden.1", "hidden.2"]


def test_stages_of_a_flat_network_are_its_layers_with_parameters():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    assert find_stages(model, 3) == ["0", "2"]


def test_stages_of_timm_blocks():
    assert find_stages(Timm(10), 10)[:2] == ["patch_embed", "blocks"]


def test_a_lone_classifier_has_no_stages():
    assert find_stages(nn.Sequential(nn.Linear(4, 3)), 3) == []
