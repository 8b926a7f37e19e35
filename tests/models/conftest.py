"""Small networks as libraries save them: no weights that were trained, and nothing from a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def vit_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Transformers' with an image encoder of random weights and how it wants its images."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("vit-tiny")
    config = transformers.ViTConfig(
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=16,
        patch_size=8,
    )
    torch.manual_seed(1)
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    about = {
        "size": {"height": 16, "width": 16}, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4], "resample": 3
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(about))
    return folder
