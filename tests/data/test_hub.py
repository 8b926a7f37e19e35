"""Names on the Hugging Face Hub, without a network."""

from __future__ import annotations

import time
from unittest.mock import MagicMock

import datasets
import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

from midmix.data import load
from midmix.errors import InputError


def pictures(labels: list[int], names: tuple[str, ...] = ("cat", "dog")) -> datasets.Dataset:
    columns = {
        "img": [np.full((4, 4, 3), 10 * row, dtype=np.uint8) for row in range(len(labels))],
        "label": labels,
    }
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=list(names))})
    return datasets.Dataset.from_dict(columns, features=features)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A Hub that holds what a test puts in, by (name, configuration)."""
    sets: dict[str, object] = {}

    def load_dataset(name: str, configuration: str | None = None) -> object:
        found = sets[f"{name}:{configuration}" if configuration else name]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: None)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return sets


def answer(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def dataset_info(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)


def test_splits_classes_and_pixels(hub: dict[str, object]) -> None:
    hub["owner/pets"] = datasets.DatasetDict(train=pictures([0, 1, 1]), test=pictures([1, 0]))
    source = load("owner/pets")
    assert source.train.classes == ("cat", "dog")
    assert source.train.labels.tolist() == [0, 1, 1]
    assert source.test.labels.tolist() == [1, 0]
    assert source.train.inputs[torch.tensor([2])].unique().tolist() == [20]


def test_configuration(hub: dict[str, object]) -> None:
    hub["owner/pets:small"] = datasets.DatasetDict(train=pictures([0, 1, 1, 0]))
    assert len(load("owner/pets:small").train) == 2


def test_a_test_split_without_labels_gives_way_to_validation(hub: dict[str, object]) -> None:
    hub["owner/pets"] = datasets.DatasetDict(
        train=pictures([0, 1]), test=pictures([-1, -1]), validation=pictures([1, 0, 1])
    )
    source = load("owner/pets")
    assert source.test.labels.tolist() == [1, 0, 1]
    assert source.notes == ("test split: the split validation",)


def test_no_training_split(hub: dict[str, object]) -> None:
    hub["owner/pets"] = datasets.DatasetDict(test=pictures([0, 1]))
    with pytest.raises(InputError, match="owner/pets: has no split named train, only test"):
        load("owner/pets")


def test_unknown_configuration(hub: dict[str, object]) -> None:
    hub["owner/pets:big"] = ValueError("BuilderConfig 'big' not found.\nAvailable: ['small']")
    with pytest.raises(InputError, match=r"owner/pets:big: .*Available: \['small'\] \(a config") as caught:
        load("owner/pets:big")
    assert "\n" not in str(caught.value)


def test_no_network_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, OSError("Name or service not known"))
    start = time.perf_counter()
    with pytest.raises(
        InputError, match=r"owner/pets: nothing on the disk .* Hub cannot be reached; connect"
    ) as caught:
        load("owner/pets")
    assert time.perf_counter() - start < 5
    assert "\n" not in str(caught.value)


def test_offline_by_choice_without_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, OfflineModeIsEnabled("offline"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="Hub cannot be reached"):
        load("owner/pets")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RepositoryNotFoundError, "unknown source 'owner/pets': nothing on the disk and no public data set"),
        (GatedRepoError, "owner/pets: ask for access on huggingface.co/datasets/owner/pets"),
    ],
)
def test_what_the_hub_does_not_give(
    monkeypatch: pytest.MonkeyPatch, error: type[RepositoryNotFoundError], message: str
) -> None:
    answer(monkeypatch, error("no", response=MagicMock()))
    with pytest.raises(InputError, match=message):
        load("owner/pets")
