"""Predictions are those of the unmixed model in evaluation mode, and asking leaves no trace."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from midmix.errors import InputError
from midmix.mixing import recipe, recipes
from midmix.models import build, to_float
from midmix.training import predict


@pytest.fixture
def network():
    model = build("resnet-8", (3, 8, 8), 3, width=4, seed=0)
    with torch.no_grad():
        model(torch.rand(8, 3, 8, 8))  # running statistics that differ from a batch's own
    return model


@pytest.mark.parametrize("line", recipes())
def test_answers_are_never_mixed(line, network, pictures):
    expected = network.eval()(to_float(pictures.train.inputs.rows))
    mix = recipe(line, num_classes=3).attach(network.train())
    with mix(pictures.train.labels):  # even in the midst of a batch
        predictions = predict(network, pictures.train)
    torch.testing.assert_close(predictions.logits, expected.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.fc(predictions.features), predictions.logits, rtol=1e-4, atol=1e-5)
    assert torch.equal(predictions.labels, pictures.train.labels)
    assert predictions.logits.dtype == predictions.features.dtype == torch.float32


def test_modes_hooks_statistics_and_random_state_are_left_alone(network, pictures):
    mix = recipe("am-mixup", num_classes=3).attach(network.train())
    frozen = next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    frozen.eval()
    hooks = [len(module._forward_pre_hooks) + len(module._forward_hooks) for module in network.modules()]
    modes = [module.training for module in network.modules()]
    tensors = {name: tensor.clone() for name, tensor in (network.state_dict() | mix.state_dict()).items()}
    random = torch.get_rng_state()
    predict(network, pictures.test)
    assert [module.training for module in network.modules()] == modes
    assert not frozen.training
    assert [len(m._forward_pre_hooks) + len(m._forward_hooks) for m in network.modules()] == hooks
    for name, tensor in (network.state_dict() | mix.state_dict()).items():
        assert torch.equal(tensor, tensors[name]), name
    assert torch.equal(torch.get_rng_state(), random)


def test_modes_and_hooks_are_restored_after_an_error(network, pictures):
    network.train()
    two_channels = replace(pictures.test, inputs=pictures.test.inputs.rows[:, :2])
    with pytest.raises(RuntimeError):
        predict(network, two_channels)
    assert all(module.training for module in network.modules())
    assert not network.fc._forward_pre_hooks


def test_the_classifier_can_be_named(pictures):
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3), nn.ReLU(), nn.Linear(3, 3))
    with pytest.raises(InputError, match="2 linear layers have 3 outputs"):
        predict(model, pictures.test)
    predictions = predict(model, pictures.test, classifier="3")
    torch.testing.assert_close(model[3](predictions.features), predictions.logits)
    with pytest.raises(InputError, match="unknown module of Sequential '4'"):
        predict(model, pictures.test, classifier="4")


@pytest.mark.parametrize("batch_size", [1, 5, 12, 1000])
def test_batches_make_no_difference(batch_size, network, pictures):
    whole = predict(network, pictures.test)
    parts = predict(network, pictures.test, batch_size=batch_size)
    torch.testing.assert_close(parts.logits, whole.logits, rtol=1e-4, atol=1e-5)
    assert parts.logits.shape == (12, 3)
    assert parts.features.shape == (12, network.fc.in_features)
    assert parts.accuracy() == (parts.logits.argmax(1) == pictures.test.labels).float().mean()
