"""Lists of images, published splits by their names, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from midmix.data import load
from midmix.data.images import LazyImages
from midmix.data.long_tail import profile_counts
from midmix.data.published import PUBLISHED, check_test, check_train
from midmix.errors import InputError


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Images of one colour, `all/KIND NUMBER.png`, with lists of them."""
    (tmp_path / "all").mkdir()
    lines = []
    for number in range(8):
        file = io.BytesIO()
        Image.new("RGB", (5, 5), (number, 0, 0)).save(file, "PNG")
        name = f"all/pet {number}.png"
        (tmp_path / name).write_bytes(file.getvalue())
        lines.append((name, number % 2))
    (tmp_path / "train.txt").write_text("".join(f"{name} {label}\n" for name, label in lines[:6]) + "\n")
    (tmp_path / "test.txt").write_text("\r\n".join(f"{name}\t{label}" for name, label in lines[6:]))
    return tmp_path


def test_a_list_beside_its_images(pets: Path) -> None:
    source = load(pets / "train.txt", list_test=str(pets / "test.txt"))
    assert (source.train.classes, len(source.test)) == (("0", "1"), 2)
    assert source.train.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert source.train.inputs[:, 0, 0, 0].tolist() == list(range(6))
    assert source.test.inputs[:, 0, 0, 0].tolist() == [6, 7]
    assert source.notes == ("test split: the list test.txt",)
    assert len(load(pets / "train.txt", test_fraction=0.34).test) == 2


def test_a_root_of_its_own_and_names_as_labels(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "lists"
    elsewhere.mkdir()
    (elsewhere / "a.txt").write_text("pet 0.png dog\npet 1.png cat\npet 2.png dog\npet 3.png cat\n")
    source = load(elsewhere / "a.txt", root=str(pets / "all"), image_size=3, lazy=True)
    assert source.train.classes == ("cat", "dog")
    assert isinstance(source.train.inputs, LazyImages)
    monkeypatch.chdir(elsewhere)
    again = load("a.txt", root="../all", lazy=True, image_size=3)
    assert again.reading == source.reading  # whole paths, wherever it was read from
    assert again.train.inputs[torch.arange(2)].equal(source.train.inputs[torch.arange(2)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no images"),
        ("all/pet.png\n", r"line 1: 'all/pet.png' is not a path and a label"),
        ("all/a.png 0\n\nb\n", "line 3: 'b' is not"),
        ("/etc/passwd 0\n", "'/etc/passwd' leads out of the folder of images"),
        ("all/../../b.png 0\n", "leads out of the folder"),
        ("nothing.png 0\nall/x.png 1\n", r"first image, 'nothing.png', is not in .*--root"),
    ],
)
def test_what_is_wrong_with_a_list_is_said(pets: Path, text: str, said: str) -> None:
    (pets / "wrong.txt").write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        load(pets / "wrong.txt")
    assert "\n" not in str(caught.value)


def test_other_refusals(pets: Path) -> None:
    (pets / "latin.txt").write_bytes("all/é.png 0\n".encode("latin-1"))
    with pytest.raises(InputError, match="is not UTF-8"):
        load(pets / "latin.txt")
    with pytest.raises(InputError, match="cannot be read"):
        load(pets / "train.txt", list_test=str(pets / "none.txt"))
    with pytest.raises(InputError, match="is the list of training images itself"):
        load(pets / "train.txt", list=str(pets / "train.txt"))
    with pytest.raises(InputError, match="leave out options on columns"):
        load(pets / "train.txt", label="x")
    (pets / "all").rename(pets / "a")
    with pytest.raises(InputError, match="is no list of images; leave out --list"):
        load(pets, root=str(pets))


@pytest.mark.parametrize(("name", "most"), [("cifar10-lt", 5000), ("cifar100-lt", 500)])
def test_published_counts_of_cifar_are_those_of_the_profile(name: str, most: int) -> None:
    known = PUBLISHED[name]
    for ratio, (rows, largest, smallest) in zip((100, 50, 10), known.train, strict=True):
        counts = profile_counts(most, known.classes, imbalance_ratio=ratio)
        assert (sum(counts), max(counts), min(counts)) == (rows, largest, smallest)


@pytest.mark.parametrize("name", PUBLISHED)
def test_numbers_of_a_published_split_are_seen_to(name: str) -> None:
    known = PUBLISHED[name]
    rows, largest, smallest = known.train[0]
    middle = np.full(known.classes, (rows - largest - smallest) // (known.classes - 2))
    middle[0], middle[-1] = largest, smallest
    middle[1 : 1 + rows - middle.sum()] += 1
    labels = np.repeat(np.arange(known.classes), middle)
    assert f"as published: {rows:,} rows" in check_train(name, Path("train.txt"), labels)
    for wrong in (labels[:-1], labels[1:], np.where(labels == 1, 0, labels)):
        with pytest.raises(InputError, match=rf"train.txt has .*; published are {rows:,} rows"):
            check_train(name, Path("train.txt"), wrong)
    check_test(name, Path("test.txt"), known.test[0])
    with pytest.raises(InputError, match="published test lists have"):
        check_test(name, Path("test.txt"), 7)


def test_a_published_split_by_its_usual_lists(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"give the list .*put ImageNet_LT_train.txt and ImageNet_LT_test.txt into"
    ):
        load("imagenet-lt", root=str(tmp_path))
    with pytest.raises(
        InputError, match=r"cifar10-lt: give the list of its training images with --list FILE"
    ):
        load("cifar10-lt", root=str(tmp_path))
    (tmp_path / "a.jpg").write_bytes(b"")
    known = PUBLISHED["places-lt"]
    counts = np.full(365, 157)
    counts[0], counts[-1] = 4980, 5
    counts[1] += known.train[0][0] - counts.sum()
    lines = "".join("a.jpg " + str(label) + "\n" for label in np.repeat(np.arange(365), counts))
    (tmp_path / "Places_LT_train.txt").write_text(lines)
    tests = "".join(f"a.jpg {label}\n" for label in range(365) for _ in range(100))
    (tmp_path / "Places_LT_test.txt").write_text(tests)
    source = load("places-lt", root=str(tmp_path), image_size=224)
    assert (len(source.train), len(source.test)) == (62_500, 36_500)
    assert source.notes[0].startswith(
        "as published: 62,500 rows of 365 classes, 4,980 to 5 a class (Liu et al. 2019"
    )
    (tmp_path / "Places_LT_train.txt").write_text(lines + "a.jpg 3\n")
    with pytest.raises(InputError, match=r"has 62,501 rows of 365 classes.* name it as the source"):
        load("places-lt", root=str(tmp_path))
