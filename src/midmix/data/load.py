"""One call for every source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
from torch import Tensor

from midmix.data.arrays import part_from_arrays
from midmix.data.assemble import assemble
from midmix.data.dataset import RawSource, Source
from midmix.data.options import OptionKeywords, Options
from midmix.data.readers.reader import place_at, reader_of, readers
from midmix.errors import InputError


def load(source: str | Path, *, split: bool = True, **options: Unpack[OptionKeywords]) -> Source:
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
        split: whether to draw it. Without, all rows of such a source are test rows, to measure a model by, and none
            are there to train on; built-in sets have theirs always.
        **options: the fields of `Options`, which says what they mean; `features` may be one name.

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
    chosen = Options.of(**options)
    name = str(source)
    found = assemble(name, read(name, chosen), chosen, split=split)
    reading = {**chosen.record(), "source": place_of(name)}
    del reading["coarse"]  # of `load_grouped`
    return replace(found, reading=reading)


def place_of(source: str) -> str:
    """One text for a source, however its path is written: the whole path of a file or folder, else the name.

    Example:
        >>> place_of("digits"), place_of("./src") == place_of("src/")
        ('digits', True)
    """
    path = Path(source).expanduser()
    known = {name for reader in readers() for name in reader.names}
    return str(path.resolve()) if source not in known and path.exists() else source


def read(name: str, options: Options) -> RawSource:
    """The rows of a source as they stand in it: what `load` begins with."""
    place = place_at(name)
    return reader_of(place).read(place, options)


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
    return assemble(name, RawSource(train, test), Options(test_fraction=test_fraction, seed=seed))
