"""Files that are written whole or not at all, and records that are read back."""

from __future__ import annotations

import json
import os
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


def check_folder(folder: Path, what: str, mark: str, names: Set[str] = frozenset()) -> None:
    """Sees that something may be written into a folder: one that can be made, is empty, or holds the same already.

    Args:
        folder: where to.
        what: what messages call that which is written.
        mark: the file by which such a folder is known.
        names: what else is written there. A folder of nothing else was left by an interruption.

    Raises:
        InputError: where the folder holds other files, a file is in its place, or it cannot be written to.
    """
    if (folder / mark).is_file():
        return
    there = next(path for path in (folder, *folder.parents) if path.exists() or path.is_symlink())
    if not there.is_dir():
        raise InputError(f"{there}: is not a folder; choose another with --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{there}: cannot be written to; choose another folder with --out")
    if there == folder and not {path.name.removesuffix(".part") for path in folder.iterdir()} <= {
        mark,
        *names,
    }:
        raise InputError(f"{folder}: is not an empty folder and holds no {what}; choose another with --out")


def check_file(path: Path) -> None:
    """Sees that a file may be written.

    Raises:
        InputError: where it is a folder, or its own folder is not there or cannot be written to.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file with --out")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it, or choose another with --out")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InputError(f"{path}: cannot be written to; choose another file with --out")


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
