"""What a reader is, and which one takes a source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from midmix.data.dataset import RawSource
from midmix.data.encoded import Encoded
from midmix.data.mapped import MappedRows
from midmix.data.options import Options
from midmix.errors import InputError
from midmix.registry import Registry
from midmix.text import printable


@dataclass(frozen=True)
class Place:
    """A source as the user names it.

    Attributes:
        name: the text.
        path: the same as a path, with `~` expanded, whether there is anything or not.
    """

    name: str
    path: Path

    @property
    def suffix(self) -> str:
        """The end of the path in small letters, `".csv"`."""
        return self.path.suffix.lower()

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder; an empty name would be the current one, and is not."""
        return bool(self.name) and self.path.is_dir()


class Reader(ABC):
    """One kind of source. Readers are classes without arguments, registered with `READERS.register`.

    Readers are asked in the order of `order`, and among equals ours before those of installed packages: names that
    need no file (0), files by their suffix (10), folders by what is in them (20), others (50), any folder (90), the
    network (100). The first that takes a source reads it.

    Attributes:
        order: place among the readers.
        what: what messages call a source of this kind, "a CSV file"; empty where others say it.
        names: sources that it knows by name, which are never looked for on the disk.
        suffixes: ends of the names of files that it reads, in small letters.

    Example:
        >>> class Texts(Reader):
        ...     "Lines `label<TAB>number number …`."
        ...     what, suffixes = "a file of lines", (".numbers",)
        ...     def read(self, place, options):
        ...         lines = [line.split() for line in place.path.read_text().splitlines()]
        ...         labels = LabelColumn(np.array([label for label, *_ in lines], dtype=object))
        ...         rows = torch.tensor([[float(number) for number in numbers] for _, *numbers in lines])
        ...         return RawSource(RawSplit(place.name, rows, labels))
        >>> import numpy as np, torch
        >>> from midmix.data import LabelColumn, RawSource, RawSplit
        >>> Texts().takes(Place("a.numbers", Path("a.numbers"))), Texts().takes(Place("a.csv", Path("a.csv")))
        (False, False)
    """

    order: ClassVar[int] = 50
    what: ClassVar[str] = ""
    names: ClassVar[tuple[str, ...]] = ()
    suffixes: ClassVar[tuple[str, ...]] = ()

    def takes(self, place: Place) -> bool:
        """Whether this reader reads the source: here, by its name or by the suffix of a file that is there."""
        return place.name in self.names or (place.suffix in self.suffixes and place.path.is_file())

    @abstractmethod
    def read(self, place: Place, options: Options) -> RawSource:
        """Rows and labels as they stand in the source.

        Raises:
            InputError: for everything that is wrong with the source, in one line.
        """

    def read_inputs(
        self, place: Place, options: Options, shape: tuple[int, ...]
    ) -> Tensor | MappedRows | Encoded:
        """Rows for a model to predict, which need no labels; here, those of `read`: of its test split if it has one.

        Args:
            place: the source.
            options: `features` names what the model was trained on, where that had names.
            shape: of one row, as the model wants it.
        """
        return self.read(place, options).splits[-1].rows


class FileReader(Reader):
    """A reader of files by their suffix, several of which may be one table; a folder may hold them as splits."""

    order = 10

    def read(self, place: Place, options: Options) -> RawSource:
        """The rows of one file."""
        return self.read_files([place.path], [], options)

    @abstractmethod
    def read_files(self, train: list[Path], test: list[Path], options: Options) -> RawSource:
        """The rows of the files of a training split, and of a test split if there are any of it.

        Raises:
            InputError: as `read` does.
        """


READERS = Registry[type[Reader]]("reader", "midmix.readers", "midmix.data.readers")


def readers() -> list[Reader]:
    """One of each, in the order in which they are asked.

    Raises:
        InputError: an installed package's reader cannot be imported, or is none.
    """
    made: list[Reader] = []
    for name in READERS.names():
        kind = READERS.find(name)
        if not (isinstance(kind, type) and issubclass(kind, Reader)):
            raise InputError(f"reader {name!r}: is no subclass of midmix.data.Reader")
        made.append(kind())
    return sorted(made, key=lambda reader: reader.order)


def reader_of(place: Place, *, also: str = "") -> Reader:
    """The reader that takes this source; `also` is what else messages say can be read.

    Raises:
        InputError: none does, with the nearest names.
    """
    known = readers()
    for reader in known:
        if reader.takes(place):
            return reader
    if place.path.is_file():
        raise wrong_suffix(place.path, also=also)
    raise unknown_source(place)


def wrong_suffix(path: Path, *, also: str = "") -> InputError:
    """The error for a file that nobody reads."""
    suffixes = dict.fromkeys(suffix for reader in readers() for suffix in reader.suffixes)
    return InputError(
        f"{printable(str(path))}: not a kind of file that can be read; use {' '.join(suffixes)}{also}"
    )


def unknown_source(place: Place) -> InputError:
    """The error for a name that is no source, with the nearest known names and files."""
    known = readers()
    suffixes = {suffix for reader in known for suffix in reader.suffixes}
    folder = place.path.parent
    nearby = list(folder.iterdir()) if folder.is_dir() else []
    names = [
        *(name for reader in known for name in reader.names),
        *(str(entry) for entry in nearby if entry.is_dir() or entry.suffix.lower() in suffixes),
    ]
    near = get_close_matches(place.name, names, n=3, cutoff=0.6)
    hint = f"did you mean {', '.join(map(printable, near))}? " if near else ""
    *kinds, last = (reader.what for reader in known if reader.what)
    return InputError(f"unknown source {place.name!r}: {hint}A source is {', '.join(kinds)}, or {last}")


def place_at(name: str) -> Place:
    """The source of this name, whether there is anything or not.

    Raises:
        InputError: the system takes no such path.
    """
    try:
        path = Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        # Too long, not to be looked into, the home of an unknown user, or with a zero byte.
        reason = (error.strerror or error) if isinstance(error, OSError) else error
        shown = f"{name[:60]}…" if len(name) > 60 else name
        raise InputError(f"{shown!r}: cannot be looked up on the disk ({reason}); check the name") from None
    return Place(name, path)
