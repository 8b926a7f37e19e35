"""Whether a record, a checkpoint or a folder is another run's: the rows that were seen, and what is said otherwise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from midmix.data import Hierarchy, Labelled
from midmix.data.texts import TextRows
from midmix.training.settings import Settings

LAZY_ROWS = 16
"""Rows that are decoded for a digest, where all would be too many."""
_LATER = ("train_rows", "validation_rows", "test_rows", "groups", "class_names")
"""What files from before it was written down do not say."""


def rows_digest(data: Labelled) -> str:
    """Number of rows, and the first 16 hex digits of SHA-256 over their labels and inputs.

    Of inputs that are decoded on access, some rows evenly spread stand for all.

    Example:
        >>> rows_digest(Labelled(torch.zeros(2, 3), torch.tensor([0, 1]), ("cat", "dog")))
        '2 rows, sha256 174c34cc57b8b691'
    """
    digest = hashlib.sha256(_bytes(data.labels))
    if isinstance(data.inputs, Tensor):
        digest.update(_bytes(data.inputs))
    elif isinstance(data.inputs, TextRows):
        for row in range(len(data)):
            digest.update(hashlib.sha256(data.inputs.content(row)).digest())
    elif len(data):
        places = {place * (len(data) - 1) // (LAZY_ROWS - 1) for place in range(LAZY_ROWS)}
        digest.update(_bytes(data.inputs[torch.tensor(sorted(places))]))
    return f"{len(data)} rows, sha256 {digest.hexdigest()[:16]}"


def names_digest(classes: Sequence[str]) -> str:
    """Number of classes, and the first 16 hex digits of SHA-256 over their names.

    Example:
        >>> names_digest(("cat", "dog")) == names_digest(("dog", "cat"))
        False
    """
    return f"{len(classes)} names, sha256 {hashlib.sha256(json.dumps([*classes]).encode()).hexdigest()[:16]}"


def groups_digest(groups: Hierarchy) -> str:
    """Numbers of classes and groups, and the first 16 hex digits of SHA-256 over which is in which."""
    members = hashlib.sha256(json.dumps([*groups.fine, *groups.group.tolist()]).encode()).hexdigest()
    return f"{len(groups.fine)} classes in {len(groups.coarse)} groups, sha256 {members[:16]}"


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """What a file says of a run and what we would say, where the two differ: one text for each name.

    A setting that a file does not name came later than the file, and stood at its default, as test splits did, one for
    all seeds. Rows that it does not name were not written down in its time; they are not held against it.

    Example:
        >>> differences({"epochs": 5}, {"epochs": 6, "optimizer": "sgd", "train_rows": "2 rows"})
        ['epochs is 5 there and 6 here']
    """
    unsaid = {
        **Settings().as_dict(),
        "splits": "fixed",
        **{name: ours[name] for name in _LATER if name in ours},
    }
    theirs = {**{name: value for name, value in unsaid.items() if name in ours}, **theirs}
    return [
        f"{name} is {theirs.get(name)!r} there and {ours.get(name)!r} here"
        for name in {**ours, **theirs}
        if theirs.get(name) != ours.get(name)
    ]


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy()
