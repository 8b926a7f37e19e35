"""Archives of images: labels beside them or by folder, shards and splits, and what is refused."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from midmix.data import load, load_unlabelled
from midmix.data.images import LazyImages
from midmix.errors import InputError


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (5, 5), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def write(path: Path, parts: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in parts.items():
            part = tarfile.TarInfo(name)
            part.size = len(content)
            archive.addfile(part, io.BytesIO(content))
    return path


def samples(first: int, count: int) -> dict[str, bytes]:
    """As WebDataset writes them: an image, its class and something else, by key."""
    found: dict[str, bytes] = {}
    for number in range(first, first + count):
        found |= {f"{number:06d}.png": png(number), f"{number:06d}.cls": f"{number % 2}\n".encode()}
        found[f"{number:06d}.json"] = b"{}"
    return found


def test_shards_of_two_splits(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00002.tar", samples(0, 3))
    write(tmp_path / "train-00001-of-00002.tar", samples(3, 4))
    write(tmp_path / "test.tar", samples(7, 2))
    source = load(tmp_path)
    assert source.train.classes == ("0", "1")
    assert source.train.labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert source.train.inputs[:, 0, 0, 0].tolist() == list(range(7))
    assert source.test.inputs[:, 0, 0, 0].tolist() == [7, 8]
    lazy = load(tmp_path, lazy=True, image_size=4)
    assert isinstance(lazy.train.inputs, LazyImages)
    assert lazy.train.inputs[torch.tensor([6, 0])][:, 0, 0, 0].tolist() == [6, 0]


def test_folders_are_classes_and_a_broken_image_has_its_name(tmp_path: Path) -> None:
    parts = {f"{name}/{number}.png": png(number) for name in ("dog", "cat") for number in range(3)}
    path = write(tmp_path / "pets.tar", {**parts, "dog/.hidden.png": b"", "read me.txt": b"x"})
    assert load(path).train.classes == ("cat", "dog")
    assert len(load_unlabelled(path, shape=(3, 5, 5))) == 6
    write(path, {**parts, "dog/9.png": b"no image"})
    with pytest.raises(InputError, match=r"'pets.tar: dog/9.png: not an image'"):
        load(path)
    assert "left out 1 of 7" in load(path, skip_broken=True).notes[0]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"a.txt": b"x"}, "holds no images"),
        ({"a.png": png(0)}, r"a.tar: a.png: has no label; put a.cls beside it"),
        ({"a.png": png(0), "a.cls": b""}, "has no label"),
    ],
)
def test_what_is_wrong_with_an_archive_is_said(tmp_path: Path, parts: dict[str, bytes], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(write(tmp_path / "a.tar", parts))


def test_archives_that_cannot_be_read_here_and_there_are_refused(tmp_path: Path) -> None:
    for content in (b"", b"no archive at all" * 100):
        (tmp_path / "a.tar").write_bytes(content)
        with pytest.raises(InputError, match=r"a.tar: (not a readable tar|holds no images)"):
            load(tmp_path / "a.tar")
    with pytest.raises(InputError, match="if it is compressed, unpack it"):
        load(write(tmp_path / "a.tar", samples(0, 2), "w:gz"))
    with pytest.raises(InputError, match="leave out options on columns"):
        load(write(tmp_path / "a.tar", samples(0, 4)), label="x")
