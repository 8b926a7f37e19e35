"""Partners against their definition: the exact chances by a naive loop, the drawn frequencies by chi-square."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from midmix.mixing import ClassBalancedPairs, InterClassPairs, Pairing, RandomPairs, SelfPairs

BATCHES = {
    "long-tailed": [0, 0, 0, 0, 0, 2, 2, 5],
    "sorted the other way": [5, 2, 2, 0, 0, 0],
    "every row of another class": [3, 1, 4, 0],
    "two classes": [1, 0, 1, 1],
    "classes at both ends": [0, 6, 6],
}
CLASSES = 7
DRAWS = 4000


def chances(pairing: Pairing, labels: list[int], row: int) -> list[float]:
    """The chance of each row to be the partner of this one, from the definition."""
    others = [other for other, label in enumerate(labels) if label != labels[row]]
    classes = {labels[other] for other in others}
    table = [0.0] * len(labels)
    for other in range(len(labels)):
        if isinstance(pairing, SelfPairs) or (not others and not isinstance(pairing, RandomPairs)):
            table[other] = float(other == row)
        elif isinstance(pairing, RandomPairs):
            table[other] = 1 / len(labels)
        elif isinstance(pairing, InterClassPairs) and other in others:
            table[other] = 1 / len(others)
        elif isinstance(pairing, ClassBalancedPairs) and other in others:
            table[other] = 1 / len(classes) / labels.count(labels[other])
    return table


@pytest.mark.parametrize("labels", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("pairing", [RandomPairs(), InterClassPairs(), ClassBalancedPairs()], ids=str)
def test_partners_are_drawn_with_the_chances_of_the_definition(pairing, labels, generator, seed):
    y = torch.tensor(labels)
    drawn = torch.stack([pairing(y, CLASSES, generator) for _ in range(DRAWS)])
    for row in range(len(labels)):
        expected = torch.tensor(chances(pairing, labels, row), dtype=torch.float64) * DRAWS
        seen = torch.bincount(drawn[:, row], minlength=len(labels))
        assert not seen[expected == 0].any(), f"row {row} has a partner that it must never have"
        if (expected > 0).sum() > 1:
            p = chisquare(seen[expected > 0].numpy(), expected[expected > 0].numpy()).pvalue
            assert p > 1e-6, f"row {row}, seed {seed}: {seen.tolist()} where {expected.tolist()} are expected"


@pytest.mark.parametrize("pairing", [InterClassPairs(), ClassBalancedPairs()], ids=str)
def test_the_second_partner_does_not_depend_on_the_first(pairing, generator, seed):
    """Rows draw for themselves: the partners of two rows are independent."""
    y = torch.tensor([0, 0, 1, 1, 2])
    drawn = torch.stack([pairing(y, 3, generator) for _ in range(DRAWS)])
    pairs = torch.bincount(drawn[:, 0] * 5 + drawn[:, 1], minlength=25).double()
    expected = torch.outer(
        *(torch.tensor(chances(pairing, y.tolist(), row), dtype=torch.float64) for row in (0, 1))
    )
    expected = expected.flatten() * DRAWS
    possible = expected > 0
    assert chisquare(pairs[possible].numpy(), expected[possible].numpy()).pvalue > 1e-6, f"seed {seed}"


@pytest.mark.parametrize("pairing", [InterClassPairs(), ClassBalancedPairs()], ids=str)
def test_never_the_own_class(pairing, generator):
    for rows in (1, 2, 3, 17, 128, 257):
        for classes in (1, 2, 10, 1000):
            y = torch.randint(classes, (rows,), generator=generator)
            partner = pairing(y, classes, generator)
            if len(y.unique()) > 1:
                assert (y[partner] != y).all()
            else:
                assert partner.tolist() == list(range(rows))


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 64])
def test_random_partners_are_a_permutation(rows, generator):
    partner = RandomPairs()(torch.zeros(rows, dtype=torch.int64), 1, generator)
    assert sorted(partner.tolist()) == list(range(rows))


@pytest.mark.parametrize(
    "pairing", [SelfPairs(), RandomPairs(), InterClassPairs(), ClassBalancedPairs()], ids=str
)
@pytest.mark.parametrize("labels", [[], [4], [4, 4, 4]], ids=["no rows", "one row", "one class"])
def test_batches_without_choice(pairing, labels, generator):
    partner = pairing(torch.tensor(labels, dtype=torch.int64), 5, generator)
    assert partner.dtype == torch.int64
    assert sorted(partner.tolist()) == list(range(len(labels)))
    if not isinstance(pairing, RandomPairs):
        assert partner.tolist() == list(range(len(labels)))


def test_balanced_partners_of_a_long_tail_are_near_uniform_and_plain_ones_are_not(generator):
    y = torch.tensor([0] * 90 + [1] * 9 + [2])
    share = {}
    for pairing in (InterClassPairs(), ClassBalancedPairs()):
        drawn = torch.cat([y[pairing(y, 3, generator)][y == 0] for _ in range(50)])
        share[type(pairing)] = float((drawn == 2).float().mean())
    assert share[InterClassPairs] == pytest.approx(0.1, abs=0.02)
    assert share[ClassBalancedPairs] == pytest.approx(0.5, abs=0.03)
