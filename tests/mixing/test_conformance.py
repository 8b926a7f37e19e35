"""The conformance test finds what is broken, each fault by its own law, and our own mixers keep every law."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import midmix
from midmix.conformance import Mixer, check_mixer, of_mix

K = 300
# Remix and MAMix move labels off the content, RegMixup has a clean term, and the probe tells rows by their channels.
APART = {"remix", "mamix", "regmixup", "h2t"}
PLAIN = [name for name in midmix.recipes() if name not in APART]


def answer(images: Tensor) -> Tensor:
    return F.pad(images.flatten(2).square().mean(2), (0, K))


@pytest.mark.parametrize("name", PLAIN)
def test_our_mixers_keep_every_law(name):
    mix = midmix.recipe(name, K, class_counts=list(range(1, K + 1)))
    mix.observe(accuracy=0.5)
    for finding in check_mixer(of_mix(mix, answer), rounds=8):
        assert finding.held, str(finding)


def blended(images: Tensor, labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    other = torch.randperm(len(labels))
    hard = F.one_hot(labels, K).float()
    return share * images + (1 - share) * images[other], share * hard + (1 - share) * hard[other]


def good(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return blended(images, labels, float(torch.rand(())))


def exchanged(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    other, hard = torch.randperm(len(labels)), F.one_hot(labels, K).float()
    return 0.8 * images + 0.2 * images[other], 0.2 * hard + 0.8 * hard[other]


def not_clipped(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    other, hard = torch.randperm(len(labels)), F.one_hot(labels, K).float()
    mixed = images.clone()
    mixed[..., 12:20, 12:20] = images[other][..., 12:20, 12:20]  # beyond the edge
    share = 1 - 64 / 256
    return mixed, share * hard + (1 - share) * hard[other]


def in_place(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    mixed, targets = good(images, labels)
    images.copy_(mixed)
    return images, targets


def in_bfloat16(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return good(images, labels.to(images.dtype).long().clamp_max(K - 1))


def even_only(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    if len(labels) % 2:
        raise ValueError("Batch size should be even")
    return good(images, labels)


def too_much(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    mixed, targets = good(images, labels)
    return mixed, 1.1 * targets


def of_its_own(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return blended(images, labels, random.SystemRandom().random())


def smaller(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    mixed, targets = exchanged(images, labels)
    return mixed, F.one_hot(targets.argmax(1), K).float()


def test_a_good_mixer_keeps_every_law():
    assert all(finding.held for finding in check_mixer(good))


@pytest.mark.parametrize(
    ("mixer", "broken", "says"),
    [
        (exchanged, "content and label agree", "owner and partner are exchanged"),
        (not_clipped, "content and label agree", "a label's share is wrong by up to 0.19"),
        (smaller, "content and label agree", "a label's share is wrong by up to 0.30"),
        (in_place, "nothing is changed in place", "the caller's images are changed"),
        (in_bfloat16, "bfloat16 keeps labels", "labels that no row had"),
        (even_only, "odd batches", "raises ValueError: Batch size should be even"),
        (too_much, "targets sum to 1", "error 1.0e-01"),
        (of_its_own, "the same seed, the same again", "two runs from one seed differ"),
    ],
)
def test_each_fault_is_found_by_its_law(mixer: Mixer, broken: str, says: str):
    findings = {finding.law: finding for finding in check_mixer(mixer)}
    assert not findings[broken].held
    assert says in findings[broken].says
    assert findings[broken].says in str(findings[broken])


def test_global_generators_are_put_back():
    before = torch.get_rng_state(), random.getstate()
    check_mixer(good, rounds=2)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
