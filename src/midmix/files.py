"""Files that are written whole or not at all, and records that are read back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from midmix.errors import InputError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write to; the file takes its own name when it is whole, and leaves nothing behind otherwise.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with whole(Path(folder) / "table.csv") as path:
        ...         _ = path.write_text("a,b")
        ...     (Path(folder) / "table.csv").read_text()
        'a,b'
    """
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_record(path: Path, kind: str, names: Set[str] = frozenset()) -> dict[str, Any]:
    """The plain data of a JSON file, which at least has these names.

    Args:
        path: of the file.
        kind: what messages call that which it should be.
        names: what it must have; `settings` must be a record too.

    Raises:
        InputError: where it is none of that kind, or was cut.
    """
    try:
        record: Any = json.loads(path.read_text())
    except ValueError:
        record = None
    if isinstance(record, dict) and record.keys() >= names and isinstance(record.get("settings", {}), dict):
        return record
    raise InputError(f"{path}: is not {kind}, or was cut; choose another folder")
