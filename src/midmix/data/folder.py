"""Folders of images: `class/…`, or `train/class/…` beside `test/class/…`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from midmix.data.encoded import ImageFiles
from midmix.data.part import LabelColumn, Part
from midmix.data.splits import TEST_NAMES
from midmix.errors import InputError

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)


def read_folder(folder: Path) -> tuple[Part, Part | None]:
    """Training images, and test images if there is a folder of them.

    Raises:
        InputError: there are no class folders, or one of them is empty.
    """
    if not _class_folders(folder / "train"):  # a class may be called train
        return _read_classes(folder, folder), None
    train = _read_classes(folder, folder / "train")
    name = next((name for name in TEST_NAMES if _class_folders(folder / name)), None)
    if name is None:
        return train, None
    notes = () if name == "test" else (f"test split: the folder {name}",)
    return replace(train, notes=notes), _read_classes(folder, folder / name)


def _read_classes(top: Path, folder: Path) -> Part:
    classes = _class_folders(folder)
    if not classes:
        loose = sum(map(_is_image, folder.iterdir()))
        what = f"{loose} images in no class folder" if loose else "no data"
        raise InputError(
            f"{folder}: {what}; a source folder holds a folder of images for each class (or train/ and test/ "
            "with such folders), or files such as train.parquet, train.csv or train.npz"
        )
    paths: list[Path] = []
    labels: list[str] = []
    for entry in classes:
        found = image_files(entry)
        if not found:
            raise InputError(f"{entry}: no images in this class folder; add some or remove the folder")
        paths += found
        labels += [entry.name] * len(found)
    return Part(str(folder), ImageFiles(top, paths), LabelColumn(np.array(labels, dtype=object)))


def image_files(folder: Path) -> list[Path]:
    """All images in a folder, at any depth, in the order of their paths; hidden files are left alone."""
    return sorted(path for path in folder.rglob("*") if _is_image(path))


def _class_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
