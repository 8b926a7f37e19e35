"""One call for every source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from torch import Tensor

from midmix.data.arrays import part_from_arrays
from midmix.data.assemble import assemble
from midmix.data.builtin import BUILTIN
from midmix.data.files import FILE_SUFFIXES, read_directory, read_file
from midmix.data.hub import is_hub_name, read_hub
from midmix.data.labelled import Source
from midmix.data.options import Options
from midmix.data.part import Part
from midmix.errors import InputError


def load(
    source: str | Path,
    *,
    label: str | None = None,
    features: str | Sequence[str] | None = None,
    image: str | None = None,
    test_fraction: float | None = None,
    image_size: int | None = None,
    skip_broken: bool = False,
    seed: int = 0,
    split: bool = True,
) -> Source:
    """Labelled training and test data of a source.

    A source is

    - `digits`: scikit-learn's handwritten digits, which need no network;
    - a folder of images, `class/…`, or `train/class/…` beside `test/class/…`;
    - a Parquet, CSV or NPZ file, or a folder with `train` and `test` files of one of these;
    - a data set on the Hugging Face Hub, `owner/name` or `owner/name:configuration`.

    Where a source has no test split, a share of every class is drawn as one; a class of one row is an
    error then, while in a source with its own test split it is just a very rare class. What exists on
    the disk is never taken for a name on the Hub, and only a name on the Hub is ever downloaded
    (`datasets` keeps it in its cache).

    Args:
        source: name or path.
        label: column or array of the labels; `None` finds `label` or `labels`.
        features: column or columns of the features; `None` takes every column but the label that
            holds numbers, or lists of numbers as embeddings are.
        image: column of the images; `None` finds the only column of image bytes.
        test_fraction: share of the rows that becomes the test split where the source has none; `None` is 0.2.
        image_size: side in pixels of the square that images are scaled and cropped to.
        skip_broken: leave out images that cannot be decoded, and note how many, instead of stopping.
        seed: draws the test split where the source has none.
        split: whether to draw it. Without, all rows of such a source are test rows, to measure a model by, and none
            are there to train on; built-in sets have theirs always.

    Returns:
        The source; `.notes` has a line for everything that was chosen for the user.

    Raises:
        InputError: one line that says what is wrong, where, and what to do.

    Example:
        >>> digits = load("digits")
        >>> digits.train.shape, digits.train.kind, digits.train.classes[:3]
        ((64,), 'features', ('0', '1', '2'))
        >>> len(digits.train), len(digits.test)
        (1078, 719)
    """
    columns = (features,) if isinstance(features, str) else tuple(features or ()) or None
    options = Options(
        label=label,
        features=columns,
        image=image,
        test_fraction=test_fraction,
        image_size=image_size,
        skip_broken=skip_broken,
        seed=seed,
    )
    name = str(source)
    found = assemble(name, *read(name, options), split=split or name in BUILTIN)
    reading = {
        **asdict(options),
        "features": None if columns is None else list(columns),
        "source": place_of(name),
    }
    del reading["coarse"]  # of `load_grouped`
    return replace(found, reading=reading)


def place_of(source: str) -> str:
    """One text for a source, however its path is written: the whole path of a file or folder, else the name.

    Example:
        >>> place_of("digits"), place_of("./src") == place_of("src/")
        ('digits', True)
    """
    path = Path(source).expanduser()
    return str(path.resolve()) if source not in BUILTIN and path.exists() else source


def read(name: str, options: Options) -> tuple[Part, Part | None, Options]:
    """The rows of a source as they stand in it, and how to assemble them: what `load` begins with."""
    path = path_of(name)
    if name in BUILTIN:
        if options != Options():
            raise InputError(
                f"{name}: is always the same; leave out options on columns, images and the test split"
            )
        return BUILTIN[name]()
    if name and path.is_dir():  # an empty name would be the current folder
        return *read_directory(path, options), options
    if path.is_file():
        return *read_file(path, options), options
    if is_hub_name(name) and not path.parent.exists() and path.suffix.lower() not in FILE_SUFFIXES:
        return *read_hub(name, options), options
    raise unknown_source(name, path)


def from_arrays(
    x: np.ndarray | Tensor,
    y: np.ndarray | Tensor | Sequence[object],
    x_test: np.ndarray | Tensor | None = None,
    y_test: np.ndarray | Tensor | Sequence[object] | None = None,
    *,
    classes: Sequence[str] | None = None,
    test_fraction: float | None = None,
    seed: int = 0,
    name: str = "arrays",
) -> Source:
    """A source of arrays in memory.

    Args:
        x: features, numbers `[N, D]`, or images `uint8 [N, 3, H, W]`, `[N, H, W, 3]` or grey `[N, H, W]`.
        y: class indices or class names, `[N]`.
        x_test: test inputs; without them a share of every class is drawn as the test split.
        y_test: their labels.
        classes: names of the classes, where the labels are indices.
        test_fraction: share of the rows that becomes the test split where there is none; `None` is 0.2.
        seed: draws that test split.
        name: what messages and results call the source.

    Raises:
        InputError: lengths or shapes differ, or labels or features are not what they should be; see `load`.

    Example:
        >>> source = from_arrays(np.eye(4), ["dog", "cat", "dog", "cat"], test_fraction=0.5)
        >>> source.train.classes, source.train.counts().tolist(), source.test.counts().tolist()
        (('cat', 'dog'), [1, 1], [1, 1])
    """
    if (x_test is None) != (y_test is None):
        raise InputError(f"{name}: a test split needs both x_test and y_test")
    train = part_from_arrays(x, y, where=name, classes=classes)
    test = None
    if x_test is not None and y_test is not None:
        test = part_from_arrays(x_test, y_test, where=f"{name} (test)", classes=classes)
    return assemble(name, train, test, Options(test_fraction=test_fraction, seed=seed))


def path_of(name: str) -> Path:
    """The path that a name is, whether there is anything or not.

    Raises:
        InputError: the system takes no such path.
    """
    try:
        path = Path(name).expanduser()
        path.exists()
    except (
        OSError,
        RuntimeError,
    ) as error:  # too long, not to be looked into, or the home of an unknown user
        reason = error.strerror if isinstance(error, OSError) else error
        shown = f"{name[:60]}…" if len(name) > 60 else name
        raise InputError(f"{shown!r}: cannot be looked up on the disk ({reason}); check the name") from None
    return path


def unknown_source(name: str, path: Path) -> InputError:
    """The error for a name that is no source, with the nearest built-in names and files."""
    nearby = list(path.parent.iterdir()) if path.parent.is_dir() else []
    known = [
        *BUILTIN,
        *(str(entry) for entry in nearby if entry.is_dir() or entry.suffix.lower() in FILE_SUFFIXES),
    ]
    near = get_close_matches(name, known, n=3, cutoff=0.6)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    return InputError(
        f"unknown source {name!r}: {hint}A source is {', '.join(BUILTIN)}, a folder or file (Parquet, CSV, NPZ), "
        "or a Hugging Face data set, owner/name"
    )
