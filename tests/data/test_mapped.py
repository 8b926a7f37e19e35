"""Features that are larger than memory should hold stay in their file, and nothing else changes by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from midmix.data import from_arrays, load, load_features, load_unlabelled
from midmix.data.mapped import MappedRows
from midmix.errors import InputError
from midmix.methods import Method
from midmix.training import Run, Settings, train_run

ROWS, WIDTH = 240, 130


@pytest.fixture
def arrays(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), ROWS // 3)
    x = random.normal(size=(ROWS, WIDTH)).astype(np.float32) + labels[:, None].astype(np.float32)
    return {"names": np.arange(ROWS).astype(str), "x": x, "y": labels, "classes": np.array(["a", "b", "c"])}


@pytest.fixture
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midmix.data.mapped.MAPPED_BYTES", 0)


def saved(folder: Path, arrays: dict[str, Any], **others: Any) -> Path:
    np.savez(folder / "features.npz", **{**arrays, **others})
    return folder / "features.npz"


@pytest.mark.usefixtures("everything_is_large")
def test_rows_of_an_archive_are_those_that_were_saved(arrays, tmp_path: Path) -> None:
    x = arrays["x"]
    source = load(saved(tmp_path, arrays, x_test=x[:7] + 1, y_test=arrays["y"][:7]))
    for part, wanted in ((source.train, x), (source.test, x[:7] + 1)):
        assert isinstance(part.inputs, MappedRows)
        assert np.array_equal(part.inputs.whole().numpy(), wanted)
    chosen = source.train.select(torch.tensor([5, 0, 5])).inputs
    assert np.array_equal(chosen[torch.tensor([1, 2])].numpy(), x[[0, 5]])
    assert Settings.for_rows(source.train).network == "linear"  # told as an encoder's features


@pytest.mark.usefixtures("everything_is_large")
def test_other_commands_read_them_too(arrays, tmp_path: Path) -> None:
    path = saved(tmp_path, arrays)
    assert np.array_equal(load_features(path).features.numpy(), arrays["x"])
    rows = load_unlabelled(path, shape=(WIDTH,), columns=("x",))
    assert np.array_equal(rows.inputs[torch.arange(ROWS)].numpy(), arrays["x"])
    np.save(tmp_path / "x.npy", arrays["x"])
    found = from_arrays(np.load(tmp_path / "x.npy", mmap_mode="r"), arrays["y"])
    assert isinstance(found.train.inputs, MappedRows)


@pytest.mark.parametrize("method", ["balanced-am-mixup+balanced_softmax", "erm >> crt", "discriminant"])
def test_a_run_on_them_is_the_same_to_the_bit(method, arrays, tmp_path: Path, monkeypatch) -> None:
    path = saved(tmp_path, arrays)
    settings = Settings(network="linear", epochs=2, batch_size=32)
    run = Run(Method.parse(method), seed=0, settings=settings, imbalance=4, splits="drawn", ranks="drawn")
    found = []
    for name, most in (("read", 2**40), ("mapped", 0)):
        monkeypatch.setattr("midmix.data.mapped.MAPPED_BYTES", most)
        source = load(path)
        assert isinstance(source.train.inputs, MappedRows) == (name == "mapped")
        train_run(run, source, tmp_path / name)
        found.append((tmp_path / name / "model.safetensors").read_bytes())
        found.append((tmp_path / name / "test.npz").read_bytes())
    assert found[:2] == found[2:]


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("how", ["compressed", "float64", "by columns"])
def test_what_is_not_stored_so_is_read(how, arrays, tmp_path: Path) -> None:
    path = tmp_path / "features.npz"
    x = arrays["x"].astype(float) if how == "float64" else arrays["x"]
    x = np.asfortranarray(x) if how == "by columns" else x
    (np.savez_compressed if how == "compressed" else np.savez)(path, **{**arrays, "x": x})
    inputs = load(path).train.inputs
    assert isinstance(inputs, torch.Tensor)


@pytest.mark.usefixtures("everything_is_large")
def test_what_is_not_finite_is_named(arrays, tmp_path: Path) -> None:
    x = arrays["x"].copy()
    x[17, 3] = np.nan
    with pytest.raises(InputError, match=r"NaN or infinite \(1 of 31200 values\).* row 17 .*column 3"):
        load(saved(tmp_path, arrays, x=x))


@pytest.mark.usefixtures("everything_is_large")
def test_a_file_that_was_cut_is_refused(arrays, tmp_path: Path) -> None:
    path = saved(tmp_path, arrays)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="cut off or of another format"):
        load(path)
