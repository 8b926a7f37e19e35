"""Folders with files `train` and `test`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from midmix.data.dataset import RawSource
from midmix.data.encoded import Encoded
from midmix.data.options import Options
from midmix.data.readers.images import ImageFolder, is_dangling
from midmix.data.readers.reader import READERS, FileReader, Place, Reader, readers
from midmix.data.split import TEST_NAMES


@READERS.register(name="split_files")
class SplitFiles(Reader):
    """A folder with a file `train`, and one named like a test split, of any kind that a `FileReader` reads.

    Files may be in shards and in a folder `data`, as in a clone from the Hub: `data/train-00000-of-00002.parquet`.
    Their names may be written with capitals.
    """

    order = 20

    def takes(self, place: Place) -> bool:
        """Whether there is a file of training rows."""
        return place.is_folder and self._train(place.path) is not None

    def read(self, place: Place, options: Options) -> RawSource:
        """The rows of both splits."""
        found = self._train(place.path)
        assert found is not None
        reader, suffix, train = found
        tests = ((name, shards(place.path, name, suffix)) for name in TEST_NAMES)
        name, test = next(((name, paths) for name, paths in tests if paths), ("", []))
        raw = reader.read_files(train, test, options)
        note = () if name in ("", "test") else (f"test split: {test[0].name}",)
        return replace(raw, train=replace(raw.train, notes=(*raw.train.notes, *note)))

    def read_inputs(self, place: Place, options: Options, shape: tuple[int, ...]) -> Encoded:
        """The images in the folder: of a folder that is what is predicted."""
        return ImageFolder().read_inputs(place, options, shape)

    @staticmethod
    def _train(folder: Path) -> tuple[FileReader, str, list[Path]] | None:
        for reader in readers():
            if isinstance(reader, FileReader):
                for suffix in reader.suffixes:
                    if train := shards(folder, "train", suffix):
                        return reader, suffix, train
        return None


def shards(folder: Path, split: str, suffix: str) -> list[Path]:
    """The files of a split, in their order; links that lead nowhere too, or rows would lack unseen."""
    pattern = re.compile(rf"{split}(-\d+-of-\d+)?{re.escape(suffix)}", re.IGNORECASE)
    for place in (folder, folder / "data"):
        if place.is_dir():
            found = sorted(
                path
                for path in place.iterdir()
                if pattern.fullmatch(path.name) and (path.is_file() or is_dangling(path))
            )
            if found:
                return found
    return []
