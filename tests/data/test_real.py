"""Real image sets, where `MIDMIX_DATA` names a folder of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from midmix.data import load, long_tailed
from midmix.errors import InputError


def test_cifar10(real_data: Path) -> None:
    source = load(real_data / "cifar10" / "test.parquet", test_fraction=0.1)
    assert source.train.classes[:3] == ("airplane", "automobile", "bird")
    assert isinstance(source.train.inputs, torch.Tensor)
    assert source.train.inputs.dtype == torch.uint8
    assert source.train.inputs.shape == (9000, 3, 32, 32)
    assert source.test.counts().tolist() == [100] * 10
    kept = long_tailed(source.train.labels, imbalance_ratio=100, seed=0)
    assert source.train.select(kept).counts().tolist() == [900, 539, 323, 193, 116, 69, 41, 25, 15, 9]


def test_tiny_imagenet_by_either_label(real_data: Path) -> None:
    path = real_data / "tiny-imagenet-32" / "test.parquet"
    with pytest.raises(InputError, match="one of: img, fine_label, coarse_label"):
        load(path)
    source = load(path, label="coarse_label")
    assert len(source.train.classes) == 19
    assert len(source.train) + len(source.test) == 9300
