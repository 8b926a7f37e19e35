"""Networks by name: published sizes, the layers that mixing hooks, and what bad names get."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from midmix.errors import InputError
from midmix.models import NETWORKS, CosineLinear, build, describe


def linear_layers(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear | CosineLinear)]


@pytest.mark.parametrize(
    ("network", "width", "num_classes", "parameters"),
    [
        ("resnet-8", None, 10, 75_290),
        ("resnet-20", None, 10, 269_722),
        ("resnet-32", None, 10, 464_154),
        ("resnet-32", None, 100, 470_004),
        ("resnet-56", None, 10, 853_018),
        ("mlp", None, 10, 128 * 64 + 128 + 128 * 128 + 128 + 10 * 128 + 10),
        ("mlp", 32, 10, 32 * 64 + 32 + 32 * 32 + 32 + 10 * 32 + 10),
    ],
)
def test_known_numbers_of_parameters(network, width, num_classes, parameters):
    shape = (64,) if network == "mlp" else (3, 32, 32)
    assert describe(build(network, shape, num_classes, width=width)).parameters == parameters


def test_resnet_8_layer_by_layer_by_hand():
    def conv_bn(before: int, after: int) -> int:
        return 9 * before * after + 2 * after

    w = 5  # an odd width pads unevenly
    by_hand = conv_bn(3, w) + 2 * conv_bn(w, w)
    by_hand += conv_bn(w, 2 * w) + conv_bn(2 * w, 2 * w) + conv_bn(2 * w, 4 * w) + conv_bn(4 * w, 4 * w)
    by_hand += 4 * w * 7 + 7
    described = describe(build("resnet-8", (3, 16, 16), 7, width=w))
    assert described.parameters == by_hand
    assert described.widths == (5, 10, 20)
    assert str(described) == f"resnet-8 (5-10-20, {by_hand:,} parameters)"


@pytest.mark.parametrize("network", [*NETWORKS, "mlp-7", "mlp-20-10", "resnet-14"])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 7, 9), (3, 1, 1)])
def test_one_linear_classifier_named_fc(network, shape):
    model = build(network, shape, 4, seed=0)
    assert model(torch.rand(3, *shape)).shape == (3, 4)
    assert linear_layers(model)[-1] == "fc"
    assert next(model.children()) is model.normalize
    if network.startswith("resnet"):
        assert linear_layers(model) == ["fc"]
        assert [name for name, _ in model.named_children()][:5] == [
            "normalize",
            "stem",
            "stage1",
            "stage2",
            "stage3",
        ]


def test_mlp_names_its_widths():
    assert describe(build("mlp-20-10", (6,), 3)).widths == (20, 10)
    assert describe(build("mlp", (6,), 3)).network == "mlp-128-128"
    assert build(describe(build("mlp", (6,), 3)).network, (6,), 3).widths == (128, 128)


def test_shortcut_is_option_a():
    model = build("resnet-8", (3, 8, 8), 2, width=4, seed=0)
    block = model.stage2[0]
    x = torch.rand(2, 4, 8, 8)
    shortcut = block.shortcut(x)
    expected = torch.zeros(2, 8, 4, 4)
    for channel in range(4):
        for row in range(4):
            for column in range(4):
                expected[:, channel + 2, row, column] = x[:, channel, 2 * row, 2 * column]
    assert torch.equal(shortcut, expected)
    assert not any("shortcut" in name for name, _ in model.named_parameters())
    assert model.stage1[0].shortcut(torch.ones(1, 4, 2, 2)).equal(torch.ones(1, 4, 2, 2))


def test_he_initialisation():
    model = build("resnet-8", (3, 32, 32), 10, width=64, seed=0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.in_channels * 9
            assert module.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
    assert model.fc.bias.abs().max() == 0


def test_channels_last_survives_every_stage():
    model = build("resnet-8", (3, 32, 32), 10).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.rand(2, 3, 32, 32).to(memory_format=torch.channels_last)
    contiguous = []
    for stage in (model.stem, model.stage1, model.stage2, model.stage3):
        stage.register_forward_hook(
            lambda _module, _args, out: contiguous.append(
                out.is_contiguous(memory_format=torch.channels_last)
            )
        )
    model(x)
    assert contiguous == [True] * 4


def test_shortcut_gradient_stays_channels_last():
    leaf = torch.rand(2, 4, 8, 8).to(memory_format=torch.channels_last).requires_grad_()
    x = leaf * 1  # a leaf's gradient is always stored in the leaf's own layout
    kept = []
    x.register_hook(lambda gradient: kept.append(gradient.is_contiguous(memory_format=torch.channels_last)))
    build("resnet-8", (3, 8, 8), 2, width=4).stage2[0].shortcut(x).sum().backward()
    assert kept == [True]


def test_seed_decides_weights_and_leaves_global_state_alone():
    before = torch.get_rng_state()
    first, second, other = (build("mlp", (4,), 2, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["fc.weight"], other["fc.weight"])


@pytest.mark.parametrize("network", ["mlp", "resnet-8"])
def test_no_graph_breaks(network):
    model = build(network, (3, 8, 8), 4, seed=0)
    explained = torch._dynamo.explain(model)(torch.rand(4, 3, 8, 8))
    assert explained.graph_break_count == 0
    assert explained.graph_count == 1


@pytest.mark.parametrize(
    ("network", "shape", "options", "message"),
    [
        ("resnet-9", (3, 32, 32), {}, "unknown network 'resnet-9': did you mean .*resnet-8"),
        ("resnet-2", (3, 32, 32), {}, "unknown network 'resnet-2'"),
        ("resnet", (3, 32, 32), {}, "unknown network 'resnet'"),
        ("mpl", (3,), {}, "unknown network 'mpl': did you mean mlp"),
        ("mlp-0", (3,), {}, "unknown network 'mlp-0'"),
        ("resnet-8", (64,), {}, r"resnet-8.*images.*\(64,\).*use mlp"),
        ("mlp-64", (3,), {"width": 32}, "give one of the two"),
        ("mlp", (3,), {"width": 0}, "width: 0; must be at least 1"),
    ],
)
def test_bad_names_say_what_to_do(network, shape, options, message):
    with pytest.raises(InputError, match=message):
        build(network, shape, 3, **options)


def test_one_class_is_no_classifier():
    with pytest.raises(InputError, match="at least 2 classes"):
        build("mlp", (3,), 1)


def test_describe_any_module():
    assert str(describe(nn.Linear(3, 2))) == "Linear (8 parameters)"
