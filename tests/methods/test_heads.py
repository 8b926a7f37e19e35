"""Heads that take the place of the network's own."""

from __future__ import annotations

import pytest
import torch

from midmix.errors import InputError
from midmix.methods import CosineLinear, Method


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
