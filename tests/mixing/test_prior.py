"""The prior belongs to the owners: counted from the targets that are fed, checked against a naive simulation."""

from __future__ import annotations

import math

import pytest
import torch

import midmix
from midmix.errors import InputError
from midmix.losses import Loss, balanced_softmax
from midmix.mixing.prior import WINDOW, Prior

COUNTS = torch.tensor([400.0, 120.0, 40.0, 12.0, 4.0])
CLASSES = len(COUNTS)


def batches(generator: torch.Generator, number: int, rows: int = 64) -> list[torch.Tensor]:
    return [torch.multinomial(COUNTS, rows, replacement=True, generator=generator) for _ in range(number)]


def shares(counts: torch.Tensor) -> torch.Tensor:
    return counts / counts.sum()


@pytest.mark.parametrize("name", midmix.recipes())
def test_the_counted_prior_equals_a_loop_over_the_targets(name, generator):
    mix = midmix.recipe(name, num_classes=CLASSES)
    mix.observe(accuracy=0.8)
    targets, data = [1 / CLASSES] * CLASSES, [1 / CLASSES] * CLASSES
    for y in batches(generator, 20):
        rows = torch.rand(len(y), 1, 6, generator=generator)
        plan = mix.plan(y, generator, inputs=rows, answer=lambda x: x[:, 0, :CLASSES])
        fade = math.exp(-len(y) / WINDOW)
        targets, data = [n * fade for n in targets], [n * fade for n in data]
        for label in y.tolist():
            data[label] += 1
        for labels, weights in plan.targets:
            for label, weight in zip(labels.tolist(), weights.tolist(), strict=True):
                targets[label] += weight
    torch.testing.assert_close(plan.prior, shares(torch.tensor(targets)))
    torch.testing.assert_close(mix.prior.of_data(), shares(torch.tensor(data)))


def test_balanced_partners_and_both_owners_are_half_the_data_and_half_the_partners(generator):
    """Convergence to what a simulation from the definition gives: near-uniform in its second half."""
    mix = midmix.balanced_am_mixup(num_classes=CLASSES)
    partners = torch.zeros(CLASSES)
    for y in batches(generator, 400):
        plan = mix.plan(y, generator)
        present = y.unique()
        for label, count in zip(*y.unique(return_counts=True), strict=True):
            for other in present[present != label]:
                partners[other] += count / (len(present) - 1)
    expected = (shares(COUNTS) + shares(partners)) / 2
    torch.testing.assert_close(plan.prior, expected, atol=0.005, rtol=0.05)
    torch.testing.assert_close(mix.prior.of_data(), shares(COUNTS), atol=0.01, rtol=0.1)
    assert float(plan.prior[-1]) > 5 * float(shares(COUNTS)[-1]), (
        "the rarest class is a target far more often"
    )


def test_one_owner_has_the_prior_of_the_data(generator):
    mix = midmix.am_mixup(num_classes=CLASSES)
    for y in batches(generator, 100):
        plan = mix.plan(y, generator)
    assert plan.prior.tolist() == mix.prior.of_data().tolist()


def test_known_counts_are_the_prior_from_the_start_and_stay_that_of_the_clean_term(generator):
    mix = midmix.balanced_am_mixup(num_classes=CLASSES, class_counts=COUNTS.tolist(), clean_weight=1.0)
    torch.testing.assert_close(mix.prior.of_targets(), shares(COUNTS), atol=1e-3, rtol=0.1)
    for y in batches(generator, 50):
        plan = mix.plan(y, generator)
    torch.testing.assert_close(plan.clean.prior, shares(COUNTS + 1 / CLASSES))
    assert float(plan.prior[-1]) > 3 * float(shares(COUNTS)[-1])


def test_known_counts_of_a_mix_that_changes_them_are_left_after_a_few_batches(generator):
    """Against what was fed: large data must not need an epoch to find out that its partners are balanced."""
    counts = 1000 * COUNTS
    mix = midmix.balanced_am_mixup(num_classes=CLASSES, class_counts=counts)
    fed = torch.zeros(CLASSES)
    for y in batches(generator, 40):
        plan = mix.plan(y, generator)
        for labels, weight in plan.targets:
            fed.scatter_add_(0, labels, weight)
    torch.testing.assert_close(plan.prior.log(), shares(fed).log(), atol=0.35, rtol=0)


@pytest.mark.parametrize("name", ["erm", "am-mixup"])
def test_known_counts_are_exact_where_targets_are_the_rows_labels(name, generator):
    mix = midmix.recipe(name, num_classes=CLASSES, class_counts=COUNTS)
    for y in batches(generator, 5):
        plan = mix.plan(y, generator)
        torch.testing.assert_close(plan.prior, shares(COUNTS + 1 / CLASSES))


def test_a_class_not_seen_for_long_keeps_a_share():
    prior = Prior(3, [90, 9, 1])
    for tally in (prior.targets, prior.data):
        tally.counts[2] = 0
    torch.testing.assert_close(prior.of_targets(), prior.of_data())


def test_each_term_is_given_the_prior_of_its_own_owners(generator):
    mix = midmix.balanced_am_mixup(num_classes=CLASSES, clean_weight=1.0)
    for y in batches(generator, 20):
        plan = mix.plan(y, generator)
    given = []

    class Spy(Loss):
        def mean(self, context):
            given.append((len(context.logits), context.prior))
            return balanced_softmax().mean(context)

    plan.loss(torch.zeros(3 * 64, CLASSES), Spy())
    assert [rows for rows, _ in given] == [128, 64]
    assert given[0][1].tolist() == plan.prior.tolist()
    assert given[1][1].tolist() == plan.clean.prior.tolist()
    assert plan.prior.tolist() != plan.clean.prior.tolist()


def test_without_any_count_the_prior_is_even():
    assert Prior(4).of_targets().tolist() == [0.25] * 4


@pytest.mark.parametrize(
    "counts",
    [
        [1.0, 2.0],
        [1.0, -1.0, 3.0],
        [0.0, 0.0, 0.0],
        [[1.0, 2.0, 3.0]],
        [0.9, 0.09, 0.01],
        [math.nan, 1, 1],
        [math.inf, 1, 1],
        {"a": 1, "b": 2, "c": 3},
        torch.tensor([1.0, 2.0]),
    ],
    ids=str,
)
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(
        InputError,
        match=r"class_counts: .* must be one count, 0 or more, for each of 3 classes",
    ):
        Prior(3, counts)
