"""The class-balanced sampler against a plain loop, and what each of several processes gets of it."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from midmix.errors import InputError
from midmix.training import ClassBalancedSampler

LABELS = [2, 0, 0, 4, 0, 2, 0, 0]  # classes 1 and 3 have no rows


def naive(labels, every, seed, epoch):
    """The whole sequence, a draw at a time."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    present = sorted(set(labels))
    chosen, uniforms = torch.rand(2, every, generator=generator, dtype=torch.float64)
    classes = [present[int(float(u) * len(present))] for u in chosen]
    rows = {k: [row for row, label in enumerate(labels) if label == k] for k in present}
    return [rows[k][int(u * len(rows[k]))] for k, u in zip(classes, uniforms, strict=True)]


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("num_samples", [None, 1, 50])
def test_processes_share_one_sequence_without_a_draw_in_common(processes, num_samples):
    samplers = [
        ClassBalancedSampler(LABELS, num_samples, seed=3, rank=rank, processes=processes)
        for rank in range(processes)
    ]
    for epoch in range(3):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        drawn = [list(sampler) for sampler in samplers]
        lengths = {len(rows) for rows in drawn} | {len(sampler) for sampler in samplers}
        assert len(lengths) == 1, "as many steps on each, or they would wait for one another for ever"
        assert lengths.pop() * processes - (num_samples or 8) in range(processes)
        together = [rows[place] for place in range(len(drawn[0])) for rows in drawn]
        assert together == naive(LABELS, len(together), 3, epoch)


def test_classes_are_equally_likely_and_so_are_the_rows_of_one(generator):
    labels = torch.cat([torch.full((count,), k) for k, count in enumerate([1000, 100, 10, 1])])
    rows = torch.tensor(list(ClassBalancedSampler(labels, 40_000)))
    counts = torch.bincount(labels[rows])
    # Binomial(40000, 1/4): a standard deviation of 87.
    assert (counts - 10_000).abs().max() < 5 * 87
    of_class_two = torch.bincount(rows[labels[rows] == 2] - 1100, minlength=10)
    assert (of_class_two - 1000).abs().max() < 5 * 30


def test_epochs_and_seeds_differ_and_repeat():
    def drawn(seed, epoch):
        sampler = ClassBalancedSampler(LABELS, 30, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    sequences = {(seed, epoch): tuple(drawn(seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(set(sequences.values())) == 16
    assert sequences[2, 3] == tuple(drawn(2, 3))


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    list(ClassBalancedSampler(LABELS))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("num_samples", [12, 13])
def test_a_plain_loop_gets_the_draws_of_one_epoch_after_the_other(num_samples, drop_last):
    labels = torch.tensor(LABELS)
    sampler = ClassBalancedSampler(labels, num_samples, seed=3)
    loader = DataLoader(
        TensorDataset(torch.arange(len(labels))), batch_size=4, sampler=sampler, drop_last=drop_last
    )
    whole = num_samples // 4 * 4 if drop_last else num_samples
    for epoch in range(3):
        drawn = [int(row) for (batch,) in loader for row in batch]
        assert drawn == naive(LABELS, num_samples, 3, epoch)[:whole]
        assert sampler.epoch == epoch + 1


def test_a_pass_that_was_left_early_is_taken_again():
    sampler = ClassBalancedSampler(LABELS, 30)
    assert next(iter(sampler)) == next(iter(sampler))
    assert sampler.epoch == 0


def test_an_interrupted_epoch_that_has_gone_on_leads_to_a_whole_one():
    sampler = ClassBalancedSampler(LABELS, 30, seed=1)
    sampler.set_epoch(4, start=25)
    assert list(sampler) == naive(LABELS, 30, 1, 4)[25:]
    assert list(sampler) == naive(LABELS, 30, 1, 5)


def test_an_epoch_that_is_set_in_the_midst_of_a_pass_comes_next():
    sampler = ClassBalancedSampler(LABELS, 30, seed=1)
    rows = iter(sampler)
    next(rows)
    sampler.set_epoch(7)
    list(rows)
    assert list(sampler) == naive(LABELS, 30, 1, 7)


@pytest.mark.parametrize("start", [0, 1, 7, 15])
def test_an_interrupted_epoch_goes_on(start):
    sampler = ClassBalancedSampler(LABELS, 30, rank=1, processes=2)
    sampler.set_epoch(5)
    whole = list(sampler)
    sampler.set_epoch(5, start=start)
    assert len(sampler) == 15 - start
    assert list(sampler) == whole[start:]


def test_it_serves_a_data_loader():
    labels = torch.tensor(LABELS)
    loader = DataLoader(TensorDataset(labels), batch_size=4, sampler=ClassBalancedSampler(labels, 12))
    assert [len(batch) for (batch,) in loader] == [4, 4, 4]


@pytest.mark.parametrize(
    ("labels", "options", "said"),
    [
        ([], {}, "labels: one whole number"),
        ([0, -1], {}, "labels: one whole number"),
        ([0.5], {}, "labels: one whole number"),
        ([[0], [1]], {}, "labels: one whole number"),
        ([0, 1], {"num_samples": 0}, "num_samples: 0"),
        ([0, 1], {"rank": 2, "processes": 2}, "rank: 2 of 2 processes; ranks go from 0 to 1"),
        ([0, 1], {"processes": 0}, "rank: 0 of 0 processes"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(labels, options, said):
    with pytest.raises(InputError, match=said):
        ClassBalancedSampler(labels, **options)


def test_a_start_beyond_the_epoch_is_refused():
    with pytest.raises(InputError, match="start: 9; this process has 8 draws"):
        ClassBalancedSampler(LABELS).set_epoch(0, start=9)
