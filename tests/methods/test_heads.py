"""Heads that take the place of the network's own."""

from __future__ import annotations

import pytest
import torch

from midmix.data import from_arrays
from midmix.errors import InputError
from midmix.methods import CosineLinear, Method
from midmix.training import Run, Settings, load_model, train_run
from midmix.training.run import check_runs


def test_cosines_are_published(published):
    for entry in published("normed_linear"):
        given = {key: torch.tensor(value, dtype=torch.float64) for key, value in entry["inputs"].items()}
        width, classes = given["weight_DxC"].shape
        expected = torch.tensor(entry["outputs"]["cosine"], dtype=torch.float64)
        for scale in (1.0, 16.0):
            head = CosineLinear(width, classes, scale).double()
            head.weight.data.copy_(given["weight_DxC"].T)
            torch.testing.assert_close(
                head(given["features"]).detach(), scale * expected, rtol=1e-9, atol=1e-10
            )


def test_cosines_of_a_plain_loop(generator):
    head = Method.parse("erm+cosine:scale=3").make_head().make(5, 4)
    features = torch.randn(6, 5, generator=generator)
    for row, logits in zip(features, head(features).detach(), strict=True):
        for weight, logit in zip(head.weight.detach(), logits, strict=True):
            assert float(logit) == pytest.approx(
                3 * float(row @ weight / row.norm() / weight.norm()), abs=1e-5
            )


@pytest.mark.parametrize("scale", ["0", "-1", ".inf"])
def test_a_scale_that_cannot_be(scale):
    with pytest.raises(InputError, match=r"cosine:scale=.*: must be a finite number above 0"):
        Method.parse(f"erm+cosine:scale={scale}")


@pytest.mark.parametrize("method", ["am-mixup+cosine", "erm+drw+cosine >> ncm:cosine=true"])
def test_a_run_with_a_head_of_its_own_is_trained_and_read_back(method, clouds, tmp_path):
    run = Run(Method.parse(method), seed=0, settings=Settings(network="mlp-8", epochs=2))
    train_run(run, clouds, tmp_path)
    model, _ = load_model(tmp_path)
    assert any(isinstance(module, CosineLinear) for module in model.modules())


def test_a_stage_that_would_change_the_kind_of_head_is_refused_before_training(clouds, tmp_path):
    run = Run(Method.parse("erm+cosine >> crt"), seed=0, settings=Settings(network="mlp-8", epochs=2))
    for attempt in (lambda: check_runs([run], clouds), lambda: train_run(run, clouds, tmp_path)):
        with pytest.raises(InputError, match="a stage made a Linear of a CosineLinear"):
            attempt()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def clouds():
    return from_arrays(torch.eye(3).repeat(20, 1), torch.arange(3).repeat(20))
