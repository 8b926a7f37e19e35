"""NPZ files as sources."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import IO
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.lib.format import read_array
from torch import Tensor

from midmix.data import mapped
from midmix.data.arrays import inputs_of_array, part_from_arrays
from midmix.data.columns import array_of
from midmix.data.dataset import RawSource, RawSplit
from midmix.data.mapped import MappedRows
from midmix.data.options import Options
from midmix.data.readers.reader import READERS, FileReader, Place
from midmix.errors import InputError, unknown

_PAIRS = (("x", "y"), ("X", "y"), ("features", "labels"), ("images", "labels"), ("data", "target"))
"""Names of the inputs and labels that belong together; any of the one and any of the other are found too."""
INPUT_ARRAYS = tuple(x for x, _ in _PAIRS)
"""Names of the inputs alone."""
LABEL_ARRAYS = tuple(dict.fromkeys(y for _, y in _PAIRS))
"""Names of the labels alone."""
_LOCAL_HEADER = 30
"""Bytes before the name of a member of a ZIP file (APPNOTE 4.3.7)."""


@READERS.register(name="npz")
class Npz(FileReader):
    """NumPy's archives."""

    what = "an NPZ file"
    suffixes = (".npz",)

    def read_files(self, train: list[Path], test: list[Path], options: Options) -> RawSource:
        """The arrays of one file, or of one a split."""
        return read_npz(train[0], test[0] if test else None, options)

    def read_inputs(self, place: Place, options: Options, shape: tuple[int, ...]) -> Tensor | MappedRows:
        """The array that the model was trained on, or one with a usual name."""
        arrays = read_arrays(place.path)
        trained_on = array_of(options.features or ())
        x = next((x for x in (trained_on, *INPUT_ARRAYS) if x in arrays), None)
        if x is None:
            raise InputError(
                f"{place.path}: has no array of inputs, such as {trained_on or 'x'}, only "
                f"{', '.join(arrays) or 'nothing'}"
            )
        return inputs_of_array(arrays[x], where=place.name)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an NPZ file; what else is in it is left alone. No pickled object is loaded.

    Large features, float32 `[N, D]`, that are stored uncompressed, as `numpy.savez` and `midmix embed` store them, are
    mapped into memory and not read.

    Raises:
        InputError: the file is not an NPZ file of plain arrays, or an array has other bytes than its header says.
    """
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.ndarray):
                with file:
                    members = [name for name in file.zip.namelist() if name.endswith(".npy")]
                    return {name.removesuffix(".npy"): _member(path, file.zip, name) for name in members}
        reason = "it is a single array, as numpy.save writes one"
    except Exception as error:  # a file that lies can make the reader raise anything
        if "allow_pickle" in str(error):
            reason = "it holds pickled objects, which are not read"
        elif isinstance(error, MemoryError):
            reason = "its arrays need more memory than there is"
        elif isinstance(error, OSError) and error.strerror:
            reason = f"it cannot be read: {error.strerror}"
        else:
            reason = "it is cut off or of another format"
    raise InputError(f"{path}: not a readable NPZ file ({reason}); save arrays with numpy.savez")


def _member(path: Path, archive: ZipFile, name: str) -> np.ndarray:
    """One array, whose bytes are as many as its header says; mapped where it can be."""
    with path.open("rb") as file, archive.open(name) as stream:
        in_place = _mapped(path, file, archive, name, stream)
    if in_place is not None:
        return in_place
    with archive.open(name) as stream:
        array: np.ndarray = read_array(stream, allow_pickle=False)
        if stream.read(1):  # of a shape that lies, and so the wrong numbers in each row
            raise ValueError("more bytes than the header says")
    return array


def _mapped(path: Path, file: IO[bytes], archive: ZipFile, name: str, member: IO[bytes]) -> np.memmap | None:
    """A member of an archive as a part of the file, where it is large features as they are; else None."""
    about = archive.getinfo(name)
    if about.compress_type != ZIP_STORED or about.flag_bits & 1 or about.file_size <= mapped.MAPPED_BYTES:
        return None
    version = npy.read_magic(member)
    if version not in ((1, 0), (2, 0)):
        return None
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, by_columns, kind = read(member)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if by_columns or kind != np.dtype("<f4") or len(shape) != 2 or member.tell() + size != about.file_size:
        return None
    file.seek(about.header_offset)
    begins = file.read(_LOCAL_HEADER)  # its name and extra field may be others than the directory's
    lengths = int.from_bytes(begins[26:28], "little") + int.from_bytes(begins[28:30], "little")
    offset = about.header_offset + _LOCAL_HEADER + lengths + member.tell()
    return np.memmap(path, dtype=kind, mode="r", offset=offset, shape=shape)


def read_npz(path: Path, test: Path | None, options: Options) -> RawSource:
    """Arrays `x` and `y`, or `features` and `labels`, and a test split in `x_test` and `y_test` or in a second file.

    Inputs may be called `x`, `X`, `features`, `images` or `data`, labels `y`, `labels` or `target`; `options.features`
    (one name) and `options.label` choose other arrays, and an array `classes` names the classes. The name of the inputs
    is the parts' column.

    Raises:
        InputError: an array is unknown or half of a pair; and as `part_from_arrays`.
    """
    arrays = read_arrays(path)
    x, y = array_names(arrays, options, where=str(path))
    classes = _class_names(arrays, where=str(path))

    def part(found: dict[str, np.ndarray], where: str, suffix: str = "") -> RawSplit:
        wanted = [f"{name}{suffix}" for name in (x, y, options.coarse) if name is not None]
        for name in wanted:
            if name not in found:
                raise unknown(f"array in {where}", name, found)
        inputs, labels, *coarse = (found[name] for name in wanted)
        made = part_from_arrays(
            inputs, labels, where=where, classes=classes, coarse=coarse[0] if coarse else None
        )
        return replace(made, columns=(x,))

    train = part(arrays, str(path))
    if test is not None:
        return RawSource(train, part(read_arrays(test), str(test)), arrays=arrays)
    if not {f"{x}_test", f"{y}_test"} & arrays.keys():
        return RawSource(train, arrays=arrays)
    return RawSource(train, part(arrays, f"{path} (test)", "_test"), arrays=arrays)


def _class_names(arrays: dict[str, np.ndarray], *, where: str) -> list[str] | None:
    names = arrays.get("classes")
    if names is None:
        return None
    if names.ndim != 1 or names.dtype.kind not in "Uiu":
        raise InputError(
            f"{where}: array classes is {names.dtype} of shape {list(names.shape)}; give a text for each class"
        )
    return [str(name) for name in names]


def array_names(arrays: dict[str, np.ndarray], options: Options, *, where: str) -> tuple[str, str]:
    """Names of the inputs and of the labels: those asked for, or the first usual ones that are there.

    Arrays that belong together by their names are taken before others.

    Example:
        >>> array_names({"features": np.zeros(1), "labels": np.zeros(1)}, Options(), where="a.npz")
        ('features', 'labels')
        >>> array_names({"X": np.zeros(1), "labels": np.zeros(1)}, Options(), where="a.npz")
        ('X', 'labels')
    """
    if not arrays:
        raise InputError(f"{where}: holds no arrays; save some with numpy.savez")
    if options.features is not None and len(options.features) > 1:
        raise InputError(f"{where}: name one array of features, not {len(options.features)}")
    given = options.features[0] if options.features else None
    usual = (*_PAIRS, *product(INPUT_ARRAYS, LABEL_ARRAYS))
    pairs = [(given or x, options.label or y) for x, y in usual]
    # What is there of half a pair is told by what is not.
    inputs = next((x for x, _ in pairs if x in arrays), pairs[0][0])
    labels = next((y for _, y in pairs if y in arrays), pairs[0][1])
    return next((pair for pair in pairs if arrays.keys() >= set(pair)), (inputs, labels))
