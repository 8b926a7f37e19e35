"""Data sets on the Hugging Face Hub, by name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from midmix.data.dataset import RawSource
from midmix.data.encoded import Encoded
from midmix.data.options import Options
from midmix.data.readers.reader import READERS, Place, Reader, readers, unknown_source
from midmix.data.readers.table import is_unlabelled, part_of_table
from midmix.data.split import TEST_NAMES
from midmix.errors import InputError

_NAME = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")
_PROBE_SECONDS = 10.0


@READERS.register(name="hub")
class Hub(Reader):
    """Names that are not on the disk, nor look like a file of a folder that is."""

    order = 100
    what = "a Hugging Face data set, owner/name"

    def takes(self, place: Place) -> bool:
        """Whether it is such a name; nothing is asked of the network yet."""
        suffixes = [suffix for reader in readers() for suffix in reader.suffixes]
        path = place.path
        return (
            is_hub_name(place.name)
            and not path.exists()
            and not path.parent.exists()
            and place.suffix not in suffixes
        )

    def read(self, place: Place, options: Options) -> RawSource:
        """The training and test rows."""
        return read_hub(place.name, options)

    def read_inputs(self, place: Place, options: Options, shape: tuple[int, ...]) -> Tensor | Encoded:
        """Nothing: what is predicted is on the disk."""
        raise unknown_source(place)


def is_hub_name(name: str) -> bool:
    """Whether this has the form `owner/name` or `owner/name:configuration`.

    Example:
        >>> is_hub_name("uoft-cs/cifar10"), is_hub_name("nyu-mll/glue:cola"), is_hub_name("./cifar10.csv")
        (True, True, False)
    """
    return _NAME.fullmatch(name) is not None and not name.startswith(".")


def read_hub(name: str, options: Options) -> RawSource:
    """Training and test rows of a data set on the Hub; downloads it, unless it is in the cache of `datasets`.

    The test rows are the split `test`, or where that has no labels, or is missing, `validation`.

    Raises:
        InputError: there is no network, no such data set or configuration, or no training split.
    """
    import datasets
    from huggingface_hub.constants import HF_HUB_CACHE

    repository, _, configuration = name.partition(":")
    _probe(repository)
    try:
        loaded = datasets.load_dataset(repository, configuration or None)
    except ConnectionError:
        raise _unreachable(repository) from None
    except (ValueError, RuntimeError, OSError, datasets.exceptions.DatasetsError) as error:
        raise InputError(
            f"{name}: not loaded from the Hugging Face Hub: {' '.join(str(error).split())} "
            "(a configuration is named owner/name:configuration)"
        ) from None

    # Images stay encoded in the files that `datasets` maps into memory.
    tables = {
        split: data.data.table.replace_schema_metadata(data.features.arrow_schema.metadata)
        for split, data in loaded.items()
    }
    if "train" not in tables:
        raise InputError(f"{name}: has no split named train, only {', '.join(tables)}")
    # Images that only have a path lie where the download was put.
    folders = (
        Path(datasets.config.HF_CACHE_HOME),
        Path(datasets.config.HF_DATASETS_CACHE),
        Path(HF_HUB_CACHE),
    )
    train = part_of_table(tables["train"], options, where=f"{name}, train", folders=folders)
    for split in TEST_NAMES:
        if split in tables and not is_unlabelled(tables[split], options, where=f"{name}, {split}"):
            notes = () if split == "test" else (f"test split: the split {split}",)
            test = part_of_table(
                tables[split], options, where=f"{name}, {split}", like=train, folders=folders
            )
            return RawSource(replace(train, notes=(*train.notes, *notes)), test)
    return RawSource(train)


def _probe(repository: str) -> None:
    """Ask the Hub once, because `datasets` tries for half a minute before it gives up."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        HfApi().dataset_info(repository, timeout=_PROBE_SECONDS)
    except OfflineModeIsEnabled:
        return  # the user asked for the cached copy
    except GatedRepoError:
        raise InputError(
            f"{repository}: ask for access on huggingface.co/datasets/{repository}, then log in with hf auth login"
        ) from None
    except RepositoryNotFoundError:
        raise InputError(
            f"unknown source {repository!r}: nothing on the disk and no public data set on the Hugging Face Hub has "
            "this name; check it, or for a private one log in with hf auth login"
        ) from None
    except HfHubHTTPError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{repository}: the Hugging Face Hub answers with an error ({reason}); try again later"
        ) from None
    except Exception:  # the client's transport library, and its errors, change between releases
        raise _unreachable(repository) from None


def _unreachable(repository: str) -> InputError:
    return InputError(
        f"{repository}: nothing on the disk has this name, and the Hugging Face Hub cannot be reached; connect to the "
        "network, set HF_HUB_OFFLINE=1 to use the copy of an earlier download, or give a folder or file"
    )
