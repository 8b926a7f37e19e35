"""Batches that are decoded ahead: the same bits by processes and threads, in order, and errors with a name."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from midmix.data import images, load
from midmix.data.images import LazyImages
from midmix.data.loading import Loader, Request
from midmix.errors import InputError

Writer = Callable[..., Path]


@pytest.fixture
def pets(image_folder: Writer) -> LazyImages:
    folder = image_folder({"dog": 20, "cat": 10}, height=12, width=15)
    inputs = load(folder, image_size=8, lazy=True).train.inputs
    assert isinstance(inputs, LazyImages)
    return inputs


def requests(count: int, size: int, keys: tuple[int, ...] = ()) -> list[Request]:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return [Request(rows, keys, place * size) for place, rows in enumerate(torch.split(order, size))]


def read(inputs: LazyImages, workers: int, asked: list[Request]) -> list[list[torch.Tensor]]:
    with Loader(inputs, workers=workers) as loader:
        return [[view.clone() for view in views] for views in loader.read(asked)]


@pytest.mark.parametrize("keys", [(), (5,), (5, 6)], ids=["whole", "parts", "two views"])
def test_the_number_of_workers_changes_no_bit(pets: LazyImages, keys: tuple[int, ...]) -> None:
    asked = requests(len(pets), 7, keys)
    expected = [request.read(pets) for request in asked]
    for workers in (0, 1, 3):
        found = read(pets, workers, asked)
        assert [len(views) for views in found] == [max(1, len(keys))] * len(asked)
        for views, known in zip(found, expected, strict=True):
            assert all(one.equal(other) for one, other in zip(views, known, strict=True))


def test_nor_does_the_size_of_batches_or_where_reading_begins(pets: LazyImages) -> None:
    whole = torch.cat([views[0] for views in read(pets, 0, requests(len(pets), 24, (9,)))])
    parts = [views[0] for views in read(pets, 2, requests(len(pets), 5, (9,)))]
    assert torch.cat(parts).equal(whole)
    resumed = [views[0] for views in read(pets, 2, requests(len(pets), 5, (9,))[3:])]
    assert torch.cat(resumed).equal(whole[15:])
    other = torch.cat([views[0] for views in read(pets, 0, requests(len(pets), 5, (10,)))])
    assert not other.equal(whole)


def test_workers_stay_for_the_next_epoch_and_end_with_the_loader(pets: LazyImages) -> None:
    before = {child.pid for child in multiprocessing.active_children()}
    with Loader(pets, workers=2) as loader:
        seen = []
        for _ in range(2):
            list(loader.read(requests(len(pets), 8)))
            seen.append({child.pid for child in multiprocessing.active_children()} - before)
        assert seen[0] == seen[1]
        assert len(seen[0]) == 2
        broken_off = loader.read(requests(len(pets), 8))
        next(broken_off)
        assert len(list(loader.read(requests(len(pets), 8)))) == 3
    del broken_off
    assert {child.pid for child in multiprocessing.active_children()} == before


KILLED = """
import multiprocessing, sys
import torch
from midmix.data import load
from midmix.data.loading import Loader, Request
from midmix.errors import InputError

inputs = load(sys.argv[1], image_size=8, lazy=True).train.inputs
asked = [Request(torch.tensor([0]), (), place) for place in range(600)]
with Loader(inputs, workers=1) as loader:
    batches = loader.read(asked)
    next(batches)
    (worker,) = multiprocessing.active_children()
    worker.kill()
    try:
        list(batches)
    except InputError as error:
        print(error)
"""


def test_a_worker_that_is_killed_is_told_in_a_line(image_folder: Writer) -> None:
    """In a process of its own: torch raises wherever the news of a worker's death comes, be it in another test."""
    folder = image_folder({"dog": 20, "cat": 10}, height=12, width=15)
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, folder], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    (line,) = ended.stdout.splitlines()
    assert "a process that decodes them has ended by itself" in line
    assert "--workers 0" in line


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("keys", [(), (1,)], ids=["whole", "parts"])
def test_a_broken_image_stops_with_its_name(
    image_folder: Writer, workers: int, keys: tuple[int, ...]
) -> None:
    folder = image_folder({"dog": 6, "cat": 6})
    whole = (folder / "cat" / "002.png").read_bytes()
    (folder / "cat" / "002.png").write_bytes(whole[: len(whole) // 2])
    inputs = load(folder, image_size=4, lazy=True, split=False).test.inputs
    assert isinstance(inputs, LazyImages)
    with pytest.raises(InputError, match=r"^cat/002.png: broken image \(.*--skip-broken") as caught:
        read(inputs, workers, [Request(torch.arange(12), keys)])
    assert "\n" not in str(caught.value)
    skipped = load(folder, image_size=4, lazy=True, split=False, skip_broken=True)
    assert "left out 1 of 12 images broken or empty ('cat/002.png: " in skipped.notes[0]
    assert isinstance(skipped.test.inputs, LazyImages)
    assert len(read(skipped.test.inputs, workers, [Request(torch.arange(11), keys)])[0][0]) == 11


def test_images_that_are_scaled_are_not_looked_at_before_they_are_wanted(
    image_folder: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image_folder({"dog": 3, "cat": 3})
    monkeypatch.setattr(images, "EAGER_BYTES", 0)
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no image")
    source = load(folder, image_size=8)
    assert source.train.shape == (3, 8, 8)
    with pytest.raises(InputError, match=r"broken image \(not an image\)"):
        source.train.inputs[torch.tensor([0])]


def test_a_size_that_changes_later_is_told(pets: LazyImages) -> None:
    unscaled = replace(pets, scaling=None, size=(8, 8))
    with pytest.raises(InputError, match=r"the images differ in size \(8×8, 12×15, height × width\)"):
        unscaled[torch.tensor([0, 1])]


def test_the_number_of_workers_is_checked(image_folder: Writer) -> None:
    with pytest.raises(InputError, match=r"--workers -1: 0, for threads, to 256"):
        load(image_folder({"dog": 3, "cat": 3}), workers=-1)
