"""Sources as labelled arrays, long-tailed subsamples, splits and augmentation."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from midmix.data.augment import crop_flip, cutout, jitter
from midmix.data.autoaugment import autoaugment
from midmix.data.crops import random_resized_crop
from midmix.data.dataset import (
    Encoding,
    Inputs,
    LabelColumn,
    Labelled,
    LazyInputs,
    RawSource,
    RawSplit,
    Source,
    names_of,
)
from midmix.data.features import LabelledFeatures, load_features
from midmix.data.hierarchy import Grouped, Hierarchy, load_grouped
from midmix.data.load import from_arrays, load, place_of
from midmix.data.long_tail import Profile, Ranks, long_tailed, profile_counts
from midmix.data.options import Options
from midmix.data.photographic import color_jitter, randaugment
from midmix.data.readers import READERS, Place, Reader
from midmix.data.redraw import Splits, redrawn
from midmix.data.split import split_hash, validation_split
from midmix.data.tables.column import TableColumn
from midmix.data.unlabelled import Unlabelled, load_unlabelled
from midmix.data.views import ViewCount, check_views, views_of

if TYPE_CHECKING:
    from midmix.data.tables.estimator import TablePreparation
    from midmix.data.tables.preparation import Preparation

__all__ = [
    "READERS",
    "Encoding",
    "Grouped",
    "Hierarchy",
    "Inputs",
    "LabelColumn",
    "Labelled",
    "LabelledFeatures",
    "LazyInputs",
    "Options",
    "Place",
    "Preparation",
    "Profile",
    "Ranks",
    "RawSource",
    "RawSplit",
    "Reader",
    "Source",
    "Splits",
    "TableColumn",
    "TablePreparation",
    "Unlabelled",
    "ViewCount",
    "autoaugment",
    "check_views",
    "color_jitter",
    "crop_flip",
    "cutout",
    "from_arrays",
    "jitter",
    "load",
    "load_features",
    "load_grouped",
    "load_unlabelled",
    "long_tailed",
    "names_of",
    "place_of",
    "profile_counts",
    "randaugment",
    "random_resized_crop",
    "redrawn",
    "split_hash",
    "validation_split",
    "views_of",
]

_LATER = {"Preparation": "preparation", "TablePreparation": "estimator"}
"""Imported when they are asked for, with scikit-learn."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f"midmix.data.tables.{_LATER[name]}"), name)
    raise AttributeError(f"module 'midmix.data' has no attribute {name!r}")
