"""Files that are written whole or not at all, and records that are read back."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from midmix.errors import InputError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PART = re.compile(r"(\.[0-9a-f]{8})?\.part$")


@contextmanager
def atomic_write(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A name to write to; the file takes its own name when it is whole, and leaves nothing behind otherwise.

    The name is new, beside the final one, and of an empty file that nobody else writes to: two writers never meet, and
    a link that somebody has put there is not followed. A kill leaves it behind; see `remove_parts`.

    Args:
        path: the final name.
        durable: whether the content is on the disk before it takes its name, so that a power failure does not leave
            an empty file; without, for what is written often and read only while its writer lives.

    Raises:
        InputError: where the disk, the quota or the file system has no room for it; what was there before stays.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with atomic_write(Path(folder) / "table.csv") as path:
        ...         _ = path.write_text("a,b")
        ...     (Path(folder) / "table.csv").read_text()
        'a,b'
    """
    part = path.with_name(f"{path.name[-200:]}.{secrets.token_hex(4)}.part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield part
        if durable:
            _flush(part)
        part.replace(path)
    except Exception as error:
        if (reason := _no_room(error)) is None:
            raise
        raise InputError(
            f"{path}: cannot be written ({reason}); make room, or choose another folder; "
            "what was finished before is kept"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Has the system write a file's content to the disk."""
    number = os.open(path, os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _no_room(error: BaseException) -> str | None:
    """What the system says where an error, or one that led to it, is of a disk without room."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _NO_ROOM:
            return seen.strerror
        for number in _NO_ROOM:  # writers in other languages say it in their own errors' text
            if not isinstance(seen, OSError) and f"os error {number}" in str(seen).lower():
                return os.strerror(number)
        seen = seen.__cause__ or seen.__context__
    return None


def cache_folder() -> Path:
    """Where what can be computed again is kept: `MIDMIX_CACHE`, or a folder of the user's cache."""
    named = os.environ.get("MIDMIX_CACHE")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "midmix"


def target_of(part: str) -> str:
    """The final name of a file that `atomic_write` was writing; any other name as it is.

    Example:
        >>> target_of("run.json.0a1b2c3d.part"), target_of("run.json.part"), target_of("run.json")
        ('run.json', 'run.json', 'run.json')
    """
    return _PART.sub("", part)


def remove_parts(folder: Path) -> None:
    """Removes what killed writers have left in a folder, for one who knows that nobody is writing there."""
    for path in folder.glob("*.part"):
        if target_of(path.name) != path.name and not path.is_dir():
            path.unlink(missing_ok=True)


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
    if there == folder and not {target_of(path.name) for path in folder.iterdir()} <= {mark, *names}:
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


def read_json(path: Path, kind: str, names: Set[str] = frozenset()) -> dict[str, Any]:
    """The plain data of a JSON file, which at least has these names.

    Args:
        path: of the file.
        kind: what messages call that which it should be.
        names: what it must have; `settings` must be a record too.

    Raises:
        InputError: where it is none of that kind, or was cut.
    """
    try:
        record: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        record = None
    if isinstance(record, dict) and record.keys() >= names and isinstance(record.get("settings", {}), dict):
        return record
    raise InputError(f"{path}: is not {kind}, or was cut; choose another folder")


def read_yaml(path: Path, named: str | None = None) -> dict[str, Any]:
    """The names and values of a YAML file: plain data, of tags that make objects none is known.

    Args:
        path: of the file; one that holds nothing but comments gives nothing.
        named: what messages call it; the path where None.

    Raises:
        InputError: where there is no such file, or it is not YAML of names and values; with the line.
    """
    named = str(path) if named is None else named
    if not path.is_file():
        raise InputError(f"{named}: there is no such file")
    content = path.read_bytes()
    try:
        found = yaml.safe_load(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{named}: line {line} is not UTF-8 text; save the file as UTF-8") from error
    except yaml.YAMLError as error:
        raise InputError(f"{named}: {_complaint(error)}; give NAME: VALUE lines") from error
    except (ValueError, RecursionError) as error:  # of numbers and lists without end, and of impossible dates
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{named}: is not YAML of values ({reason}); give NAME: VALUE lines") from error
    if found is None:  # nothing but comments
        return {}
    if not isinstance(found, dict):
        raise InputError(f"{named}: line 1 begins a {type(found).__name__}; give NAME: VALUE lines")
    return {str(name): value for name, value in found.items()}


def _complaint(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # a character that YAML does not allow
        return "is not YAML: " + " ".join(str(error).split())
    return f"line {mark.line + 1} is not YAML ({getattr(error, 'problem', None) or 'malformed'})"
