"""Long-tailed splits that papers share: how many rows they have, and whether a list is one of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from midmix.errors import InputError


@dataclass(frozen=True)
class Published:
    """A published split.

    Attributes:
        classes: how many.
        train: rows, rows of the largest class and rows of the smallest; several where it has several ratios.
        test: rows of its test and validation lists.
        lists: what the lists are usually called.
        source: who says so.
    """

    classes: int
    train: tuple[tuple[int, int, int], ...]
    test: tuple[int, ...]
    lists: tuple[str, ...]
    source: str


PUBLISHED = {
    "imagenet-lt": Published(
        1000,
        ((115_846, 1280, 5),),
        (50_000, 20_000),
        ("ImageNet_LT_train.txt", "ImageNet_LT_test.txt"),
        "Liu et al. 2019, arXiv 1904.05160",
    ),
    "places-lt": Published(
        365,
        ((62_500, 4980, 5),),
        (36_500, 7_300),
        ("Places_LT_train.txt", "Places_LT_test.txt"),
        "Liu et al. 2019, arXiv 1904.05160",
    ),
    "inaturalist-2018": Published(
        8142,
        ((437_513, 1000, 2),),
        (24_426,),
        ("iNaturalist18_train.txt", "iNaturalist18_val.txt"),
        "Van Horn et al. 2018, arXiv 1707.06642, and the challenge of 2018",
    ),
    "cifar10-lt": Published(
        10,
        ((12_406, 5000, 50), (13_996, 5000, 100), (20_431, 5000, 500)),
        (10_000,),
        (),
        "Cao et al. 2019, arXiv 1906.07413, ratios 100, 50 and 10",
    ),
    "cifar100-lt": Published(
        100,
        ((10_847, 500, 5), (12_608, 500, 10), (19_573, 500, 50)),
        (10_000,),
        (),
        "Cao et al. 2019, arXiv 1906.07413, ratios 100, 50 and 10",
    ),
}


def check_train(name: str, path: Path, labels: np.ndarray) -> str:
    """Sees that the labels of a list are those of a published split, by their numbers; a note that they are.

    Raises:
        InputError: they are not; with what was found and what is published.

    Example:
        >>> import pathlib
        >>> labels = np.repeat(np.arange(10), [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50])
        >>> check_train("cifar10-lt", pathlib.Path("train.txt"), labels)
        'as published: 12,406 rows of 10 classes, 5,000 to 50 a class (Cao et al. 2019, ...)'
    """
    known = PUBLISHED[name]
    counts = np.unique(labels, return_counts=True)[1]
    found = (len(labels), int(counts.max()), int(counts.min()))
    if len(counts) == known.classes and found in known.train:
        return f"as published: {_shown(len(counts), found)} ({known.source})"
    published = ", or ".join(_shown(known.classes, one) for one in known.train)
    raise InputError(
        f"{name}: {path} has {_shown(len(counts), found)}; published are {published} ({known.source}); to use the list "
        "as it is, name it as the source"
    )


def check_test(name: str, path: Path, rows: int) -> None:
    """Sees that a test list has as many rows as a published one.

    Raises:
        InputError: it has not.
    """
    known = PUBLISHED[name]
    if rows not in known.test:
        published = " or ".join(f"{one:,}" for one in known.test)
        raise InputError(
            f"{name}: {path} has {rows:,} rows; published test lists have {published} ({known.source}); to use "
            "the list as it is, name that of the training images as the source"
        )


def _shown(classes: int, numbers: tuple[int, int, int]) -> str:
    rows, largest, smallest = numbers
    return f"{rows:,} rows of {classes:,} classes, {largest:,} to {smallest:,} a class"
