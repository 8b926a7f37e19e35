"""Random parts of images against torchvision's, RandAugment and colour jitter against their parts."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from midmix.data import color_jitter, randaugment, random_resized_crop
from midmix.data.autoaugment import SIGNED, strengths
from midmix.data.crops import DRAWS, crop_box, row_draws, scaled
from midmix.data.encoded import decode, decode_part
from midmix.data.photographic import RANDAUGMENT
from midmix.errors import InputError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photo(height: int, width: int, seed: int = 0) -> Image.Image:
    """Smooth, as photos are."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def part_of(data: bytes, size: tuple[int, int], draws: list[float]) -> np.ndarray:
    return scaled(decode_part(data, size=size, draws=draws), size)[0].numpy()


def jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.mark.parametrize("size", [(100, 100), (40, 90), (90, 40), (20, 400), (400, 20), (1, 1), (1, 50)])
def test_boxes_lie_inside_and_spread_as_torchvisions(size):
    theirs = pytest.importorskip("torchvision.transforms.v2").RandomResizedCrop(8)
    height, width = size
    ours = [crop_box(height, width, draws) for draws in row_draws(3, 0, 2000).tolist()]
    for top, left, tall, wide in ours:
        assert 0 <= top <= height - tall < height
        assert 0 <= left <= width - wide < width
    torch.manual_seed(0)
    image = torch.empty(3, height, width, dtype=torch.uint8)
    found = [theirs.make_params([image]) for _ in range(2000)]
    expected = torch.tensor([[box[name] for name in ("top", "left", "height", "width")] for box in found])
    means = torch.tensor(ours, dtype=torch.float64).mean(0), expected.double().mean(0)
    error = expected.double().std(0) * math.sqrt(2 / 2000)
    assert bool(((means[0] - means[1]).abs() <= 4.5 * error + 1e-9).all())


def test_a_part_is_what_pillow_and_torchvision_make_of_it():
    data = jpeg(photo(90, 120))
    draws = row_draws(5, 0, 20)
    for own in draws.tolist():
        top, left, tall, wide = crop_box(90, 120, own)
        part = Image.open(io.BytesIO(data)).crop((left, top, left + wide, top + tall))
        expected = np.asarray(part.resize((64, 64), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        found = part_of(data, (64, 64), own)
        assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size():
    image = photo(640, 800)
    data = jpeg(image)
    for own in row_draws(6, 0, 10).tolist():
        top, left, tall, wide = crop_box(640, 800, own)
        part = image.crop((left, top, left + wide, top + tall)).resize((32, 32), Image.Resampling.BILINEAR)
        found = part_of(data, (32, 32), own).transpose(1, 2, 0).astype(int)
        assert (
            np.abs(found - np.asarray(part).astype(int)).mean() < 8
        )  # a box's corner moves by less than a pixel
        assert part_of(data, (200, 300), own).shape == (3, 200, 300)


def test_draws_of_a_place_are_the_same_however_places_are_cut():
    whole = row_draws(1, 0, 50)
    assert whole.shape == (50, DRAWS)
    assert np.array_equal(np.concatenate([row_draws(1, at, 7) for at in range(0, 49, 7)]), whole[:49])
    assert len(np.unique(whole)) == whole.size
    assert not np.isin(whole, row_draws(2, 0, 50)).any()


def test_images_in_memory_are_cropped_by_the_same_rule():
    images = torch.randint(256, (5, 3, 20, 30), generator=seeded(), dtype=torch.uint8)
    before = images.clone()
    found = random_resized_crop(images, seeded(1))
    assert images.equal(before)
    draws = torch.rand((5, DRAWS), generator=seeded(1), dtype=torch.float64).tolist()
    for row, own in enumerate(draws):
        top, left, tall, wide = crop_box(20, 30, own)
        part = images[row : row + 1, :, top : top + tall, left : left + wide]
        assert found[row].equal(scaled(part, (20, 30))[0])
    assert found.equal(random_resized_crop(images, seeded(1)))
    assert not found.equal(random_resized_crop(images, seeded(2)))


def test_strengths_of_randaugment_are_torchvisions():
    theirs = pytest.importorskip("torchvision.transforms.autoaugment").RandAugment()
    space = theirs._augmentation_space(31, (224, 200))
    assert len(space) == len(RANDAUGMENT)
    for name in RANDAUGMENT[1:]:
        known = "AutoContrast" if name == "autocontrast" else name.title().replace("_", "")
        magnitudes, signed = space[known]
        assert signed == (name in SIGNED)
        if magnitudes.ndim:
            expected = magnitudes.int() if name.startswith("translate") else magnitudes
            torch.testing.assert_close(strengths(name, 224, 200, 31), expected.float())


def test_randaugment_draws_every_operation_and_leaves_its_input():
    images = torch.randint(256, (600, 3, 9, 9), generator=seeded(), dtype=torch.uint8)
    before = images.clone()
    once = randaugment(images, seeded(3), times=1)
    assert images.equal(before)
    drawn = torch.randint(len(RANDAUGMENT), (1, 600), generator=seeded(3))[0]
    assert set(drawn.tolist()) == set(range(len(RANDAUGMENT)))
    assert once[drawn == 0].equal(images[drawn == 0])
    changed = (once != images).flatten(1).any(1)
    assert changed[(drawn > 0) & (drawn < 6)].float().mean() > 0.9
    assert not randaugment(images, seeded(3)).equal(once)


def test_colour_jitter_is_torchvisions_for_one_image_and_spreads_as_it_should():
    theirs = pytest.importorskip("torchvision.transforms.v2.functional")
    image = torch.randint(256, (1, 3, 12, 12), generator=seeded(), dtype=torch.uint8)
    for seed in range(8):
        draws = seeded(seed)
        order = torch.rand((1, 3), generator=draws).argsort(1)[0]
        factor = 0.6 + 0.8 * torch.rand((1, 3), generator=draws)[0]
        expected = image
        for number in order.tolist():
            adjust = (theirs.adjust_brightness, theirs.adjust_contrast, theirs.adjust_saturation)[number]
            expected = adjust(expected, float(factor[number]))
        off = (color_jitter(image, seeded(seed)).int() - expected.int()).abs()
        assert off.max() <= 2
    white = torch.full((2000, 3, 1, 1), 100, dtype=torch.uint8)
    seen = color_jitter(white, seeded()).float()[:, 0].flatten()
    assert seen.min() < 62
    assert seen.max() > 138
    assert abs(float(seen.mean()) - 100) < 2


@pytest.mark.parametrize("augment", [randaugment, color_jitter])
def test_pixels_of_other_kinds_are_refused(augment):
    with pytest.raises(InputError, match="needs pixels of 8 bits"):
        augment(torch.rand(2, 3, 4, 4), seeded())


def test_a_broken_image_says_why():
    data = jpeg(photo(40, 40))
    for wrong, why in ((b"", "empty"), (b"<html>", "not an image"), (data[:200], ".")):
        with pytest.raises(ValueError, match=why):
            decode_part(wrong, size=(8, 8), draws=[0.5] * DRAWS)
    assert decode(data, size=(8, 8)).shape == (8, 8, 3)
