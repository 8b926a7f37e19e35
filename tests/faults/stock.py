"""What the cases begin with: a table, a folder of images, a finished run, a finished comparison; each made once."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tests.faults.attempts import Call, Case, attempt

from midmix.cli.app import run
from midmix.data.readers.reader import readers
from midmix.losses import LOSSES
from midmix.methods.baselines import BASELINES
from midmix.methods.stages import STAGES
from midmix.mixing.recipes import RECIPES

QUICK = ("--network", "mlp-4", "--epochs", "1")
ONE = ("--methods", "erm", "--seeds", "1", "--jobs", "1")


def table_text() -> str:
    """Three classes of 20, 12 and 8 rows of two features."""
    draw = np.random.default_rng(0)
    labels = np.repeat(["cat", "dog", "emu"], [20, 12, 8])
    rows = draw.normal(size=(40, 2)) + np.repeat([[0, 0], [3, 0], [0, 3]], [20, 12, 8], axis=0)
    return "\n".join(
        ["a,b,label", *(f"{x:.3f},{y:.3f},{name}" for (x, y), name in zip(rows, labels, strict=True))]
    )


def mixed_text() -> str:
    """Two classes of 40 rows: an age with holes, and one of two cities."""
    rows = [
        f"{'' if n % 9 == 0 else 20 + n},{'Oslo' if n % 3 else 'Rome'},{'no' if n % 2 else 'yes'}"
        for n in range(80)
    ]
    return "\n".join(["age,city,label", *rows])


def write_table(folder: Path) -> None:
    (folder / "t.csv").write_text(table_text())


def write_images(folder: Path) -> None:
    """Two classes of six images, 6 × 6."""
    draw = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(6):
            pixels = draw.integers(0, 255, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{number}.png")


def _made(arguments: Sequence[str]) -> Path:
    """A folder in which a command on the table has done its work."""
    place = Path(tempfile.mkdtemp(prefix="midmix-faults-"))

    def prepare(folder: Path) -> Call:
        write_table(folder)
        (folder / "mixed.csv").write_text(mixed_text())
        return lambda: run(list(arguments))

    def keep(folder: Path, printed: str) -> None:
        shutil.copytree(folder, place / "kept")

    outcome = attempt(Case("stock", arguments[0], prepare, "fine", check=keep), place / "made")
    if not outcome.kind.good:
        raise RuntimeError(str(outcome))
    return place / "kept"


@cache
def _run_folder() -> Path:
    return _made(("train", "t.csv", "--method", "am-mixup", *QUICK, "--out", "run"))


@cache
def _mixed_run_folder() -> Path:
    return _made(("train", "mixed.csv", *QUICK, "--out", "run"))


@cache
def _comparison_folder() -> Path:
    return _made(("compare", "t.csv", *ONE, *QUICK, "--out", "comparison"))


def write_run(folder: Path) -> None:
    """The table, and in `run` what `train` made of it."""
    shutil.copytree(_run_folder(), folder, dirs_exist_ok=True)


def write_mixed_run(folder: Path) -> None:
    """A table of numbers and words, with holes, and in `run` what `train` made of it."""
    shutil.copytree(_mixed_run_folder(), folder, dirs_exist_ok=True)


def write_comparison(folder: Path) -> None:
    """The table, and in `comparison` what `compare` made of it."""
    shutil.copytree(_comparison_folder(), folder, dirs_exist_ok=True)


def clean() -> None:
    """Removes what was made once."""
    for made in (_run_folder, _mixed_run_folder, _comparison_folder):
        if made.cache_info().currsize:
            shutil.rmtree(made().parent)
        made.cache_clear()


def files(contents: Mapping[str, bytes | str]) -> Callable[[Path], None]:
    """Writes these files."""

    def write(folder: Path) -> None:
        for name, content in contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def command(
    *arguments: str, given: Sequence[Callable[[Path], None]] = (write_table,)
) -> Callable[[Path], Call]:
    """A command line, called in a folder with what is given."""

    def prepare(folder: Path) -> Call:
        for write in given:
            write(folder)
        return lambda: run(list(arguments))

    return prepare


IMPORTED = (
    "midmix.cli.analyze", "midmix.cli.compare", "midmix.cli.evaluate", "midmix.cli.methods", "midmix.cli.predict",
    "midmix.cli.refit", "midmix.cli.train", "midmix.cli.transfer", "midmix.decisions", "midmix.deploy",
    "midmix.integrations.sklearn", "midmix.reports", "accelerate", "datasets", "huggingface_hub",
    "joblib.externals.loky", "matplotlib.pyplot", "pyarrow.csv", "pyarrow.pandas_compat", "pyarrow.parquet",
    "rich._emoji_codes", "scipy.ndimage", "scipy.stats", "sklearn.discriminant_analysis", "sklearn.ensemble",
    "sklearn.linear_model", "sklearn.model_selection", "sklearn.neighbors", "torch._dynamo", "torch.onnx",
)  # fmt: skip


def warm() -> None:
    """Imports what the attempts need, so that each begins at once; and computes nothing, for threads do not fork."""
    for name in IMPORTED:
        importlib.import_module(name)
    STAGES.names(), BASELINES.names(), LOSSES.names(), RECIPES.names(), readers()
    torch.set_num_threads(1)
