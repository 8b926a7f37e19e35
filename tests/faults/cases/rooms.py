"""Uses of a finished model (refits, decisions, a table's preparation); baselines, searches and trackers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tests.faults.attempts import Call, Case
from tests.faults.cases.calls import called
from tests.faults.cases.models import WRONG, with_field
from tests.faults.stock import (
    ONE,
    QUICK,
    command,
    files,
    write_images,
    write_mixed_run,
    write_run,
    write_table,
)

from midmix.deploy import export_program, load, model_card

DECISIONS = {
    "--prior": ("", "x", "0.5", "0.5,0.5", "0.5,0.6,0.7", "nan,0.5,0.5", "-1,1,1", "1,0,x", "0.2,0.3,0.5,0", ",,"),
    "--aim": ("", "x", "f0", "f-1", "fnan", "finf", "f", "f1e400", "recall@precision=", "recall@precision=2",
              "recall@precision=nan", "recall@x=0.9", "costs=", "costs=nowhere.csv", "costs=.", "costs=t.csv",
              "costs=run/test.npz", "costs=/dev/zero", "costs=few.csv", "costs=words.csv", "costs=nan.csv"),
    "--calibrate": ("", "x", "temperature", "bias"),
    "--positive": ("", "x", "cat,dog", "\x1b[31m"),
}  # fmt: skip
COSTS = files(
    {
        "few.csv": ",cat,dog\ncat,0,1\ndog,1,0\n",
        "words.csv": ",cat,dog,emu\ncat,0,x,1\ndog,1,0,1\nemu,1,1,0\n",
        "nan.csv": ",cat,dog,emu\ncat,0,nan,1\ndog,1,0,1\nemu,1,1,0\n",
    }
)
STAGES = ("", "x", ">>", "crt >>", ">> crt", "crt >> x", "erm", "erm >> crt", "crt:x=1", "crt:epochs=0",
          "crt:epochs=-1", "crt:learning_rate=nan", "tau_norm:tau=nan", "tau_norm:tau=x", "tau_norm:tau=auto",
          "temperature", "crt,crt", "os:system", "\x1b[31mcrt", "ncm" * 3000)  # fmt: skip
BASELINES = ("logistic:C=0", "logistic:C=-1", "logistic:C=nan", "logistic:C=x", "logistic:max_iter=0",
             "logistic:max_iter=1.5", "ridge:alpha=-1", "ridge:alpha=nan", "lda:shrinkage=2", "lda:shrinkage=x",
             "lda:x=1", "lda+focal", "lda >> crt", "hist-gradient-boosting:learning_rate=0",
             "hist-gradient-boosting:learning_rate=nan", "hist-gradient-boosting:max_iter=0",
             "hist-gradient-boosting:max_leaf_nodes=1", "discriminant:pull=-1", "discriminant:pull=x",
             "discriminant:shrinkage=2", "discriminant:shrinkage=nan")  # fmt: skip
AUGMENTS = (
    "crop-flip+crop-flip",
    "none+cutout",
    "cutout+none",
    "+",
    "cutout+",
    "noise",
    "crop-flip+noise",
    "x+cutout",
)
TRACKERS = ("x", "tensorbord", "os:system", "json:loads", "collections:OrderedDict", "nowhere:f", "no/file.py:f",
            "t.csv:f", "\x1b[31m")  # fmt: skip

EXPORTS: tuple[tuple[str, ...], ...] = (
    ("export", "nowhere"), ("export", ".", "--to", "card"), ("export", "run", "--to", "x"),
    ("export", "run", "nowhere.csv", "--to", "torch"), ("export", "run", "run/test.npz", "--to", "torch"),
    ("export", "run", "--to", "card", "--out", ""), ("export", "run", "--to", "card", "--out", "run"),
    ("export", "run", "--to", "card", "--out", "t.csv/x"), ("export", "run", "--to", "card", "--out", "no/card.md"),
    ("export", "run", "--to", "torch", "--out", "no/model.pt2"), ("push", "run", ""), ("push", "run", "x"),
    ("push", "run", "a/b/c"), ("push", "run", "../x"), ("push", "nowhere", "owner/name"), ("push", "run", "\x1b[31m/x"),
)  # fmt: skip

MIXED = {
    "a value never seen": "age,city,label\n30,Paris,no\n40,Oslo,yes\n",
    "holes": "age,city,label\n,,no\n40,Oslo,yes\n",
    "a column less": "age,label\n30,no\n",
    "no column of them": "x,y\n1,2\n",
    "text for numbers": "age,city,label\nold,Oslo,no\nyoung,Rome,yes\n",
    "numbers for text": "age,city,label\n30,5,no\n40,6,yes\n",
    "beyond 32 bits": "age,city,label\n1e300,Oslo,no\n",
    "infinity": "age,city,label\ninf,Oslo,no\n",
    "a column twice": "age,age,city\n30,30,Oslo\n",
    "no rows": "age,city\n",
    "nothing": "",
}
READ_ALL_THE_SAME = ("a value never seen", "holes", "numbers for text")
PREPARATIONS: tuple[Any, ...] = (
    {"columns": []}, {"columns": [5]}, {"columns": {}}, {"columns": [{}]}, {"columns": [{"name": "age"}]},
    {"columns": [{"name": "age", "kind": "x"}]}, {"columns": [{"name": "age", "kind": "number"}]},
    {"columns": [{"name": "age", "kind": "number", "median": "x"}]},
    {"columns": [{"name": "age", "kind": "category", "values": 5}]},
)  # fmt: skip
LATER = ("preparation", "search", "health", "logit_prior", "probabilities", "class_names")
STUDIES: dict[str, str] = {
    "empty": "", "a list": "- sets", "a NUL": "sets: \0", "nothing known": "x: 1", "no sets": "methods: [erm]",
    "no methods": "sets: {t: {source: t.csv}}", "sets in a list": "sets: [t.csv]\nmethods: [erm]",
    "a set of a number": "sets: {t: 5}\nmethods: [erm]", "a set without a source": "sets: {t: {}}\nmethods: [erm]",
    "a source that is none": "sets: {t: {source: nowhere.csv}}\nmethods: [erm]",
    "a set outside": "sets: {../t: {source: t.csv}}\nmethods: [erm]",
    "a set with a slash": "sets: {a/b: {source: t.csv}}\nmethods: [erm]",
    "a flag that is none": "sets: {t: {source: t.csv, x: 1}}\nmethods: [erm]",
    "a method that is none": "sets: {t: {source: t.csv}}\nmethods: [x]",
    "methods of numbers": "sets: {t: {source: t.csv}}\nmethods: [5, [erm]]",
    "a method in braces": "sets: {t: {source: t.csv}}\nmethods: [{erm}]",
    "an option without values": "sets: {t: {source: t.csv}}\nmethods: ['mixup:alpha={a}']",
    "values without an option": "sets: {t: {source: t.csv}}\nmethods: [erm]\noptions: {a: [1]}",
    "values that cannot be": "sets: {t: {source: t.csv}}\nmethods: ['mixup:alpha={a}']\noptions: {a: [-1, x]}",
    "no values": "sets: {t: {source: t.csv}}\nmethods: ['mixup:alpha={a}']\noptions: {a: []}",
    "seeds of text": "sets: {t: {source: t.csv}}\nmethods: [erm]\nseeds: x",
    "no seeds": "sets: {t: {source: t.csv}}\nmethods: [erm]\nseeds: 0",
    "half a seed": "sets: {t: {source: t.csv}}\nmethods: [erm]\nseeds: 1.5",
    "settings in a list": "sets: {t: {source: t.csv}}\nmethods: [erm]\nsettings: [1]",
    "a setting that is none": "sets: {t: {source: t.csv}}\nmethods: [erm]\nsettings: {x: 1}",
    "a setting of text": "sets: {t: {source: t.csv}}\nmethods: [erm]\nsettings: {epochs: x}",
    "a setting of NaN": "sets: {t: {source: t.csv}}\nmethods: [erm]\nsettings: {learning_rate: .nan}",
    "a search of text": "sets: {t: {source: t.csv}}\nmethods: [erm]\nsearch: x",
    "a measure that is none": "sets: {t: {source: t.csv}}\nmethods: [erm]\nmeasures: [x]",
    "a baseline that is none": "sets: {t: {source: t.csv}}\nmethods: [erm]\nbaseline: x",
    "an oracle that is none": "sets: {t: {source: t.csv}}\nmethods: [erm]\noracle: x",
    "a call": "sets: !!python/object/apply:os.system ['touch exploded']",
}  # fmt: skip
USES = {
    "predict": ("predict", "run", "new.csv", "--out", "p.csv"),
    "evaluate": ("evaluate", "run", "new.csv"),
    "refit": ("refit", "run", "ncm", "--out", "refit"),
}
FEW = np.zeros((3, 2), dtype=np.float32)
ROWS: dict[str, Any] = {
    "another width": np.zeros((3, 7), np.float32), "one dimension": np.zeros(2, np.float32),
    "text": np.array([["a", "b"]]), "objects": np.array([[{}, {}]], dtype=object), "nothing": None, "a number": 5,
    "no column": pd.DataFrame({"x": [1.0]}), "words": pd.DataFrame({"a": ["x"], "b": ["y"]}),
    "NaN": np.full((3, 2), np.nan, np.float32), "infinity": np.full((3, 2), np.inf, np.float32),
    "NaN in a frame": pd.DataFrame({"a": [np.nan], "b": [1.0]}), "a file that is none": "nowhere.csv",
    "complex": np.zeros((3, 2), complex), "a list": [[0.0, 1.0]],
}  # fmt: skip


def cases() -> Iterator[Case]:
    """Flags, records, tables and rows, one at a time."""
    line: tuple[str, ...]
    for use in ("predict", "evaluate"):
        for flag, values in DECISIONS.items():
            for value in values:
                line = (
                    ("predict", "run", "t.csv", "--out", "p.csv")
                    if use == "predict"
                    else (use, "run", "t.csv")
                )
                prepare = command(*line, flag, value, given=(write_run, COSTS))
                yield Case("decisions", f"{use} {flag} {value}", prepare)
    for stages in STAGES:
        line = ("refit", "run", stages, "--out", "refit")
        yield Case("refits", f"refit {stages:.40}", command(*line, given=(write_run,)))
    for out in ("", "run", "t.csv", "t.csv/x", "/proc/x", "x" * 300):
        yield Case(
            "refits",
            f"refit --out {out:.20}",
            command("refit", "run", "ncm", "--out", out, given=(write_run,)),
        )
    for source in ("", "nowhere.csv", "digits", ".", "other.csv"):
        given = (write_run, files({"other.csv": "a,b,label\n" + "1,2,cat\n3,4,dog\n5,6,emu\n" * 9}))
        line = ("refit", "run", "ncm", "--source", source, "--out", "refit")
        yield Case("refits", f"refit --source {source}", command(*line, given=given))
    for method in BASELINES:
        yield Case("baselines", method, command("train", "t.csv", "--method", method, "--out", "out"))
    yield Case("baselines", "of images", command("train", "images", "--method", "lda", "--out", "out",
               given=(write_images,)))  # fmt: skip
    for augment in AUGMENTS:
        line = ("train", "images", "--epochs", "1", "--augment", augment, "--out", "out")
        yield Case("flags", f"train images --augment {augment}", command(*line, given=(write_images,)))
    for search in ("-1", "1.5", "x", "nan", str(2**70)):
        line = ("compare", "t.csv", *ONE, *QUICK, "--search", search, "--out", "out")
        yield Case("flags", f"compare --search {search}", command(*line))
    for tracker in TRACKERS:
        for line in (("train", "t.csv", *QUICK), ("compare", "t.csv", *ONE, *QUICK)):
            name = f"{line[0]} --track {tracker}"
            yield Case(
                "flags", name, command(*line, "--track", tracker, "--out", "out", given=(write_table,))
            )
    for name, text in STUDIES.items():
        given = (write_table, files({"s.yaml": text}))
        yield Case("studies", name, command("study", "s.yaml", "--out", "out", given=given))
    for path in ("", ".", "nowhere.yaml", "/dev/zero", "t.csv"):
        yield Case("studies", f"the file {path!r}", command("study", path, "--out", "out"))
    for words in EXPORTS:
        yield Case("exports", " ".join(words)[:60], command(*words, given=(write_run,)))
    yield from _tables()
    yield from _loaded()


def _tables() -> Iterator[Case]:
    for name, text in MIXED.items():
        expected = "fine" if name in READ_ALL_THE_SAME else "line"
        for use in ("predict", "evaluate"):
            prepare = command(*USES[use], given=(write_mixed_run, files({"new.csv": text})))
            other = use == "evaluate" and name == "numbers for text"
            yield Case("tables", f"{use}, {name}", prepare, "either" if other else expected)  # type: ignore[arg-type]
    new = files({"new.csv": MIXED["a value never seen"]})
    values = [
        *((name, value) for name in LATER for value in WRONG),
        *(("preparation", one) for one in PREPARATIONS),
    ]
    for name, value in values:
        for use, line in USES.items():
            prepare = command(*line, given=(write_mixed_run, new, with_field(name, value)))
            yield Case("model folders", f"{use}, {name} is {value!r:.60}", prepare, "either")


def _loaded() -> Iterator[Case]:
    for name, rows in ROWS.items():
        # What is missing in a table is filled.
        expected = "fine" if name == "NaN in a frame" else "either" if name == "a list" else "line"
        for use in ("predict_proba", "decide", "features"):
            if use != "features" or not name.startswith(("NaN", "infinity")):  # which are no model's
                yield Case("loaded models", f"{use}, {name}", _with_run(partial(_use, use, rows)), expected)  # type: ignore[arg-type]
    yield Case("loaded models", "no folder", _with_run(lambda: load("nowhere")))
    yield Case("loaded models", "an empty name", _with_run(lambda: load("")))
    yield Case("loaded models", "a card of no model", _with_run(lambda: model_card(Path("nowhere"))))
    for name, rows in {
        "one row": FEW[:1],
        "no rows": FEW[:0],
        "another width": np.zeros((3, 7), np.float32),
    }.items():
        yield Case("loaded models", f"export, {name}", _with_run(partial(_export, rows, "program.pt2")))
    for out in ("nowhere/program.pt2", "t.csv/program.pt2", ""):
        yield Case("loaded models", f"export to {out!r}", _with_run(partial(_export, FEW, out)))


def _use(use: str, rows: Any) -> object:
    return getattr(load("run"), use)(rows)


def _export(rows: np.ndarray, path: str) -> object:
    return export_program(load("run").network, torch.from_numpy(rows), Path(path))


def _with_run(call: Callable[[], object]) -> Callable[[Path], Call]:
    def prepare(folder: Path) -> Call:
        write_run(folder)
        return called(call)

    return prepare
