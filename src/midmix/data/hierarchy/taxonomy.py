"""Trees of WordNet's nouns, for classes that are named by their WordNet id (`n02084071`)."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from midmix.errors import InputError

DATA_FILE = "data.noun"
EDGES_FILE, NAMES_FILE = "class_hierarchy.txt", "node_names.txt"
WORDNET = "WordNet 3.0, whose ids ImageNet uses"
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Taxonomy:
    """Nodes with their parents, nearest first, and names.

    Attributes:
        parents: of each node that has any. WordNet gives some nodes several.
        names: what people call a node; a node without one goes by its id.
        calibrated: whether a node's depth says how coarse it is. It does in the hierarchy that the authors of BREEDS
            corrected by hand, and does not in WordNet.
    """

    parents: dict[str, tuple[str, ...]]
    names: dict[str, str]
    calibrated: bool = False

    def name(self, node: str) -> str:
        """What people call the node."""
        return self.names.get(node, node)

    def __contains__(self, node: str) -> bool:
        return node in self.parents or node in self._inner

    @cached_property
    def _inner(self) -> frozenset[str]:
        return frozenset(parent for parents in self.parents.values() for parent in parents)


def wnid(class_name: str) -> str | None:
    """The WordNet id that a class's name begins with.

    Example:
        >>> wnid("n02085620"), wnid("n02085620_Chihuahua"), wnid("Chihuahua")
        ('n02085620', 'n02085620', None)
    """
    found = _WNID.match(class_name)
    return found[0] if found else None


def find_taxonomy(path: Path | None) -> Taxonomy:
    """The tree at this path, or in the WordNet that NLTK has downloaded.

    A path is a WordNet 3.0 database (a folder or ZIP file with `data.noun`, such as `/usr/share/wordnet`), or the
    folder of a corrected hierarchy as the authors of BREEDS publish it (`class_hierarchy.txt`, a line a pair of parent
    and child, and `node_names.txt`). Nothing is downloaded.

    Raises:
        InputError: there is none, with what to get; or it cannot be read.
    """
    if path is None:
        return read_wordnet(_of_nltk())
    if (path / EDGES_FILE).is_file():
        return read_edges(path)
    if (path / DATA_FILE).is_file():
        with (path / DATA_FILE).open(encoding="utf-8") as file:
            return read_wordnet(file)
    if path.is_file() and zipfile.is_zipfile(path):
        archive = zipfile.ZipFile(path)
        inside = next((name for name in archive.namelist() if Path(name).name == DATA_FILE), None)
        if inside is not None:
            with archive:
                return read_wordnet(archive.read(inside).decode("utf-8").splitlines())
    raise InputError(
        f"--wordnet {path}: holds neither {DATA_FILE} ({WORDNET}) nor {EDGES_FILE} (the hierarchy of BREEDS)"
    )


def read_wordnet(lines: Iterable[str]) -> Taxonomy:
    """WordNet's nouns from the lines of `data.noun`, whose format is `wndb(5WN)`.

    Raises:
        InputError: the lines are not those of WordNet 3.0.
    """
    parents: dict[str, tuple[str, ...]] = {}
    names: dict[str, str] = {}
    for line in lines:
        if line.startswith(" "):  # the licence
            continue
        fields = line.partition(" | ")[0].split()
        node = f"n{fields[0]}"
        names[node] = fields[4].replace("_", " ")
        pointers = fields[5 + 2 * int(fields[3], 16) :]
        found = tuple(_hypernyms(pointers))
        if found:
            parents[node] = found
    if names.get("n02084071") != "dog":  # ids are positions in the file, and change with each release
        raise InputError(f"wordnet: {DATA_FILE} is not that of {WORDNET}")
    return Taxonomy(parents, names)


def _hypernyms(pointers: list[str]) -> Iterator[str]:
    """Symbol, id, part of speech and words of each pointer; `@` and `@i` lead to what a thing is a kind of."""
    for symbol, target in zip(pointers[::4], pointers[1::4], strict=False):
        if symbol in ("@", "@i"):
            yield f"n{target}"


def read_edges(folder: Path) -> Taxonomy:
    """A corrected hierarchy: `class_hierarchy.txt` with `parent child` a line, `node_names.txt` with `id<TAB>name`.

    Raises:
        InputError: a line is of another form.
    """
    parents: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate((folder / EDGES_FILE).read_text(encoding="utf-8").splitlines(), start=1):
        edge = line.split()
        if len(edge) != 2:
            raise InputError(f"{folder / EDGES_FILE}: line {number} is not a pair of parent and child")
        parents[edge[1]] = (*parents.get(edge[1], ()), edge[0])
    names: dict[str, str] = {}
    if (folder / NAMES_FILE).is_file():
        pairs = (line.split("\t") for line in (folder / NAMES_FILE).read_text(encoding="utf-8").splitlines())
        names = {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}
    return Taxonomy(parents, names, calibrated=True)


def _of_nltk() -> Iterator[str]:
    hint = (
        f"the groups need {WORDNET}: name a folder or ZIP file that holds {DATA_FILE} with --wordnet, or "
        "pip install nltk and run python -m nltk.downloader wordnet"
    )
    try:
        import nltk.data  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise InputError(f"wordnet: {hint}") from None
    for place in (f"corpora/wordnet/{DATA_FILE}", f"corpora/wordnet.zip/wordnet/{DATA_FILE}"):
        try:
            pointer = nltk.data.find(place)
        except LookupError:
            continue
        with pointer.open() as file:
            return iter(file.read().decode("utf-8").splitlines())
    raise InputError(f"wordnet: NLTK has not downloaded it; {hint}")
