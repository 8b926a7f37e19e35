"""Images in tar archives, as WebDataset writes them: looked up once, and read from there where they are needed."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from midmix.data.dataset import LabelColumn, RawSource, RawSplit
from midmix.data.options import Options
from midmix.data.readers.images import IMAGE_SUFFIXES
from midmix.data.readers.reader import READERS, FileReader, Place
from midmix.errors import InputError
from midmix.text import printable

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TarImages:
    """Images in archives that are not compressed, by where their bytes begin.

    Attributes:
        archives: the files.
        which: archive of each image, `[N]`.
        offsets, sizes: of its bytes in it, `[N]`.
        names: of each image in its archive.
    """

    archives: tuple[Path, ...]
    which: NDArray[np.int32]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    names: pa.LargeStringArray

    def __len__(self) -> int:
        return len(self.which)

    def name(self, row: int) -> str:
        return printable(f"{self.archives[self.which[row]].name}: {self.names[row].as_py()}")

    def read(self, row: int) -> bytes:
        with self.archives[self.which[row]].open("rb") as file:
            file.seek(int(self.offsets[row]))
            content: bytes = file.read(int(self.sizes[row]))
        return content


@READERS.register(name="tar")
class Tar(FileReader):
    """Archives of images `KEY.jpg` with labels `KEY.cls` beside them, or in folders called as their classes."""

    order = 13
    what = "a tar of images with their labels (KEY.jpg, KEY.cls)"
    suffixes = (".tar",)

    def read_files(self, train: list[Path], test: list[Path], options: Options) -> RawSource:
        """The images of each split; of the archives only the heads of their parts are read, and labels."""
        if options.label or options.features or options.image:
            raise InputError(f"{train[0]}: is an archive of images; leave out options on columns")
        return RawSource(_split(train), _split(test) if test else None)

    def read_inputs(self, place: Place, options: Options, shape: tuple[int, ...]) -> TarImages:
        """All images, with labels or without."""
        return _images([place.path])[0]


def _split(paths: Sequence[Path]) -> RawSplit:
    images, keys, labels = _images(paths)
    found: list[str] = []
    for row, key in enumerate(keys):
        folder = PurePosixPath(key[1]).parent.name
        if (label := labels.get(key, folder)) == "":
            raise InputError(
                f"{images.name(row)}: has no label; put {PurePosixPath(key[1]).name}.cls beside it, or the image into "
                "a folder that is called as its class"
            )
        found.append(label)
    values = np.array(found, dtype=object)
    if all(label.isascii() and label.isdigit() and len(label) < 18 for label in found):
        values = np.array(found).astype(np.int64)
    return RawSplit(str(paths[0]), images, LabelColumn(values))


Key = tuple[int, str]
"""Number of the archive, and a part's name in it without what follows its first dot."""


def _images(paths: Sequence[Path]) -> tuple[TarImages, list[Key], dict[Key, str]]:
    """The images of archives, the key of each, and the labels that stand beside images."""
    import pyarrow as pa

    places: list[tuple[int, int, int]] = []
    names: list[str] = []
    keys: list[Key] = []
    labels: dict[Key, str] = {}
    for number, path in enumerate(paths):
        for part, content in _parts(path):
            name = PurePosixPath(part.name)
            key = number, str(name.parent / name.name.partition(".")[0])
            if content is not None:
                labels[key] = content
            elif name.suffix.lower() in IMAGE_SUFFIXES:
                places.append((number, part.offset_data, part.size))
                names.append(part.name)
                keys.append(key)
    if not places:
        raise InputError(f"{paths[0]}: holds no images; parts of an archive are KEY.jpg, KEY.png or the like")
    which, offsets, sizes = np.array(places, dtype=np.int64).T
    archives = tuple(paths)
    return (
        TarImages(archives, which.astype(np.int32), offsets, sizes, pa.array(names, pa.large_string())),
        keys,
        labels,
    )


def _parts(path: Path) -> Iterator[tuple[tarfile.TarInfo, str | None]]:
    """The files of an archive, and what stands in those that are labels."""
    try:
        with tarfile.open(path, "r:") as archive:
            for part in archive:
                archive.members = []  # type: ignore[attr-defined]  # of millions it would keep each
                if not part.isreg() or PurePosixPath(part.name).name.startswith("."):
                    continue
                content = None
                if part.name.lower().endswith(".cls"):
                    file = archive.extractfile(part)
                    content = "" if file is None else file.read(1000).decode("utf-8", "replace").strip()
                yield part, content
    except (tarfile.TarError, OSError) as error:
        raise InputError(
            f"{path}: not a readable tar ({error}); if it is compressed, unpack it to a plain .tar, whose images can "
            "be read one by one"
        ) from None
