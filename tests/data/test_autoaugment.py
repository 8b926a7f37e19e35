"""AutoAugment's operations against torchvision's and PIL's, its draws against the policy, and Cutout's squares."""

from __future__ import annotations

from collections import Counter
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from midmix.data import autoaugment, cutout
from midmix.data.autoaugment import OPERATIONS, POLICY, SIGNED, strengths
from midmix.errors import InputError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> Tensor:
    """Smooth, noisy, flat and two-coloured ones, not square."""
    noise = torch.randint(256, (12, 3, 20, 32), generator=seeded(), dtype=torch.uint8)
    ramp = (torch.arange(32) * 5 + 40).to(torch.uint8).expand(1, 3, 20, 32)
    narrow = torch.randint(90, 120, (4, 3, 20, 32), generator=seeded(1), dtype=torch.uint8)
    flat = torch.full((1, 3, 20, 32), 77, dtype=torch.uint8)
    halves = torch.zeros(1, 3, 20, 32, dtype=torch.uint8)
    halves[..., 10:] = 255
    return torch.cat([noise, ramp, narrow, flat, halves])


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    module: ModuleType = pytest.importorskip("torchvision.transforms.autoaugment")
    return module


def their_name(name: str) -> str:
    """Theirs for ours: TranslateX for translate_x."""
    return "AutoContrast" if name == "autocontrast" else name.title().replace("_", "")


def test_the_policy_and_its_strengths_are_torchvisions(theirs):
    policy = theirs.AutoAugment(theirs.AutoAugmentPolicy.CIFAR10)
    assert len(POLICY) == 25
    for ours, pair in zip(POLICY, policy.policies, strict=True):
        for (name, probability, level), (given, their_probability, their_level) in zip(
            ours, pair, strict=True
        ):
            assert (their_name(name), probability) == (given, their_probability)
            assert their_level in (None, level)
    space = policy._augmentation_space(10, (20, 32))
    for name in OPERATIONS:
        magnitudes, signed = space[their_name(name)]
        assert signed == (name in SIGNED)
        if magnitudes.ndim:
            expected = magnitudes.int() if name.startswith("translate") else magnitudes
            torch.testing.assert_close(strengths(name, 20, 32), expected.float())


@pytest.mark.parametrize(
    ("name", "sign"),
    [(name, sign) for name in sorted(OPERATIONS) for sign in (1, -1)[: 1 + (name in SIGNED)]],
)
def test_operations_are_torchvisions(name, sign, theirs, images):
    for level in range(10):
        strength = float(strengths(name, 20, 32)[level]) * sign
        if name.startswith(("shear", "rotate")):
            strength *= 1.0013  # a little off, so that no point lies on the edge of two pixels
        expected = theirs._apply_op(
            images, their_name(name), strength, theirs.InterpolationMode.NEAREST, None
        )
        found = OPERATIONS[name](images, torch.full((len(images),), strength))
        assert found.dtype == torch.uint8
        off = (found.int() - expected.int()).abs()
        # A fraction is dropped, and a sum that is all but whole may be on either side of it.
        assert off.max() <= (not name.startswith(("shear", "rotate", "translate"))), level


@pytest.mark.parametrize(
    ("name", "reference"),
    [("autocontrast", ImageOps.autocontrast), ("equalize", ImageOps.equalize), ("invert", ImageOps.invert)],
)
def test_operations_by_table_are_pils(name, reference, images):
    found = OPERATIONS[name](images, torch.zeros(len(images)))
    for image, ours in zip(images, found, strict=True):
        expected = np.asarray(reference(Image.fromarray(image.permute(1, 2, 0).numpy())))
        assert np.abs(ours.permute(1, 2, 0).numpy().astype(int) - expected).max() <= (name == "autocontrast")


