"""Images by a list: a path and a label a line, as published long-tailed splits are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from midmix.data.dataset import LabelColumn, RawSource, RawSplit
from midmix.data.encoded import ListedImages
from midmix.data.options import Options
from midmix.data.published import PUBLISHED, check_test, check_train
from midmix.data.readers.reader import READERS, Place, Reader
from midmix.errors import InputError
from midmix.text import printable


@READERS.register(name="lists")
class Lists(Reader):
    """A list of images, or a published split by its name and the lists of it that the user has."""

    order = 12
    what = "a list of images, a path and a label a line (.txt)"
    names = tuple(PUBLISHED)
    suffixes = (".txt",)

    def read(self, place: Place, options: Options) -> RawSource:
        """The images and labels of the lists; no image is opened, only the first one looked for."""
        if options.label or options.features or options.image:
            raise InputError(f"{place.name}: is a list of images; leave out options on columns")
        train, test = self._lists(place, options)
        root = train.parent if options.root is None else Path(options.root).expanduser()
        part = read_list(train, root)
        if place.name in PUBLISHED:
            part = replace(part, notes=(check_train(place.name, train, part.labels.values),))
        if test is None:
            return RawSource(part)
        other = read_list(test, root)
        if place.name in PUBLISHED:
            check_test(place.name, test, len(other.labels.values))
        return RawSource(
            replace(part, notes=(*part.notes, f"test split: the list {printable(test.name)}")), other
        )

    @staticmethod
    def _lists(place: Place, options: Options) -> tuple[Path, Path | None]:
        test = None if options.list_test is None else Path(options.list_test).expanduser()
        if place.name not in PUBLISHED:
            if options.list is not None:
                raise InputError(
                    f"{place.name}: is the list of training images itself; leave out --list (list=), or name the test "
                    "images' list with --list-test (list_test=)"
                )
            return place.path, test
        if options.list is not None:
            return Path(options.list).expanduser(), test
        folder = Path() if options.root is None else Path(options.root).expanduser()
        names = PUBLISHED[place.name].lists
        found = [folder / name for name in names if (folder / name).is_file()]
        if len(found) < len(names) or not names:
            usual = f", or put {' and '.join(names)} into --root (root=)" if names else ""
            raise InputError(
                f"{place.name}: give the list of its training images with --list FILE (list=), a path and a label a "
                f"line, and that of its test images with --list-test FILE (list_test=){usual}"
            )
        return found[0], found[1] if test is None else test


def read_list(path: Path, root: Path) -> RawSplit:
    """The images of a list, their labels as they are written: numbers if all are, else names.

    Args:
        path: of the list; empty lines are passed over.
        root: the folder from which its paths are.

    Raises:
        InputError: there is no such file, it is not UTF-8, a line is not a path and a label, a path leads out of the
            folder, or the first image is not there.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); is the path right?") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8; save the list with the encoding UTF-8") from None
    paths: list[str] = []
    labels: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not (parts := line.rsplit(maxsplit=1)):
            continue
        if len(parts) < 2:
            raise InputError(
                f"{path}: line {number}: {line[:80]!r} is not a path and a label, such as cat/1.jpg 0"
            )
        paths.append(parts[0].strip())
        labels.append(parts[1])
    if not paths:
        raise InputError(f"{path}: holds no images; a line is a path and a label, such as cat/1.jpg 0")
    _check_paths(path, root, paths)
    return RawSplit(str(path), ListedImages.of(root, paths), LabelColumn(_values(labels)))


def _check_paths(path: Path, root: Path, paths: Sequence[str]) -> None:
    for name in paths:
        if name.startswith("/") or (".." in name and ".." in PurePosixPath(name).parts):
            raise InputError(
                f"{path}: {name[:120]!r} leads out of the folder of images; write paths from it, and name it with "
                "--root (root=)"
            )
    if not (root / paths[0]).is_file():
        raise InputError(
            f"{path}: its first image, {paths[0][:120]!r}, is not in {root}; name the folder from which the list's "
            "paths are with --root (root=)"
        )


def _values(labels: list[str]) -> np.ndarray:
    if all(label.isascii() and label.isdigit() and len(label) < 18 for label in labels):
        return np.array(labels).astype(np.int64)
    return np.array(labels, dtype=object)
