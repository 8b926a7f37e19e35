"""Crop and flip against a naive loop over the images."""

from __future__ import annotations

import pytest
import torch

from midmix.data import crop_flip


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def every_view(image: torch.Tensor, padding: int, flip: bool) -> dict[bytes, tuple[int, int, bool]]:
    """All crops that one image can have, by their pixels, cut out in a plain loop."""
    channels, height, width = image.shape
    padded = torch.zeros(channels, height + 2 * padding, width + 2 * padding, dtype=image.dtype)
    padded[:, padding : padding + height, padding : padding + width] = image
    views = {}
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            crop = padded[:, top : top + height, left : left + width]
            for mirrored in (False, True)[: 1 + flip]:
                view = crop.flip(-1) if mirrored else crop
                views[view.contiguous().numpy().tobytes()] = (top, left, mirrored)
    return views


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("flip", [False, True])
def test_each_image_becomes_one_of_its_crops(dtype: torch.dtype, flip: bool) -> None:
    images = torch.randint(1, 200, (40, 3, 6, 5), generator=seeded()).to(dtype)
    out = crop_flip(images, seeded(1), padding=2, flip=flip)
    assert out.dtype == dtype
    assert out.shape == images.shape
    found = [
        every_view(a.short(), 2, flip)[b.short().numpy().tobytes()] for a, b in zip(images, out, strict=True)
    ]
    assert len(set(found)) > 15  # drawn for each image, not once for the batch
    assert {mirrored for _, _, mirrored in found} == ({False, True} if flip else {False})


def test_every_crop_is_drawn_equally_often() -> None:
    image = torch.randint(1, 255, (3, 4, 4), generator=seeded(), dtype=torch.uint8)
    views = every_view(image, 1, True)
    out = crop_flip(image.expand(9000, -1, -1, -1), seeded(2), padding=1)
    counts = dict.fromkeys(views.values(), 0)
    for crop in out:
        counts[views[crop.numpy().tobytes()]] += 1
    assert len(counts) == 18
    assert min(counts.values()) > 400  # 500 expected, standard deviation 22
    assert max(counts.values()) < 600


def test_without_padding_and_flip_nothing_changes() -> None:
    images = torch.randint(0, 255, (3, 3, 4, 4), generator=seeded(), dtype=torch.uint8)
    assert crop_flip(images, seeded(), padding=0, flip=False).equal(images)


def test_the_generator_decides_and_the_input_is_untouched() -> None:
    images = torch.randint(0, 255, (8, 3, 8, 8), generator=seeded(), dtype=torch.uint8)
    before = images.clone()
    state = torch.random.get_rng_state()
    first = crop_flip(images, seeded(5))
    assert first.equal(crop_flip(images, seeded(5)))
    assert not first.equal(crop_flip(images, seeded(6)))
    assert images.equal(before)
    assert torch.random.get_rng_state().equal(state)


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_any_batch_size(rows: int) -> None:
    assert crop_flip(torch.zeros(rows, 3, 4, 4), seeded()).shape == (rows, 3, 4, 4)


def test_channels_last_images_give_the_same_crops() -> None:
    images = torch.randint(0, 255, (8, 3, 8, 8), generator=seeded(), dtype=torch.uint8)
    rows_last = images.contiguous(memory_format=torch.channels_last)
    assert crop_flip(images, seeded(1)).equal(crop_flip(rows_last, seeded(1)))
