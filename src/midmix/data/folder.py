"""Folders of images: `class/…`, or `train/class/…` beside `test/class/…`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from midmix.data.encoded import ImageFiles
from midmix.data.part import LabelColumn, Part
from midmix.errors import InputError

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
TEST_NAMES = ("test", "validation", "valid", "val", "dev")
"""What a test split is called, best first: sets like ImageNet publish no labels for their test rows."""


def read_folder(folder: Path) -> tuple[Part, Part | None]:
    """Training images, and test images if there is a folder of them.

    Raises:
        InputError: there are no class folders, or one of them is empty.
    """
    train = folder / "train"
    if not train.is_dir():
        return _read_classes(folder, folder), None
    tests = [folder / name for name in TEST_NAMES if _class_folders(folder / name)]
    return _read_classes(folder, train), _read_classes(folder, tests[0]) if tests else None


def _read_classes(top: Path, folder: Path) -> Part:
    classes = _class_folders(folder)
    if not classes:
        raise InputError(
            f"{folder}: no data here; a source folder holds a folder of images for each class (or train/ and test/ "
            "with such folders), or files named train.parquet, train.csv or train.npz"
        )
    paths: list[Path] = []
    labels: list[str] = []
    for entry in classes:
        found = sorted(path for path in entry.rglob("*") if _is_image(path))
        if not found:
            raise InputError(f"{entry}: no images in this class folder; add some or remove the folder")
        paths += found
        labels += [entry.name] * len(found)
    return Part(str(folder), ImageFiles(top, paths), LabelColumn(np.array(labels, dtype=object)))


def _class_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
