"""A study as a file says it: methods × options × sets × seeds."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

from midmix.data import Options
from midmix.errors import InputError, unknown
from midmix.files import read_yaml
from midmix.measures import MEASURES, measures_of
from midmix.methods import Method
from midmix.training.settings import Settings

KEYS = ("sets", "methods", "options", "settings", "seeds", "search", "measures", "baseline", "oracle")
READING = tuple(
    field.name for field in fields(Options) if field.name not in ("coarse", "seed", "prepare", "known")
)
SPLIT = ("imbalance", "profile", "ranks", "splits", "validation")
SETTINGS = tuple(field.name for field in fields(Settings))
_COLUMNS = ("features", "keep", "exclude")
_PLACE = re.compile(r"\{(\w+)\}")
_NAME = re.compile(r"\w[\w.=,-]*")


@dataclass(frozen=True)
class GridLine:
    """A method of a study.

    Attributes:
        method: what is run.
        family: as the file has it, options in braces: the lines of a family make a curve.
        values: of these options.
    """

    method: Method
    family: str
    values: Mapping[str, Any]

    def __str__(self) -> str:
        return str(self.method)


@dataclass(frozen=True)
class GridSet:
    """Rows to train and to test on.

    Attributes:
        name: of its folder in the study's.
        source: as `midmix.data.load` takes it.
        reading: other keywords of `load`.
        split: keywords of `draw_split`.
        settings: keywords of `Settings.for_rows`.
    """

    name: str
    source: str
    reading: Mapping[str, Any]
    split: Mapping[str, Any]
    settings: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data, without the name."""
        groups = {**self.reading, **self.split, **self.settings}
        return {"source": self.source, **{name: groups[name] for name in sorted(groups)}}


@dataclass(frozen=True)
class Grid:
    """What a study runs, and what it shows of it.

    Attributes:
        lines: methods with their options' values.
        sets: rows.
        seeds: how many, 0 and up.
        search: draws that each line is tuned by on each set; 0 tunes nothing.
        measures: that tables and curves show; the first is what regret is measured in.
        baseline: the line that the others are compared with; None for `erm`.
        oracle: the family whose best value, chosen on the test rows, the regret is measured from; None for none.
    """

    lines: tuple[GridLine, ...]
    sets: tuple[GridSet, ...]
    seeds: int = 3
    search: int = 0
    measures: tuple[str, ...] = ("balanced_accuracy",)
    baseline: str | None = None
    oracle: str | None = None

    @property
    def methods(self) -> tuple[Method, ...]:
        """What is run on every set."""
        return tuple(line.method for line in self.lines)


