"""Sources as labelled arrays, long-tailed subsamples, splits and augmentation."""

from midmix.data.augment import crop_flip
from midmix.data.features import LabelledFeatures, load_features
from midmix.data.grouped import Grouped, load_grouped
from midmix.data.hierarchy import Hierarchy
from midmix.data.labelled import Inputs, Labelled, LazyInputs, Source
from midmix.data.load import from_arrays, load, place_of
from midmix.data.long_tail import Profile, long_tailed, profile_counts
from midmix.data.splits import split_hash, validation_split
from midmix.data.unlabelled import Unlabelled, load_unlabelled

__all__ = [
    "Grouped",
    "Hierarchy",
    "Inputs",
    "Labelled",
    "LabelledFeatures",
    "LazyInputs",
    "Profile",
    "Source",
    "Unlabelled",
    "crop_flip",
    "from_arrays",
    "load",
    "load_features",
    "load_grouped",
    "load_unlabelled",
    "long_tailed",
    "place_of",
    "profile_counts",
    "split_hash",
    "validation_split",
]
