"""Twenty thousand classes: reading, drawing and grouping take memory by rows and by classes, never by their product."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from midmix.data import from_arrays, load, load_features, load_grouped, long_tailed, validation_split

CLASSES, WIDTH = 20_000, 2
LABELS = np.repeat(np.arange(CLASSES), 3)
ROWS = np.zeros((len(LABELS), WIDTH), np.float32)
NAMES = np.array([f"class {k}" for k in range(CLASSES)])


class Largest(TorchDispatchMode):
    """Sees every tensor that is made, and keeps the number of elements of the largest."""

    elements = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        sizes = (tensor.numel() for tensor in tree_leaves(made) if isinstance(tensor, torch.Tensor))
        self.elements = max(self.elements, *sizes, 0)
        return made


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("many") / "many.npz"
    np.savez(path, x=ROWS, y=LABELS, classes=NAMES, group=LABELS // 100)
    return path


@pytest.fixture(scope="module")
def table(archive: Path) -> Path:
    lines = [f"{k / 2},{NAMES[label]}" for k, label in enumerate(LABELS)]
    archive.with_name("many.csv").write_text("\n".join(["a,label", *lines]))
    return archive.with_name("many.csv")


@pytest.mark.parametrize(
    "work",
    [
        lambda archive, table: from_arrays(ROWS, NAMES[LABELS], ROWS, NAMES[LABELS]),
        lambda archive, table: load(archive),
        lambda archive, table: load(table),
        lambda archive, table: load_features(archive),
        lambda archive, table: load_grouped(archive, fine="y", coarse="group"),
        lambda archive, table: long_tailed(torch.from_numpy(LABELS), imbalance_ratio=3, seed=0),
        lambda archive, table: validation_split(torch.from_numpy(LABELS), fraction=0.3, seed=0),
    ],
    ids=["arrays", "npz", "csv", "features", "groups", "long tail", "split"],
)
def test_memory_grows_with_rows_and_classes_alone(
    archive: Path, table: Path, work: Callable[[Path, Path], object]
) -> None:
    tracemalloc.start()
    try:
        with Largest() as largest:
            work(archive, table)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert largest.elements <= 2 * ROWS.size  # rows × classes are 1.2·10^9
    assert peak < 128 * 2**20  # what is imported on the way is of it


def test_the_test_sees_a_matrix_of_rows_and_classes() -> None:
    labels = torch.arange(100)
    with Largest() as largest:
        torch.nn.functional.one_hot(labels, 100)
    assert largest.elements == 100 * 100
