"""Files of features with names and labels, written a part at a time; the readers of tables and NPZ files read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from midmix.data.dataset import Labelled
from midmix.errors import InputError
from midmix.files import atomic_write

_ROWS = 4096
"""Written at a time."""
COLUMNS = ("name", "label", "embedding")
Part = tuple[Labelled, Sequence[str]]
"""Rows of features, and what each is called."""


def write_features(path: Path, train: Part, test: Part | None = None) -> None:
    """Writes features `float32 [N, D]` with their labels' and their own names.

    Args:
        path: a `.parquet` file, with columns `name`, `label`, `embedding`; an `.npz` file, with arrays `x`, `y`,
            `names` and `classes`, and those of a test split as `x_test` and so on; or a folder, into which
            `train.parquet` and `test.parquet` are written.
        train: the rows.
        test: those of a test split, where there is one.

    Raises:
        InputError: for another kind of file, or one that holds no splits where there are two.
    """
    check_features_file(path, splits=test is not None)
    if path.suffix.lower() == ".npz":
        _write_npz(path, train, test)
    elif path.suffix.lower() == ".parquet":
        _write_parquet(path, train)
    else:
        path.mkdir(parents=True, exist_ok=True)
        _write_parquet(path / "train.parquet", train)
        if test is not None:
            _write_parquet(path / "test.parquet", test)


def check_features_file(path: Path, *, splits: bool = False) -> None:
    """Sees that such a file can be written.

    Raises:
        InputError: as `write_features` does, and where there is something else at its place.
    """
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".npz", ""):
        raise InputError(f"--out {path}: must end in .parquet or .npz, or be a folder")
    if not suffix and path.is_file():
        raise InputError(f"--out {path}: is a file; name a folder, or a file that ends in .parquet or .npz")
    if suffix and path.is_dir():
        raise InputError(f"--out {path}: is a folder; name a file in it")
    if suffix and not path.parent.is_dir():
        raise InputError(f"--out {path}: there is no folder {path.parent}; make it first")
    if suffix == ".parquet" and splits:
        raise InputError(
            f"--out {path}: one Parquet file holds no splits, and there are training and test rows; name a folder "
            f"({path.with_suffix('')}) or an .npz file"
        )


def _write_parquet(path: Path, part: Part) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    data, names = part
    width = data.shape[0]
    schema = pa.schema(zip(COLUMNS, (pa.string(), pa.string(), pa.list_(pa.float32(), width)), strict=True))
    classes = np.array(data.classes, dtype=object)
    with atomic_write(path) as file, parquet.ParquetWriter(file, schema) as writer:
        for start, rows in _parts(data):
            here = slice(start, start + len(rows))
            flat = pa.array(rows.reshape(-1).numpy())
            writer.write_table(
                pa.table(
                    [
                        pa.array(list(names[here]), pa.string()),
                        pa.array(classes[data.labels[here].numpy()], pa.string()),
                        pa.FixedSizeListArray.from_arrays(flat, width),
                    ],
                    schema=schema,
                )
            )


def _write_npz(path: Path, train: Part, test: Part | None) -> None:
    with atomic_write(path) as file, ZipFile(file, "w") as archive:
        for suffix, part in (("", train), ("_test", test)):
            if part is None:
                continue
            data, names = part
            _member(archive, f"x{suffix}", (len(data), *data.shape), np.dtype("<f4"), _bytes(data))
            _array(archive, f"y{suffix}", data.labels.numpy())
            _array(archive, f"names{suffix}", np.array(list(names)))
        _array(archive, "classes", np.array(train[0].classes))


def _array(archive: ZipFile, name: str, array: np.ndarray) -> None:
    _member(archive, name, array.shape, array.dtype, [array.tobytes()])


def _member(
    archive: ZipFile,
    name: str,
    shape: tuple[int, ...],
    kind: np.dtype,
    content: Iterable[bytes],
) -> None:
    """An array of an archive, stored as it is, so that it can be mapped."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
        header = {"descr": npy.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(stream, header)
        for part in content:
            stream.write(part)


def _bytes(data: Labelled) -> Iterator[bytes]:
    for _, rows in _parts(data):
        yield rows.numpy().tobytes()


def _parts(data: Labelled) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(data), _ROWS):
        rows = torch.arange(start, min(start + _ROWS, len(data)))
        yield start, data.inputs[rows].float().contiguous()
