"""Losses that compare two views of each row: where views come from, what is learnt, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from midmix.data import autoaugment, crop_flip, cutout, jitter
from midmix.errors import InputError
from midmix.methods import Method
from midmix.models import build
from midmix.training import Run
from midmix.training.augment import prepare_loss
from midmix.training.run import check_runs
from midmix.training.step import can_divide, mixed_step

NAMES = ("supcon", "bcl", "proco")


@pytest.fixture
def noisy(short):
    return replace(short, augment="noise")


@pytest.mark.parametrize("name", NAMES)
def test_without_an_augmentation_it_is_refused_before_anything_is_written(name, blobs, short, start):
    with pytest.raises(InputError, match="both are the same; use augment noise"):
        start(blobs, short, f"erm+{name}")
    runs = [Run(Method.parse(f"mixup+{name}"), seed=0, settings=short)]
    with pytest.raises(InputError, match=rf"^mixup\+{name}: loss: compares two views"):
        check_runs(runs, blobs)
    check_runs([replace(runs[0], settings=replace(short, augment="noise"))], blobs)


@pytest.mark.parametrize("line", ["erm", "mixup", "balanced-am-mixup:clean_weight=1", "manifold-mixup"])
@pytest.mark.parametrize("name", NAMES)
def test_divided_or_by_hooks_the_loss_and_its_slopes_are_the_same(line, name, generator, seed):
    x, y = torch.randn(23, 6, generator=generator), torch.randint(4, (23,), generator=generator)
    second = x + 0.1 * torch.randn(23, 6, generator=generator)
    found = []
    for divided in (True, False):
        method = Method.parse(f"{line}+{name}")
        model, loss = build("mlp-16-8", (6,), 4, seed=0), method.make_loss()
        prepare_loss(loss, model, 4, classifier=None, augmented=True, seed=0)
        mix = method.make_mix(4, [9, 8, 5, 1]).attach(model, loss=loss)
        draws = torch.Generator().manual_seed(seed)
        divided = divided and can_divide(model, mix)
        stepped, _ = mixed_step(model, mix, x, y, loss, divided=divided, second=second, generator=draws)
        total = stepped.loss
        total.backward()
        found.append([total.detach(), *(p.grad for p in (*model.parameters(), *loss.parameters()))])
        mix.remove()
    for one, other in zip(*found, strict=True):
        assert other.abs().sum() > 0
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("line", ["erm+proco", "mixup+supcon", "manifold-mixup+bcl"])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(line, blobs, noisy, start, tmp_path):
    whole = start(blobs, noisy, line, folder=tmp_path / "whole")
    first = [parameter.detach().clone() for parameter in whole.loss.parameters()]
    whole.run()
    assert first
    for before, after in zip(first, whole.loss.parameters(), strict=True):
        assert not torch.equal(before, after)
    seen = 0

    def stop() -> bool:
        nonlocal seen
        seen += 1
        return seen == 7

    with pytest.raises(KeyboardInterrupt):
        start(blobs, noisy, line, folder=tmp_path / "broken", stop=stop).run()
    torch.manual_seed(99)  # what was drawn elsewhere is of no account
    again = start(blobs, noisy, line, folder=tmp_path / "broken")
    again.run()
    for one, other in ((whole.model, again.model), (whole.loss, again.loss)):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize("name", NAMES)
def test_the_term_changes_what_the_encoder_learns(name, blobs, noisy, start):
    found = []
    for weight in (0.0, 1.0):
        fit = start(blobs, noisy, f"erm+{name}:weight={weight}")
        fit.run()
        found.append(fit.model.hidden[0][0].weight.detach())
    assert (found[0] - found[1]).abs().max() > 1e-3


def test_two_views_of_images(pictures, short, start):
    settings = replace(short, network="resnet-8", width=4, augment="crop-flip", epochs=1)
    fit = start(pictures, settings, "mixup+supcon")
    history = fit.run()
    assert torch.tensor(history[-1]["train_loss"]).isfinite()
    with pytest.raises(
        InputError,
        match=r"noise is for features; random-resized-crop or flip or crop-flip or .* is for images",
    ):
        start(pictures, replace(settings, augment="noise"), "erm")


def test_noise_is_a_tenth_of_each_features_deviation(blobs, noisy, start, generator):
    fit = start(blobs, noisy, "erm")
    rows = blobs.train.inputs
    noise = torch.stack([fit.augment(rows, generator) - rows for _ in range(200)])
    expected = rows.std(dim=0, correction=0)
    torch.testing.assert_close(noise.std(dim=(0, 1)) / expected, torch.full((6,), 0.1), rtol=0.05, atol=0)
    assert torch.equal(jitter(rows, generator, deviation=expected, share=0.0), rows)
    assert not torch.equal(fit.augment(rows, generator), fit.augment(rows, generator))


def test_augmentations_of_images_are_done_one_after_the_other(pictures, short, start):
    settings = replace(short, network="resnet-8", width=4)
    fit = start(pictures, replace(settings, augment="crop-flip+autoaugment+cutout"), "erm")
    rows = pictures.train.inputs[torch.arange(8)]
    found = fit.augment(rows, torch.Generator().manual_seed(2))
    generator = torch.Generator().manual_seed(2)
    inputs = pictures.train.inputs[torch.arange(len(pictures.train))]
    fill = inputs.double().mean((0, 2, 3)).round()
    assert found.equal(cutout(autoaugment(crop_flip(rows, generator), generator), generator, fill=fill))
    assert start(pictures, replace(settings, augment="none"), "erm").augment is None


@pytest.mark.parametrize("augment", ["crop-flip", "autoaugment", "crop-flip+cutout"])
def test_augmentations_of_images_are_refused_for_features(augment, blobs, short, start):
    with pytest.raises(InputError, match=r"is for images; noise is for features \(--augment\), or none"):
        start(blobs, replace(short, augment=augment), "erm")
