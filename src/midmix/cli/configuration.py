"""The YAML file that `--config` names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cyclopts.config import Dict

from midmix.errors import InputError
from midmix.files import read_yaml


def configuration(arguments: list[str], commands: Iterable[str]) -> tuple[Dict, ...]:
    """What the file gives to each of these commands, read before the flags, which override it.

    Raises:
        InputError: where there is no such file, or it is not YAML of names and values; with the line.
    """
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == "--config":
            path = Path(value if equals else next(iter(arguments[position + 1 :]), ""))
            # Under each command's name: from a flat file Cyclopts drops the keys that are commands too (methods).
            return (Dict(dict.fromkeys(commands, _read(path)), source=str(path)),)
    return ()


def _read(path: Path) -> dict[str, object]:
    found = read_yaml(path, f"--config {path}")
    for name, value in found.items():
        if isinstance(value, list | dict):
            raise InputError(
                f"--config {path}: {name} has {'a list' if isinstance(value, list) else 'names'} below it; "
                "give one value as the flag takes it, such as methods: erm,mixup"
            )
        if isinstance(value, bytes | set):
            raise InputError(f"--config {path}: {name} is a {type(value).__name__}; give a number or a text")
    # As they would stand on the command line, so that they are read alike: what is no whole number is none here.
    return {name: _text(value) for name, value in found.items() if value is not None}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