def test_each_row_has_its_own_strength(images):
    strength = torch.linspace(-0.9, 0.9, len(images))
    for name, operation in OPERATIONS.items():
        given = strength if name in SIGNED else strengths(name, 20, 32)[torch.arange(len(images)) % 10]
        if name.startswith("translate"):
            given = (given * 10).trunc()
        rows = torch.cat([operation(images[i : i + 1], given[i : i + 1]) for i in range(len(images))])
        assert rows.equal(operation(images, given)), name


def test_operations_are_drawn_with_their_probability_and_go_either_way(monkeypatch):
    """Operations that write down whose turn it was, and which way, and leave the images as they are."""
    calls: Counter[str] = Counter()
    ways: Counter[str] = Counter()
    for name in OPERATIONS:

        def count(rows: Tensor, strength: Tensor, name: str = name) -> Tensor:
            calls[name] += len(rows)
            ways[name] += int((strength > 0).sum())
            return rows

        monkeypatch.setitem(OPERATIONS, name, count)
    rows = 20_000
    autoaugment(torch.zeros(rows, 3, 1, 1, dtype=torch.uint8), seeded(3))
    for name in OPERATIONS:
        share = sum(chance for pair in POLICY for given, chance, _ in pair if given == name) / len(POLICY)
        assert calls[name] / rows == pytest.approx(share, abs=0.007), (
            name
        )  # three standard deviations and more
        if name in SIGNED and calls[name] and not name.startswith("translate"):  # of one pixel it is by none
            assert 0.4 < ways[name] / calls[name] < 0.6 or name == "color", name
    assert ways["color"] / calls["color"] < 0.5  # one of its five levels is 0


def test_the_generator_decides_the_input_is_untouched_and_bytes_stay_bytes(images):
    before, state = images.clone(), torch.random.get_rng_state()
    for augment in (autoaugment, cutout):
        first = augment(images, seeded(5))
        assert first.equal(augment(images, seeded(5)))
        assert not first.equal(augment(images, seeded(6)))
        assert first.dtype == torch.uint8
        assert first.shape == images.shape
    assert images.equal(before)
    assert torch.random.get_rng_state().equal(state)
    last = images.contiguous(memory_format=torch.channels_last)
    assert autoaugment(last, seeded(5)).equal(autoaugment(images, seeded(5)))


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (1, 3, 1, 1), (7, 3, 2, 5)])
def test_any_batch_and_size(shape):
    rows = torch.zeros(shape, dtype=torch.uint8)
    for seed in range(20):
        assert autoaugment(rows, seeded(seed)).shape == shape
    assert cutout(rows, seeded()).shape == shape


def test_other_pixels_are_refused():
    with pytest.raises(InputError, match="autoaugment needs pixels of 8 bits"):
        autoaugment(torch.zeros(1, 3, 4, 4), seeded())


def test_cutout_takes_one_square_filled_as_asked():
    images = torch.full((3000, 3, 32, 32), 200, dtype=torch.uint8)
    out = cutout(images, seeded(), fill=torch.tensor([10, 20, 30]))
    gone = out[:, 0] == 10
    assert (out.permute(0, 2, 3, 1)[gone] == torch.tensor([10, 20, 30], dtype=torch.uint8)).all()
    assert (out.permute(0, 2, 3, 1)[~gone] == 200).all()
    height, width = gone.any(2).sum(1), gone.any(1).sum(1)
    assert (gone.sum((1, 2)) == height * width).all()  # a rectangle
    assert [int(height.min()), int(height.max()), int(width.max())] == [8, 16, 16]
    # A centre in 0 … 31 leaves a side of 16 or, at the border, 8 to 15: the mean of both sides by a plain count.
    side = np.mean([min(c + 8, 32) - max(c - 8, 0) for c in range(32)])
    assert float(gone.float().mean()) == pytest.approx((side / 32) ** 2, rel=0.02)


def test_cutout_covers_every_pixel_of_the_middle_equally_often():
    out = cutout(torch.ones(20_000, 1, 8, 8), seeded(2), size=2)
    share = (out[:, 0] == 0).float().mean(0)
    assert share[:7, :7].sub(4 / 64).abs().max() < 0.008
