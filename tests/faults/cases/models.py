"""Folders of runs and comparisons in which something is damaged, exchanged, or of a wrong type."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tests.faults.attempts import Case
from tests.faults.stock import ONE, QUICK, command, write_comparison, write_run

WRONG: tuple[Any, ...] = (None, True, -1, "x", [], {}, [None], 1e400)
FIELDS = (
    "method", "seed", "source", "shape", "classes", "class_counts", "split_hash", "network", "parameters", "settings",
    "seconds", "columns", "reading", "specification", "code", "imbalance", "profile", "ranks", "validation",
    "shot_rule", "shots", "train_rows", "test_rows", "groups", "classifier", "versions", "hardware",
)  # fmt: skip
SETTINGS = ("network", "width", "epochs", "batch_size", "optimizer", "learning_rate", "augment", "precision")
USES = {
    "predict": ("predict", "run", "t.csv", "--out", "p.csv"),
    "evaluate": ("evaluate", "run", "t.csv"),
    "analyze": ("analyze", "run", "--out", "analysis"),
    "train": ("train", "t.csv", "--method", "am-mixup", *QUICK, "--out", "run"),
}


class Bomb:
    """Would write a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


def _tensors(tensors: dict[str, torch.Tensor]) -> bytes:
    from safetensors.torch import save

    return save(tensors)


