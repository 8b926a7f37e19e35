"""Images in folders: `class/…`, or `train/class/…` beside `test/class/…`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from midmix.data.dataset import LabelColumn, RawSource, RawSplit
from midmix.data.encoded import ImageFiles
from midmix.data.labels import listing
from midmix.data.options import Options
from midmix.data.readers.reader import READERS, Place, Reader, wrong_suffix
from midmix.data.split import TEST_NAMES
from midmix.errors import InputError

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)


@READERS.register(name="images")
class ImageFolder(Reader):
    """A folder of folders of images; to predict, a folder with images at any depth, or one image."""

    order = 90
    what = "a folder of images"

    def takes(self, place: Place) -> bool:
        """Whether it is a folder, or an image."""
        return place.is_folder or (place.suffix in IMAGE_SUFFIXES and place.path.is_file())

    def read(self, place: Place, options: Options) -> RawSource:
        """The images of each class."""
        if not place.is_folder:
            raise wrong_suffix(place.path)
        if options.label or options.features or options.image:
            raise InputError(
                f"{place.path}: holds no table, so it has no columns; leave out options on columns"
            )
        return read_folder(place.path)

    def read_inputs(self, place: Place, options: Options, shape: tuple[int, ...]) -> ImageFiles:
        """All images."""
        if not place.is_folder:
            return ImageFiles(place.path.parent, [place.path])
        paths, dangling = _contents(place.path)
        if not paths:
            raise InputError(f"{place.path}: no images in this folder{_but(dangling)}")
        return ImageFiles(place.path, paths, _dangling(place.path, dangling))


def read_folder(folder: Path) -> RawSource:
    """Training images, and test images if there is a folder of them.

    The folders of splits may be written with capitals. What is left out is noted.

    Raises:
        InputError: there are no class folders, one of them is empty, or images lie in other folders beside the splits'.
    """
    splits = _split_folders(folder)
    if "train" not in splits:
        return RawSource(_read_classes(folder, folder))
    train = _read_classes(folder, splits["train"])
    lost = [entry for entry in sorted(folder.iterdir()) if is_dangling(entry)]
    notes = [*_loose(folder), *_dangling(folder, lost), *train.notes]
    test = None
    for name in TEST_NAMES:
        if name not in splits:
            continue
        entry = splits[name]
        if test is None and _folders(entry):
            test = _read_classes(folder, entry)
            notes += [f"test split: the folder {entry.name}"] if name != "test" else []
            notes += test.notes
        elif images := len(image_files(entry)):
            why = "test rows are there already" if _folders(entry) else "which holds no class folders"
            notes.append(f"left out the {images} images of the folder {entry.name}, {why}")
    return RawSource(replace(train, notes=tuple(notes)), test)


def _split_folders(folder: Path) -> dict[str, Path]:
    """Folders of splits by their name in small letters; none where `train`, if there is one, is a class like others.

    Raises:
        InputError: there are folders of classes in `train`, and images in folders beside it that are no splits.
    """
    found: dict[str, Path] = {}
    others: list[Path] = []
    for entry in _folders(folder):
        name = entry.name.lower()
        if name in ("train", *TEST_NAMES) and name not in found:
            found[name] = entry
        else:
            others.append(entry)
    if "train" not in found or not _folders(found["train"]):  # a class may be called train
        return {}
    strays = [entry.name for entry in others if image_files(entry)]
    if strays:
        train = found["train"].name
        raise InputError(
            f"{folder}: {train} holds folders of classes, so the images beside it in {listing(strays)} would be left "
            f"out; put all classes into {train}, or where {train} is a class itself, its images straight into it"
        )
    return found


def _read_classes(top: Path, folder: Path) -> RawSplit:
    classes = _folders(folder)
    if not classes:
        loose = sum(map(_is_image, folder.iterdir()))
        what = f"{loose} images in no class folder" if loose else "no data"
        raise InputError(
            f"{folder}: {what}; a source folder holds a folder of images for each class (or train/ and test/ "
            "with such folders), or files such as train.parquet, train.csv or train.npz"
        )
    paths: list[Path] = []
    labels: list[str] = []
    dangling = [entry for entry in sorted(folder.iterdir()) if is_dangling(entry)]
    for entry in classes:
        found, lost = _contents(entry)
        if not found:
            raise InputError(
                f"{entry}: no images in this class folder{_but(lost)}; add some or remove the folder"
            )
        paths += found
        dangling += lost
        labels += [entry.name] * len(found)
    column = LabelColumn(np.array(labels, dtype=object))
    notes = (*_loose(folder), *_dangling(folder, dangling))
    return RawSplit(str(folder), ImageFiles(top, paths), column, notes=notes)


def _loose(folder: Path) -> tuple[str, ...]:
    """A note on the images beside the folders in which they should be."""
    images = sum(map(_is_image, folder.iterdir()))
    return (f"left out {images} images in {folder} itself, in no class folder",) if images else ()


def image_files(folder: Path) -> list[Path]:
    """All images in a folder, at any depth, in the order of their paths; hidden files are left alone."""
    return _contents(folder)[0]


def is_dangling(path: Path) -> bool:
    """Whether it is a link that leads nowhere, and not hidden."""
    return path.is_symlink() and not path.exists() and not path.name.startswith(".")


def _contents(folder: Path) -> tuple[list[Path], list[Path]]:
    """All images in a folder, and all links that lead nowhere, at any depth, in the order of their paths."""
    images: list[Path] = []
    dangling: list[Path] = []
    for path in folder.rglob("*"):
        if _is_image(path):
            images.append(path)
        elif is_dangling(path):
            dangling.append(path)
    return sorted(images), sorted(dangling)


def _dangling(folder: Path, found: Sequence[Path]) -> tuple[str, ...]:
    """A note on the links that lead nowhere."""
    names = [str(path.relative_to(folder)) for path in found]
    return (f"left out {len(names)} links in {folder} that lead nowhere: {listing(names)}",) if names else ()


def _but(dangling: Sequence[Path]) -> str:
    return f" but {len(dangling)} links that lead nowhere" if dangling else ""


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
