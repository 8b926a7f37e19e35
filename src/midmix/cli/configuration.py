"""The YAML file that `--config` names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml
from cyclopts.config import Dict

from midmix.errors import InputError


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
    if not path.is_file():
        raise InputError(f"--config {path}: there is no such file")
    content = path.read_bytes()
    try:
        found = yaml.safe_load(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"--config {path}: line {line} is not UTF-8 text; save the file as UTF-8") from error
    except yaml.YAMLError as error:
        raise InputError(f"--config {path}: {_complaint(error)}; give NAME: VALUE lines") from error
    if found is None:  # nothing but comments
        return {}
    if not isinstance(found, dict):
        raise InputError(f"--config {path}: line 1 begins a {type(found).__name__}; give NAME: VALUE lines")
    for name, value in found.items():
        if isinstance(value, list | dict):
            raise InputError(
                f"--config {path}: {name} has {'a list' if isinstance(value, list) else 'names'} below it; "
                "give one value as the flag takes it, such as methods: erm,mixup"
            )
    return {str(name): value for name, value in found.items()}


def _complaint(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # a character that YAML does not allow
        return "is not YAML: " + " ".join(str(error).split())
    return f"line {mark.line + 1} is not YAML ({getattr(error, 'problem', None) or 'malformed'})"
