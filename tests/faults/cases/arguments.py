"""Words on the command line, and the file of `--config`."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.attempts import Case
from tests.faults.stock import ONE, QUICK, command, files, write_images, write_run, write_table

BIG = str(2**70)
TRAIN = ("train", "t.csv", "--out", "out")
COMPARE = ("compare", "t.csv", *ONE, "--out", "out")

FLAGS = {
    "--seed": ("-1", "1.5", "", "x", BIG, "nan", str(2**63)),
    "--width": ("-1", "0", "1.5", "x"),
    "--epochs": ("-1", "0", "1.5", "x", "inf", "nan"),
    "--batch-size": ("-1", "0", "1", "1.5", "x", "nan"),
    "--learning-rate": ("-1", "0", "nan", "inf", "1e308", "x", ""),
    "--momentum": ("-1", "1", "nan", "inf", "x"),
    "--weight-decay": ("-1", "nan", "inf", "x"),
    "--warmup-epochs": ("-1", "nan", "inf", "x"),
    "--accumulate": ("-1", "0", "1.5", "x"),
    "--evaluate-every": ("-1", "0", "1.5", "x"),
    "--imbalance": ("-1", "0", "0.5", "nan", "inf", "1e308", "x"),
    "--validation": ("-1", "1", "1.5", "nan", "inf", "x"),
    "--test-fraction": ("-1", "0", "1", "1.5", "nan", "inf", "x"),
    "--profile": ("", "x"),
    "--ranks": ("", "x"),
    "--optimizer": ("", "x"),
    "--precision": ("", "x", "fp16"),
    "--augment": ("x", "crop-flip"),
    "--recipe": ("", "x"),
    "--workers": ("-1", "1.5", "x"),
    "--list": ("x",),
    "--root": ("x",),
    "--label": ("", "x", "a,b", "\x1b[31m", "a"),
    "--features": ("", "x", "a,a", "a,x", "label", ","),
    "--image": ("x",),
    "--network": ("", "x", "mlp-", "mlp-0", "mlp--1", "mlp-x", "mlp-1e9", "resnet-8", "resnet-9", "nowhere:f",
                  "json:loads", "os:nothing", "math:pi", "builtins:print", "no/file.py:f", "t.csv:f", "mlp-8:x"),
    "--method": ("", "x", "erm:", "erm:x", "erm:x=1", "erm:=1", "erm:num_classes=3", "erm:name=x",
                 "erm:class_counts=1", "mixup:alpha=-1", "mixup:alpha=nan", "mixup:alpha=inf", "mixup:alpha=",
                 "mixup:alpha=x", "mixup:alpha=1e400", "am-mixup:beta=-1", "am-mixup:beta=nan",
                 "am-mixup:accuracy=given", "am-mixup:accuracy=x", "am-mixup:balanced_accuracy=2",
                 "erm:clean_weight=nan", "erm:clean_weight=-1", "erm:site=nowhere", "am-mixup:site=hidden.0",
                 "balanced-midpoint:ratio=2", "+", ">>", ">> crt", "erm >>", "erm >> erm", "erm >> x", "erm++focal",
                 "erm+x", "erm+focal:gamma=-1", "erm+focal:gamma=nan", "erm+ldam:max_margin=-1", "erm+drw:start=2",
                 "erm+drw:start=nan", "erm+cosine:scale=0", "erm+cosine >> crt", "erm >> tau_norm:tau=auto",
                 "erm >> crt:epochs=0", "erm >> crt:learning_rate=inf", "erm+cosine+cosine",
                 "os:system", "json:loads", "builtins:eval", "nowhere:f", "no/file.py:f", "../x.py:f", "t.csv:f",
                 "erm,mixup", "\x1b[31merm", "é" * 300, "erm" * 5000, "erm+focal:gamma=" + "9" * 5000,
                 "erm:site=[1,2]", "erm:site={a: b}", "mixup:alpha=!!python/name:os.system"),
}  # fmt: skip
FINE = {
    "--epochs": ("1.0",),
    "--batch-size": (BIG, "2", "1000000"),
    "--test-fraction": ("1e-300",),
    "--momentum": ("0",),
    "--weight-decay": ("0", "1e-300"),
    "--warmup-epochs": ("0", "0.5"),
    "--accumulate": ("1000", BIG),
    "--evaluate-every": ("1000", BIG),
    "--imbalance": ("1",),
    "--method": ("erm+cosine", "erm >> ncm"),
}
COMPARISON = {
    "--seeds": ("-1", "0", "1.5", "x", BIG, "1000000000000"),
    "--jobs": ("-1", "0", "1.5", "x"),
    "--methods": ("", ",", "erm,erm", "erm,x", "erm,,x", "erm,am-mixup:beta=0.67,am-mixup"),
    "--baseline": ("", "x", "mixup", "\x1b[31m"),
    "--projection": ("", "x"),
}
WHOLE: tuple[tuple[str, ...], ...] = (
    (), ("train",), ("compare",), ("x",), ("-",), ("--x",), ("train", "t.csv", "t.csv"), ("train", "--out", "out"),
    ("train", ""), ("train", "nowhere"), ("train", "no/where"), ("train", "nowhere.csv"), ("train", "/dev/null"),
    ("train", "/dev/zero"), ("train", "."), ("train", ".."), ("train", "t.csv/x"), ("train", "x" * 5000),
    ("train", "x/" * 3000), ("train", "t.csv\x1b[31m"), ("train", "a\nb"), ("train", "http://localhost:1/x.csv"),
    ("train", "~nobody-here/x.csv"), ("train", "owner/../../name"),
    ("predict", "run"), ("predict", "run", ""), ("predict", "run", "nowhere"), ("predict", "t.csv", "t.csv"),
    ("predict", "nowhere", "t.csv"), ("predict", "run", "t.csv", "--out", ""),
    ("predict", "run", "t.csv", "--out", "p.txt"), ("predict", "run", "t.csv", "--out", "no/p.csv"),
    ("predict", "run", "t.csv", "--out", "t.csv"), ("predict", "run", "t.csv", "--out", "t.csv/p.csv"),
    ("predict", "run", "t.csv", "--out", "x" * 300 + ".csv"), ("predict", "run", "t.csv", "--image", "x"),
    ("predict", "run", "digits"), ("predict", "run", "run"), ("predict", "run", "run/test.npz"),
    ("predict", "run/run.json", "t.csv"),
    ("evaluate", "run"), ("evaluate", "run", "nowhere"), ("evaluate", "run", "digits"), ("evaluate", ".", "t.csv"),
    ("evaluate", "run", "t.csv", "--label", "x"), ("evaluate", "run", "t.csv", "--label", "a"),
    ("evaluate", "run", "t.csv", "--features", "a"), ("evaluate", "run", "t.csv", "--test-fraction", "2"),
    ("analyze",), ("analyze", "nowhere"), ("analyze", "."), ("analyze", "t.csv", "--neighbors", "0", "--out", "out"),
    ("analyze", "t.csv", "--neighbors", "-1", "--out", "out"), ("analyze", "t.csv", "--max-rows", "0", "--out", "out"),
    ("analyze", "t.csv", "--max-rows", "-1", "--out", "out"), ("analyze", "t.csv", "--label", "x", "--out", "out"),
    ("analyze", "t.csv", "--features", "x", "--out", "out"), ("analyze", "t.csv", "--projection", "x"),
    ("analyze", "run", "--out", "run"), ("train", "t.csv", "--out", "t.csv"), ("train", "t.csv", "--out", "t.csv/x"),
    ("train", "t.csv", "--out", "x" * 300), ("train", "t.csv", "--out", "x/" * 3000),
    ("train", "t.csv", "--out", "/proc"), ("train", "t.csv", "--out", "/proc/x"),
    ("train", "t.csv", "--out", "."), ("compare", "t.csv", "--out", "run"),
    ("train", "t.csv", "--out", "/dev/null"), ("transfer", "t.csv"), ("transfer", "t.csv", "--fine", "x"),
    ("transfer", "t.csv", "--fine", "label", "--coarse", "label"), ("transfer", "t.csv", "--hierarchy", "nowhere.csv"),
    ("transfer", "t.csv", "--hierarchy", "t.csv"), ("transfer", "digits", "--classes-per-group", "0"),
    ("transfer", "digits", "--classes-per-group", "1000"), ("transfer", "digits", "--images-per-class", "0"),
    ("transfer", "digits", "--finetune-epochs", "-1"), ("transfer", "digits", "--validation", "0"),
    ("transfer", "digits", "--validation", "nan"), ("transfer", "digits", "--pick", "x"),
    ("transfer", "digits", "--hierarchy", "living-17", "--wordnet", "nowhere"), ("methods", "x"),
)  # fmt: skip

YAML: dict[str, bytes] = {
    "empty names": b": 1\n",
    "not closed": b"seed: [1\n",
    "not UTF-8": b"seed: \xff\n",
    "a NUL": b"seed: \0\n",
    "a list": b"- seed\n",
    "a number": b"5\n",
    "a text": b"seed\n",
    "a list of lists, 10,000 deep": b"seed: " + b"[" * 10_000 + b"]" * 10_000,
    "names in names, 10,000 deep": b"{a: " * 10_000 + b"1" + b"}" * 10_000,
    "references that multiply": b"a: &a [x, x]\n" + b"".join(
        b"%c: &%c [*%c, *%c]\n" % (n, n, n - 1, n - 1) for n in range(98, 118)
    ),
    "a reference to itself": b"a: &a [*a]\n",
    "a call": b"seed: !!python/object/apply:os.system ['touch exploded']\n",
    "a module": b"!!python/module:os : 1\n",
    "a list for a flag": b"seed: [1, 2]\n",
    "names for a flag": b"seed: {a: 1}\n",
    "a flag that is none": b"sead: 1\n",
    "a date": b"seed: 2020-01-01\n",
    "true for a number": b"epochs: true\n",
    "nothing for a number": b"epochs:\n",
    "NaN": b"learning_rate: .nan\n",
    "infinity": b"warmup_epochs: .inf\n",
    "a number for a method": b"method: 5\n",
    "a fraction": b"epochs: 1.5\n",
    "bytes": b"seed: !!binary aGVsbG8=\n",
    "a set": b"seed: !!set {a, b}\n",
    "a tab": b"seed:\n\t- 1\n",
    "two documents": b"seed: 1\n---\nseed: 2\n",
    "control characters": b"method: \"\\e[31m\"\n",
    "a number as a name": b"5: 1\n",
    "a list as a name": b"? [a]\n: 1\n",
    "a long number": b"seed: " + b"9" * 5000 + b"\n",
}  # fmt: skip


def cases() -> Iterator[Case]:
    """Flags one at a time, whole lines, files of flags."""
    for flag, values in FLAGS.items():
        for value in values:
            yield Case("flags", f"train {flag} {value:.40}", command(*TRAIN, *_others(flag), flag, value))
    for flag, values in FINE.items():
        for value in values:
            name = f"train {flag} {value:.40}"
            yield Case("flags", name, command(*TRAIN, *_others(flag), flag, value), "fine")
    for flag, values in COMPARISON.items():
        for value in values:
            yield Case("flags", f"compare {flag} {value:.40}", command(*COMPARE, *QUICK, flag, value))
    for value in ("-1", "0", "1.5", "x", BIG, "100000"):
        line = ("train", "images", "--epochs", "1", "--out", "out", "--image-size", value)
        yield Case("flags", f"train --image-size {value}", command(*line, given=(write_images,)))
    for whole in WHOLE:
        given = (
            (write_run,)
            if "run" in whole or "run/test.npz" in whole or "run/run.json" in whole
            else (write_table,)
        )
        line = (*whole, *(QUICK if whole and whole[0] == "train" else ()))
        name = " ".join(whole)[:60] or "nothing"
        expected = "either" if whole in ((), ("analyze", "."), ("train", "."), ("train", "..")) else "line"
        yield Case("command lines", name, command(*line, given=given), expected)  # type: ignore[arg-type]
    for name, content in YAML.items():
        config = (write_table, files({"c.yaml": content}))
        line = (*TRAIN, "--network", "mlp-4", "--config", "c.yaml")
        expected = "either" if name in ("two documents", "nothing for a number") else "line"
        yield Case("configuration", name, command(*line, given=config), expected)  # type: ignore[arg-type]
    for name in ("", ".", "nowhere.yaml", "/dev/null/x"):
        yield Case("configuration", f"--config {name!r}", command(*TRAIN, "--config", name))
    yield Case("configuration", "--config without a name", command(*TRAIN, "--config"))
    empty = (write_table, files({"c.yaml": b"# nothing\n"}))
    yield Case(
        "configuration", "only a comment", command(*TRAIN, *QUICK, "--config", "c.yaml", given=empty), "fine"
    )


def _others(flag: str) -> tuple[str, ...]:
    """The quick network and one epoch, unless the flag is one of these."""
    return tuple(
        word
        for name, value in zip(QUICK[::2], QUICK[1::2], strict=True)
        if name != flag
        for word in (name, value)
    )
