"""The record of a run, `run.json`: declared once, written by training and read by everything else."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from midmix.errors import InputError
from midmix.files import atomic_write
from midmix.training.settings import Settings

if TYPE_CHECKING:
    from midmix.data import Preparation

RECORD = "run.json"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a finished run was, and on what.

    Fields without a default are in every record that was ever written; those with one came later, and a record of old
    is read with the default.

    Attributes:
        method: its text, as `Method.parse` takes it; the criterion that records of old had beside it is joined to it.
        seed: of the run.
        specification: the method as plain data.
        code: whose own code was run, with digests; see `midmix.registry.Code`.
        source: as the user called it.
        reading: the keywords that the source was loaded with; empty where it was not loaded, or not written down.
        columns: names of the feature columns; empty for images and unnamed features.
        preparation: what made features of a table's columns, as `Preparation.to_dict` has it; None where nothing did.
        shape: of one row, as the network takes it.
        classes: their names.
        class_counts: training rows of each.
        imbalance, profile, ranks, validation: as `draw_split` takes them.
        splits: whose test rows: the source's "own", or drawn from its rows, for all seeds "fixed" or "drawn" by each.
        shot_rule: how the classes were put into shots.
        shots: the class indices of each shot.
        split_hash: of the rows that were drawn.
        train_rows, test_rows, groups, class_names: digests; None where not written down.
        network: its name.
        classifier: name of its last layer, where the method says it.
        parameters: how many it has; 0 for a baseline whose fit is not kept, so that the run has no model file.
        probabilities: whether softmax of its logits are probabilities.
        search: what was chosen for the method, by what budget, and the settings as `given` before (`Tuned`); empty
            where nothing was searched.
        trained_parameters: those of `parameters` that were trained; None in records of old.
        encoder: the pretrained encoder that it began with (`midmix.training.encoders.record_of`); None for none.
        settings: how it was trained; a setting that a record does not name stood at its default.
        seconds: of training, evaluations left out.
        logit_prior: shares `[C]` of the prior that softmax over the logits answers for (`midmix.decisions.LogitPrior`);
            None where it is not known: after a stage that leaves none, and in records of old.
        versions: of the libraries.
        hardware: the machine, in words.
        diverged: why training broke off and left no model; empty where it came to its end.
        health: what `midmix.training.health` found, each as plain data; None where nobody looked.
    """

    method: str
    seed: int
    source: str
    shape: list[int]
    classes: list[str]
    class_counts: list[int]
    split_hash: str
    network: str
    parameters: int
    settings: dict[str, Any]
    seconds: float
    columns: list[str]
    reading: dict[str, Any] = field(default_factory=dict)
    preparation: dict[str, Any] | None = None
    specification: dict[str, Any] = field(default_factory=dict)
    code: list[Any] = field(default_factory=list)
    imbalance: float | None = None
    profile: Literal["exp", "step"] = "exp"
    ranks: Literal["fixed", "drawn"] = "fixed"
    validation: float = 0.0
    splits: Literal["own", "fixed", "drawn"] = "fixed"
    shot_rule: str = ""
    shots: dict[str, list[int]] = field(default_factory=dict)
    train_rows: str | None = None
    test_rows: str | None = None
    class_names: str | None = None
    groups: str | None = None
    classifier: str | None = None
    probabilities: bool = True
    search: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    hardware: str = ""
    health: list[Any] | None = None
    logit_prior: list[float] | None = None
    encoder: dict[str, Any] | None = None
    trained_parameters: int | None = None
    diverged: str = ""

    def __post_init__(self) -> None:
        if not self.classes or len(self.class_counts) != len(self.classes):
            raise InputError(
                f"class_counts has {len(self.class_counts)} entries for {len(self.classes)} classes"
            )
        if not self.shape or min(self.shape) < 1:
            raise InputError(f"shape is {self.shape}, which no row has")

    def as_dict(self) -> dict[str, Any]:
        """All fields, as plain data."""
        return asdict(self)

    def write(self, folder: Path) -> None:
        """Writes the record into its run's folder, which says that the run is finished."""
        with atomic_write(folder / RECORD) as path:
            path.write_text(json.dumps(self.as_dict(), indent=1), encoding="utf-8")


def read_record(folder: Path) -> RunRecord | None:
    """The record of the run in a folder, or None where none has finished there.

    Fields that this version does not know are left aside.

    Raises:
        InputError: where there is a record that is none of midmix's, was cut, or has a field of a wrong type.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     read_record(Path(folder)) is None
        True
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        found = None
    missing = {entry.name for entry in fields(RunRecord) if _required(entry)}
    if not isinstance(found, dict) or not found.keys() >= missing:
        raise InputError(f"{path}: is not a run's record, or was cut; choose another folder")
    if isinstance(found.get("criterion"), str):  # of old: the loss stood beside the method
        loss = found.pop("criterion")
        found["method"] = f"{found['method']}+{loss}" if loss != "cross_entropy" else found["method"]
    types_of = get_type_hints(RunRecord)
    given = {name: value for name, value in found.items() if name in types_of}
    for name, value in given.items():
        if not _is(value, types_of[name]):
            shown = f"{value!r:.60}"
            raise InputError(
                f"{path}: is not a run's record: {name} is {shown}, not {_words(types_of[name])}; "
                "bring it back from a copy, or choose another folder"
            )
    try:
        settings = _settings(given["settings"])
        return RunRecord(**{**given, "settings": settings})
    except InputError as error:
        raise InputError(
            f"{path}: is not a run's record: {error}; bring it back from a copy, or choose another folder"
        ) from None


def preparation_of(record: Mapping[str, Any]) -> Preparation | None:
    """What makes features of a table's columns for the network of a run; None where nothing does.

    Raises:
        InputError: where the record holds something else in its place.
    """
    found = record.get("preparation")  # records of old have none
    if found is None:
        return None
    from midmix.data import Preparation

    return Preparation.from_dict(found)


def reading_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """How other rows are read as an encoder wants them, as keywords of `midmix.data.load_unlabelled`."""
    reading = record.get("reading") or {}
    return {name: reading[name] for name in ("interpolation", "crop", "text") if name in reading}


def _settings(found: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, those that came later at their defaults, each of its type."""
    types_of = get_type_hints(Settings)
    for name, value in found.items():
        if name in types_of and not _is(value, types_of[name]):
            raise InputError(f"settings: {name} is {value!r:.60}, not {_words(types_of[name])}")
    return {**Settings().as_dict(), **found}


def _required(entry: Any) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING


def _is(value: Any, kind: Any) -> bool:
    """Whether JSON's value is of an annotated type; whole numbers are numbers, and true is none."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(_is(value, one) for one in inner)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if origin is list:
        return isinstance(value, list) and all(_is(entry, inner[0]) for entry in value)
    if origin is dict:
        return isinstance(value, dict) and all(_is(entry, inner[1]) for entry in value.values())
    if kind is Any:
        return True
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return value is None if kind is type(None) else isinstance(value, kind)


def _words(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(one) for one in inner)
    if origin is Literal:
        return " or ".join(repr(one) for one in inner)
    if origin is list:
        return f"a list, each {_words(inner[0])}"
    if origin is dict:
        return "names with values" if inner[1] is Any else f"names, each with {_words(inner[1])}"
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    return words.get(kind, "nothing" if kind is type(None) else str(kind))