def read_grid(path: Path) -> Grid:
    """The study that a YAML file describes; `docs/study.md` says what may stand in it.

    Raises:
        InputError: where the file is not such a study: where, what is wrong, and the nearest names that are valid.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> text = '''
        ... methods: [erm, "balanced-midpoint:ratio={ratio}"]
        ... options: {ratio: [0.5, 0.75]}
        ... sets: {digits: {source: digits, imbalance: [10, 50], epochs: 5}}
        ... '''
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "study.yaml"
        ...     _ = path.write_text(text)
        ...     grid = read_grid(path)
        >>> [str(line) for line in grid.lines]
        ['erm', 'balanced-midpoint:ratio=0.5', 'balanced-midpoint:ratio=0.75']
        >>> [one.name for one in grid.sets], grid.seeds
        (['digits-imbalance=10', 'digits-imbalance=50'], 3)
    """
    content = read_yaml(path)
    try:
        return _grid(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _grid(content: Mapping[str, Any]) -> Grid:
    _check(content, KEYS, "key")
    for key in ("sets", "methods"):
        if not content.get(key):
            raise InputError(f"{key}: are missing; a study needs methods and sets")
    lines = _lines(_texts(content, "methods"), _names(content, "options"))
    shared = _names(content, "settings")
    _check(shared, SETTINGS, "setting")
    sets = [one for name, given in _names(content, "sets").items() for one in _sets(str(name), given, shared)]
    if len({one.name for one in sets}) < len(sets):
        raise InputError("sets: two have the same name; give each its own")
    known = [measure.name for measure in (*measures_of("outcomes"), *measures_of("two classes"))]
    measures = _texts(content, "measures") or list(Grid.measures)
    for measure in measures:
        if measure not in known or not MEASURES.find(measure).better:
            raise unknown("measure", measure, known)
    baseline = content.get("baseline")
    if baseline is not None:
        texts = [str(line) for line in lines]
        baseline = str(baseline) if str(baseline) in texts else str(Method.parse(str(baseline)))
        if baseline not in texts:
            raise unknown("baseline", baseline, texts)
    oracle = content.get("oracle")
    if oracle is not None and str(oracle) not in {line.family for line in lines}:
        raise unknown("oracle", oracle, {line.family for line in lines})
    return Grid(
        tuple(lines),
        tuple(sets),
        _whole(content, "seeds", 3, least=1),
        _whole(content, "search", 0, least=0),
        tuple(measures),
        baseline,
        None if oracle is None else str(oracle),
    )


def _lines(families: Sequence[str], options: Mapping[str, Any]) -> list[GridLine]:
    found: dict[str, GridLine] = {}
    used: set[str] = set()
    for family in families:
        named = list(dict.fromkeys(_PLACE.findall(family)))
        for name in named:
            if name not in options:
                raise unknown(f"option of method {family!r}", name, map(str, options))
        used.update(named)
        for values in product(*(_list(options[name], f"options: {name}") for name in named)):
            chosen = dict(zip(named, values, strict=True))
            text = _PLACE.sub(lambda place, chosen=chosen: _text(chosen[place[1]]), family)  # type: ignore[misc]
            line = GridLine(Method.parse(text), family, chosen)
            if str(line) in found:
                raise InputError(f"methods: {line} stands there more than once; name each once")
            found[str(line)] = line
    for name in options:
        if name not in used:
            raise InputError(f"options: {name} stands in no method; write {{{name}}} where it belongs")
    return list(found.values())


def _sets(name: str, given: Any, shared: Mapping[str, Any]) -> list[GridSet]:
    """A set of the file; where it gives several values for something, one for each."""
    where = f"set {name}"
    if not _NAME.fullmatch(name):
        raise InputError(f"{where}: is to name a folder; use letters, digits, -, _, . and =")
    if not isinstance(given, dict):
        raise InputError(f"{where}: give what it is, such as {name}: {{source: digits, imbalance: 50}}")
    _check(given, ("source", *READING, *SPLIT, *SETTINGS), f"key of {where}")
    if not isinstance(given.get("source"), str):
        raise InputError(f"{where}: a source is missing; give source: digits, or a file, folder or name")
    several = {key: value for key, value in given.items() if isinstance(value, list) and key not in _COLUMNS}
    found = []
    for values in product(*(_list(value, f"{where}: {key}") for key, value in several.items())):
        chosen = dict(zip(several, values, strict=True))
        whole = {**shared, **given, **chosen}
        found.append(
            GridSet(
                "-".join([name, *(f"{key}={_text(value)}" for key, value in chosen.items())]),
                _expanded(str(whole["source"]), where),
                *({key: whole[key] for key in keys if key in whole} for keys in (READING, SPLIT, SETTINGS)),
            )
        )
    return found


def _expanded(source: str, where: str) -> str:
    """The source with the environment's variables in their places: data lie elsewhere on each machine."""
    found = os.path.expandvars(source)
    if "$" in found:
        raise InputError(f"{where}: {source} names a variable that the environment does not have; set it")
    return found


def _check(given: Mapping[Any, Any], known: Sequence[str], kind: str) -> None:
    for key in given:
        if key not in known:
            raise unknown(kind, key, known)


def _names(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = content.get(key) or {}
    if not isinstance(found, dict):
        raise InputError(f"{key}: give NAME: VALUE lines below it")
    return found


def _texts(content: Mapping[str, Any], key: str) -> list[str]:
    found = content.get(key) or []
    texts = found if isinstance(found, list) else [found]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{key}: give a list of texts; one with a brace or a colon stands in quotes")
    return texts


def _list(value: Any, where: str) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(one, str | int | float) for one in values):
        raise InputError(f"{where}: give a list of numbers or words, such as [0.5, 0.75]")
    return values


def _whole(content: Mapping[str, Any], key: str, default: int, *, least: int) -> int:
    value = content.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{key}: {value}; give a whole number of {least} or more")
    return value


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
