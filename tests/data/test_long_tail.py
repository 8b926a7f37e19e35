"""Long-tailed subsamples against a naive count, and the errors of profiles that cannot be."""

from __future__ import annotations

import pytest
import torch

from midmix.data import long_tailed, profile_counts
from midmix.errors import InputError

CIFAR10_LT_100 = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


def balanced(num_classes: int, rows: int) -> torch.Tensor:
    return torch.arange(num_classes).repeat(rows)


def test_cifar10_ratio_100_is_the_standard_profile() -> None:
    labels = balanced(10, 5000)
    kept = long_tailed(labels, imbalance_ratio=100, seed=1)
    assert labels[kept].bincount().tolist() == CIFAR10_LT_100


@pytest.mark.parametrize("ratio", [10, 20, 50, 100, 200])
def test_the_last_class_has_exactly_its_share(ratio: int) -> None:
    assert profile_counts(5000, 10, imbalance_ratio=ratio)[-1] == 5000 // ratio


def test_n_max_is_the_largest_that_every_class_allows() -> None:
    rows = [107, 69, 20, 30]
    labels = torch.arange(4).repeat_interleave(torch.tensor(rows))
    found = labels[long_tailed(labels, imbalance_ratio=8, seed=0)].bincount().tolist()

    feasible = [
        n
        for n in range(1, 108)
        if all(want <= have for want, have in zip(profile_counts(n, 4, imbalance_ratio=8), rows, strict=True))
    ]
    assert found == profile_counts(max(feasible), 4, imbalance_ratio=8)
    assert found[0] < 107  # the third class is what limits


@pytest.mark.parametrize(("num_classes", "expected"), [(4, [40, 40, 4, 4]), (5, [40, 40, 40, 4, 4])])
def test_step_halves_the_classes(num_classes: int, expected: list[int]) -> None:
    labels = balanced(num_classes, 40)
    kept = long_tailed(labels, imbalance_ratio=10, profile="step", seed=0)
    assert labels[kept].bincount().tolist() == expected


def test_drawn_without_replacement_sorted_and_by_seed() -> None:
    labels = balanced(10, 100)
    kept = long_tailed(labels, imbalance_ratio=10, seed=3)
    assert (kept.diff() > 0).all()
    assert kept.equal(long_tailed(labels, imbalance_ratio=10, seed=3))
    assert not kept.equal(long_tailed(labels, imbalance_ratio=10, seed=4))


def test_every_row_is_equally_likely() -> None:
    labels = balanced(2, 10)
    drawn = torch.zeros(20)
    for seed in range(400):
        drawn[long_tailed(labels, imbalance_ratio=5, seed=seed)] += 1
    assert drawn[labels == 0].eq(400).all()
    assert drawn[labels == 1].sum() == 800
    assert drawn[labels == 1].min() > 50  # 80 expected, standard deviation 8


def test_ratio_1_is_balanced() -> None:
    labels = torch.tensor([0] * 9 + [1] * 5)
    assert labels[long_tailed(labels, imbalance_ratio=1, seed=0)].bincount().tolist() == [5, 5]


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    long_tailed(balanced(3, 10), imbalance_ratio=2, seed=0)
    assert torch.random.get_rng_state().equal(before)


def test_a_class_without_rows_is_told_with_a_ratio_that_works() -> None:
    labels = balanced(3, 40)
    with pytest.raises(
        InputError, match=r"imbalance ratio 50 \(exp\) leaves class 'c' without .* at most 40$"
    ):
        long_tailed(labels, imbalance_ratio=50, seed=0, classes=("a", "b", "c"))
    assert labels[long_tailed(labels, imbalance_ratio=40, seed=0)].bincount().tolist()[-1] == 1


def test_the_ratio_that_is_offered_works_with_a_short_class_too() -> None:
    labels = torch.arange(3).repeat_interleave(torch.tensor([100, 1, 100]))
    with pytest.raises(
        InputError,
        match=r"'c' without .* have only 10; use a ratio of at most 3$",
    ):
        long_tailed(labels, imbalance_ratio=30, seed=0, classes=("a", "b", "c"))


@pytest.mark.parametrize("ratio", [0, 0.5, -3, float("nan"), float("inf")])
def test_ratio_below_1(ratio: float) -> None:
    with pytest.raises(InputError, match="at least 1"):
        long_tailed(balanced(2, 5), imbalance_ratio=ratio, seed=0)


def test_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown profile 'stpe': did you mean step\?"):
        long_tailed(balanced(2, 5), imbalance_ratio=2, profile="stpe", seed=0)  # type: ignore[arg-type]


def test_drawn_ranks_are_the_same_profile_over_other_classes() -> None:
    labels = balanced(10, 500)
    counts = [
        labels[long_tailed(labels, imbalance_ratio=100, seed=seed, ranks="drawn")].bincount().tolist()
        for seed in range(200)
    ]
    expected = profile_counts(500, 10, imbalance_ratio=100)
    assert all(sorted(found, reverse=True) == expected for found in counts)
    assert {found.index(500) for found in counts} == set(range(10))
    again = long_tailed(labels, imbalance_ratio=100, seed=7, ranks="drawn")
    assert labels[again].bincount().tolist() == counts[7]


def test_fixed_ranks_are_the_default_and_draw_the_rows_that_they_always_drew() -> None:
    labels = torch.arange(2).repeat_interleave(6)
    assert long_tailed(labels, imbalance_ratio=3, seed=0, ranks="fixed").equal(
        long_tailed(labels, imbalance_ratio=3, seed=0)
    )
    short = torch.arange(3).repeat_interleave(torch.tensor([100, 1, 100]))
    found = short[long_tailed(short, imbalance_ratio=5, seed=1, ranks="drawn")].bincount()
    assert found[1] == 1  # no class gives more than it has, whatever its rank
    with pytest.raises(InputError, match=r"unknown ranks 'drwan': did you mean drawn\?"):
        long_tailed(labels, imbalance_ratio=2, seed=0, ranks="drwan")  # type: ignore[arg-type]
