"""A source by its name and a digest of its rows, for workers that read it themselves."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from midmix.data import Grouped, Source, load, load_grouped
from midmix.errors import InputError
from midmix.training.identity import groups_digest, names_digest, rows_digest


@dataclass(frozen=True)
class NamedSource:
    """What a worker is sent in place of rows.

    Attributes:
        reading: keywords of `load`, or where there are groups of `load_grouped`.
        grouped: whether there are.
        digest: of the rows, the classes and the groups, by what they are.

    Example:
        >>> named = NamedSource.of(load("digits"))
        >>> named.reading["source"], len(named.read().train)
        ('digits', 1078)
    """

    reading: Mapping[str, Any]
    grouped: bool
    digest: Mapping[str, str]

    @classmethod
    def of(cls, found: Source | Grouped) -> NamedSource | None:
        """The name of a source; None where reading it again would not give these rows: they were changed, or made."""
        source = _source(found)
        if not found.reading or source.encoding is not None:
            return None
        named = cls(dict(found.reading), isinstance(found, Grouped), _digest(found))
        try:
            named.read()
        except InputError:
            return None
        return named

    def read(self) -> Any:
        """The source, read here.

        Raises:
            InputError: as `load` does, and where other rows are found.
        """
        try:
            found = load_grouped(**self.reading) if self.grouped else load(**self.reading)
        except InputError as error:
            raise InputError(f"on {socket.gethostname()}: {error}") from error
        here = _digest(found)
        if differ := [f"{name}: {here[name]} here, {self.digest[name]} there" for name in here
                      if here[name] != self.digest.get(name)]:  # fmt: skip
            raise InputError(
                f"{self.reading['source']}: on {socket.gethostname()} is not what it is where the comparison was "
                f"started ({'; '.join(differ)}); give all machines the same files"
            )
        return found


def _source(found: Source | Grouped) -> Source:
    return found.source if isinstance(found, Grouped) else found


def _digest(found: Source | Grouped) -> dict[str, str]:
    source = _source(found)
    said = {
        "training": rows_digest(source.train),
        "test": rows_digest(source.test),
        "classes": names_digest(source.train.classes),
    }
    return {**said, "groups": groups_digest(found.hierarchy)} if isinstance(found, Grouped) else said