def _zip_of(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _parquet(table: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    table.to_parquet(file)
    return file.getvalue()


DAMAGED: dict[str, dict[str, bytes]] = {
    "run.json": {
        "empty": b"", "no JSON": b"hello", "a list": b"[]", "a number": b"5", "nothing": b"null", "no fields": b"{}",
        "not UTF-8": b"\xff\xfe", "lists 100,000 deep": b"[" * 100_000, "a long number": b"9" * 5000,
        "NUL bytes": b"\0" * 500,
    },
    "model.safetensors": {
        "empty": b"", "text": b"hello", "a pickle": pickle.dumps(Bomb()), "torch's own form": _zip_of(Bomb()),
        "no tensors": _tensors({}), "other tensors": _tensors({"x": torch.zeros(3)}),
        "a header of a terabyte": (10**12).to_bytes(8, "little") + b"{}", "a header cut off": b"\x10\0\0\0\0\0\0\0{",
        "a header that is a list": b"\x02\0\0\0\0\0\0\0[]", "NUL bytes": b"\0" * 500,
    },
    "history.parquet": {
        "empty": b"", "text": b"hello" * 100, "marks alone": b"PAR1PAR1",
        "no rows": _parquet(pd.DataFrame({"epoch": []})), "other columns": _parquet(pd.DataFrame({"x": [1]})),
        "text for numbers": _parquet(pd.DataFrame({"epoch": ["x"]})),
    },
    "test.npz": {
        "empty": b"", "text": b"hello", "no arrays": _npz(), "objects": _npz(logits=np.array([Bomb()])),
        "half of the arrays": _npz(logits=np.zeros((3, 3))),
        "arrays of text": _npz(logits=np.array(["x"]), features=np.array(["x"]), labels=np.array(["x"])),
        "other lengths": _npz(logits=np.zeros((3, 3)), features=np.zeros((2, 4)), labels=np.zeros(5, int)),
        "other classes": _npz(logits=np.zeros((8, 9)), features=np.zeros((8, 4)), labels=np.full(8, 7)),
        "NaN": _npz(logits=np.full((8, 3), np.nan), features=np.zeros((8, 4)), labels=np.zeros(8, int)),
        "numbers alone": _npz(logits=np.float32(1), features=np.float32(1), labels=np.int64(1)),
    },
}  # fmt: skip
READ = {
    "run.json": tuple(USES), "model.safetensors": ("predict", "evaluate", "analyze"), "history.parquet": ("analyze",),
    "test.npz": ("analyze", "train"),
}  # fmt: skip
CUTS = (0.02, 0.3, 0.6, 0.98)


def cases() -> Iterator[Case]:
    """One field, file or cut at a time, and one use of what is there."""
    uses = list(USES)
    for place, (name, value) in enumerate((name, value) for name in FIELDS for value in WRONG):
        use = uses[place % len(uses)]
        yield _run(f"{name} is {value!r}", use, with_field(name, value), either=True)
    for place, (name, value) in enumerate((name, value) for name in SETTINGS for value in WRONG):
        use = uses[place % len(uses)]
        yield _run(f"settings: {name} is {value!r}", use, _with_setting(name, value), either=True)
    for place, name in enumerate(FIELDS):
        yield _run(f"without {name}", uses[place % len(uses)], _without(name), either=True)
    for name, value in (
        ("shape", [3]), ("shape", [10**12]), ("classes", ["cat", "dog"]), ("classes", ["cat", "cat", "emu"]),
        ("network", "mlp-8"), ("columns", ["x", "y"]), ("columns", ["a"]), ("class_counts", [1, 2]),
        ("source", "elsewhere.csv"), ("method", "erm+cosine"), ("shots", {"many": [99]}),
    ):  # fmt: skip
        for use in ("predict", "evaluate", "analyze"):
            yield _run(f"{name} is {value!r}", use, with_field(name, value), either=True)
    for name, contents in DAMAGED.items():
        for what, content in contents.items():
            for use in READ[name]:
                either = name == "history.parquet" or (use, what) in (
                    (("analyze"), "NaN"),
                    ("analyze", "no tensors"),
                )
                yield _run(f"{name}: {what}", use, _with_file(name, content), either=either)
        for share in CUTS:
            for use in READ[name]:
                yield _run(
                    f"{name} cut at {share:.0%}", use, _cut(name, share), either=name == "history.parquet"
                )
    for name in DAMAGED:
        for use in READ[name]:
            if name != "run.json":
                yield _run(f"no {name}", use, _removed(name), either=name == "history.parquet")
                yield _run(f"{name} is a folder", use, _folder(name), either=name == "history.parquet")
    yield from _comparisons()


def _comparisons() -> Iterator[Case]:
    again = ("compare", "t.csv", *ONE, *QUICK, "--out", "comparison")
    run = "comparison/runs/erm-seed0"
    damaged: dict[str, Callable[[Path], None]] = {}
    for name, contents in DAMAGED.items():
        if name != "model.safetensors":  # which a comparison does not read
            damaged |= {
                f"{name}: {what}": _with_file(name, content, run)
                for what, content in contents.items()
                if what != "NaN"
            }
            damaged |= {f"{name} cut at {share:.0%}": _cut(name, share, run) for share in CUTS}
    for what, content in DAMAGED["run.json"].items():
        damaged[f"comparison.json: {what}"] = _with_file("comparison.json", content, "comparison")
    for name in ("runs", "results.parquet", "claim.json", "launchers", "report.html", "tables.md", "figures"):
        damaged[f"{name} is a file"] = _with_file(name, b"hello", "comparison", afresh=True)
        damaged[f"{name} is a folder"] = _folder(name, "comparison")
        damaged[f"{name} is a link to nowhere"] = _link(name, "comparison")
    damaged["a run's folder is a file"] = _with_file("erm-seed0", b"hello", "comparison/runs", afresh=True)
    damaged["a run's claim is a folder"] = _folder("claim.json", run)
    damaged["a run of another comparison"] = with_field("train_rows", "9 rows, sha256 0", run)
    damaged["a run with other settings"] = _with_setting("epochs", 77, run)
    damaged["a run of another method"] = with_field("method", "mixup", run)
    for what, damage in damaged.items():
        for line in (again, (*again[:2], "--methods", "erm,mixup", *again[4:])):
            name = f"{what}{', and a method more' if line is not again else ''}"
            yield Case("comparisons", name, command(*line, given=(write_comparison, damage)), "either")


def _run(name: str, use: str, damage: Callable[[Path], None], *, either: bool) -> Case:
    prepare = command(*USES[use], given=(write_run, damage))
    return Case("model folders", f"{use}, {name}", prepare, "either" if either else "line", check=_not_run)


def _not_run(folder: Path, printed: str) -> str | None:
    return "what lay in a file was run" if list(folder.rglob("exploded")) else None


def _changed(name: str, change: Callable[[dict[str, Any]], None], place: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / place / name
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps(record))

    return damage


def with_field(name: str, value: Any, place: str = "run") -> Callable[[Path], None]:
    """Gives a run's record this field."""
    return _changed("run.json", lambda record: record.update({name: value}), place)


def _with_setting(name: str, value: Any, place: str = "run") -> Callable[[Path], None]:
    return _changed("run.json", lambda record: record["settings"].update({name: value}), place)


def _without(name: str) -> Callable[[Path], None]:
    return _changed("run.json", lambda record: record.pop(name, None), "run")


def _with_file(
    name: str, content: bytes, place: str = "run", *, afresh: bool = False
) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        if afresh:
            _remove(folder / place / name)
        (folder / place / name).write_bytes(content)

    return damage


def _cut(name: str, share: float, place: str = "run") -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        whole = (folder / place / name).read_bytes()
        (folder / place / name).write_bytes(whole[: int(len(whole) * share)])

    return damage


def _removed(name: str) -> Callable[[Path], None]:
    return lambda folder: _remove(folder / "run" / name)


def _folder(name: str, place: str = "run") -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        _remove(folder / place / name)
        (folder / place / name).mkdir()

    return damage


def _link(name: str, place: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        _remove(folder / place / name)
        (folder / place / name).symlink_to("nowhere")

    return damage


def _remove(path: Path) -> None:
    if path.is_dir():
        for below in path.iterdir():
            _remove(below)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
