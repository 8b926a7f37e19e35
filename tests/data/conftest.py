"""Small sources of every kind, made anew for each test."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image


def pixels(seed: int, height: int = 8, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder of PNG images, `{"class": rows}`; image k of the folder is `pixels(k)`."""

    def write(classes: dict[str, int], name: str = "pets", **size: int) -> Path:
        number = 0
        for label, rows in classes.items():
            (tmp_path / name / label).mkdir(parents=True)
            for row in range(rows):
                (tmp_path / name / label / f"{row:03}.png").write_bytes(png(pixels(number, **size)))
                number += 1
        return tmp_path / name

    return write


@pytest.fixture
def hub_parquet(tmp_path: Path) -> Callable[..., Path]:
    """Write a Parquet file in the Hub's layout: struct of bytes and path, labels, class names in the metadata."""

    def write(
        name: str,
        labels: Sequence[int | None],
        names: Sequence[str] | None = ("cat", "dog"),
        label: str = "label",
    ) -> Path:
        images = [{"bytes": png(pixels(k)), "path": f"{k}.png"} for k in range(len(labels))]
        kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        table = pa.table({"img": pa.array(images, kind), label: pa.array(labels, pa.int64())})
        features: dict[str, object] = {"img": {"_type": "Image"}}
        features[label] = (
            {"names": names, "_type": "ClassLabel"} if names else {"dtype": "int64", "_type": "Value"}
        )
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.replace_schema_metadata(metadata), path)
        return path

    return write


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real sets that `MIDMIX_DATA` names."""
    folder = os.environ.get("MIDMIX_DATA")
    if folder is None:
        pytest.skip("MIDMIX_DATA is not set")
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"MIDMIX_DATA is {folder}, which is not a folder")
    return Path(folder)
