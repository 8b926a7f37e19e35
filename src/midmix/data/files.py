"""Files and folders on the disk as sources."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from midmix.data.folder import read_folder
from midmix.data.npz import read_npz
from midmix.data.options import Options
from midmix.data.part import Part
from midmix.data.splits import TEST_NAMES
from midmix.data.tables import TABLE_SUFFIXES, part_of_table, read_tables
from midmix.errors import InputError

FILE_SUFFIXES = (*TABLE_SUFFIXES, ".npz")


def read_file(path: Path, options: Options) -> tuple[Part, Part | None]:
    """The rows of one file; only an NPZ file can hold a test split as well.

    Raises:
        InputError: of another kind than `FILE_SUFFIXES`, or not readable.
    """
    if path.suffix.lower() not in FILE_SUFFIXES:
        raise InputError(f"{path}: not a kind of file that can be read; use {' '.join(FILE_SUFFIXES)}")
    return _read([path], [], options)


def read_directory(folder: Path, options: Options) -> tuple[Part, Part | None]:
    """A folder with files `train` and `test`, or a folder of images.

    Files may be in shards and in a folder `data`, as in a clone from the Hub: `data/train-00000-of-00002.parquet`.
    Their names may be written with capitals.

    Raises:
        InputError: the folder holds neither.
    """
    for suffix in FILE_SUFFIXES:
        train = _shards(folder, "train", suffix)
        if train:
            found = ((name, _shards(folder, name, suffix)) for name in TEST_NAMES)
            name, test = next(((name, paths) for name, paths in found if paths), ("", []))
            part, test_part = _read(train, test, options)
            note = () if name in ("", "test") else (f"test split: {test[0].name}",)
            return replace(part, notes=(*part.notes, *note)), test_part
    if options.label or options.features or options.image:
        raise InputError(f"{folder}: holds no table, so it has no columns; leave out options on columns")
    return read_folder(folder)


def holds_table(folder: Path) -> bool:
    """Whether `read_directory` finds files in this folder; else it takes it for one of images."""
    return any(_shards(folder, "train", suffix) for suffix in FILE_SUFFIXES)


def _shards(folder: Path, split: str, suffix: str) -> list[Path]:
    pattern = re.compile(rf"{split}(-\d+-of-\d+)?{re.escape(suffix)}", re.IGNORECASE)
    for place in (folder, folder / "data"):
        if place.is_dir():
            found = sorted(
                path for path in place.iterdir() if pattern.fullmatch(path.name) and path.is_file()
            )
            if found:
                return found
    return []


def _read(train: Sequence[Path], test: Sequence[Path], options: Options) -> tuple[Part, Part | None]:
    if train[0].suffix.lower() == ".npz":
        return read_npz(train[0], test[0] if test else None, options)
    part = part_of_table(read_tables(train), options, where=str(train[0]))
    return part, part_of_table(read_tables(test), options, where=str(test[0]), like=part) if test else None
