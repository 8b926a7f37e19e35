"""Stratified draws and their hash."""

from __future__ import annotations

import hashlib

import pytest
import torch

from midmix.data import split_hash, validation_split
from midmix.data.split import draw_per_class
from midmix.errors import InputError


def test_rows_of_each_class_are_held_out_and_none_is_lost() -> None:
    labels = torch.arange(4).repeat_interleave(torch.tensor([100, 30, 7, 2]))[torch.randperm(139)]
    train, held_out = validation_split(labels, fraction=0.1, seed=0)
    assert labels[held_out].bincount().tolist() == [10, 3, 1, 1]
    assert torch.cat([train, held_out]).sort().values.equal(torch.arange(139))
    assert (train.diff() > 0).all()
    assert (held_out.diff() > 0).all()


def test_a_class_of_one_row_stays_in_training() -> None:
    labels = torch.tensor([0, 1, 0, 0])
    train, held_out = validation_split(labels, fraction=0.9, seed=0)
    assert labels[train].tolist().count(1) == 1
    assert labels[train].tolist().count(0) == 1  # and no class is held out whole
    assert len(held_out) == 2


def test_a_gap_in_the_labels_is_no_matter() -> None:
    train, held_out = validation_split(torch.tensor([0, 2, 2, 0]), fraction=0.5, seed=0)
    assert len(train) == len(held_out) == 2


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        validation_split(torch.tensor([0, 1]), fraction=fraction, seed=0)


def test_the_seed_decides() -> None:
    labels = torch.arange(3).repeat(50)
    one, again, other = (validation_split(labels, fraction=0.2, seed=seed)[1] for seed in (1, 1, 2))
    assert one.equal(again)
    assert not one.equal(other)


def test_draw_takes_what_it_is_asked_for() -> None:
    labels = torch.randint(0, 5, (200,), generator=torch.Generator().manual_seed(0))
    quota = torch.tensor([0, 1, 5, 20, 3])
    drawn = draw_per_class(labels, quota, seed=7)
    assert labels[drawn].bincount(minlength=5).equal(quota)
    assert len(drawn.unique()) == quota.sum()


def test_hash_is_sha256_of_lengths_and_indices() -> None:
    def word(number: int) -> bytes:
        return number.to_bytes(8, "little")

    expected = hashlib.sha256(word(2) + word(3) + word(500) + word(0)).hexdigest()[:16]
    assert split_hash(torch.tensor([3, 500]), torch.tensor([], dtype=torch.int64)) == expected
    assert split_hash(torch.tensor([3, 500], dtype=torch.int32), torch.tensor([])) == expected


def test_hash_tells_order_and_parts_apart() -> None:
    a, b = torch.tensor([0, 1]), torch.tensor([2])
    assert len({split_hash(a, b), split_hash(b, a), split_hash(torch.cat([a, b])), split_hash(a)}) == 4
