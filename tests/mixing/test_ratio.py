"""Ratios: distributions against scipy, accuracies against naive counts, and curves against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from midmix.errors import InputError
from midmix.mixing import (
    AccuracyRatio,
    BetaRatio,
    CosineCurve,
    ExponentialCurve,
    FixedRatio,
    InterClassPairs,
    LinearCurve,
    Mix,
    PowerCurve,
)

ROWS = torch.zeros(20_000, dtype=torch.int64)


@pytest.mark.parametrize("alpha", [1e-30, 1e-3, 0.02, 0.2, 1.0, 2.0, 8.0, 1e4, 1e18])
def test_beta_draws_have_the_moments_of_beta(alpha, generator, seed):
    draws = BetaRatio(alpha, per_row=True).draw(ROWS, generator).double()
    assert bool(((draws >= 0) & (draws <= 1)).all())
    expected = stats.beta(alpha, alpha)
    error = expected.std() / math.sqrt(len(ROWS))
    assert float(draws.mean()) == pytest.approx(0.5, abs=5 * error + 1e-7), f"seed {seed}"
    assert float(draws.std()) == pytest.approx(expected.std(), rel=0.03, abs=1e-7), f"seed {seed}"


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 2.0, 8.0])
def test_beta_draws_have_the_distribution_of_beta(alpha, generator, seed):
    draws = BetaRatio(alpha, per_row=True).draw(ROWS, generator)
    edges = torch.tensor([0.0, 1e-4, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999, 1.0])
    expected = stats.beta(alpha, alpha).cdf(edges.double().numpy())
    expected = (expected[1:] - expected[:-1]) * len(ROWS)
    seen = torch.bincount(torch.bucketize(draws, edges[1:-1]), minlength=10).numpy()
    for count, mean in zip(seen, expected, strict=True):
        p = stats.binomtest(int(count), len(ROWS), mean / len(ROWS)).pvalue
        assert p > 1e-6, f"seed {seed}: {seen} where {expected} are expected"


def test_one_draw_for_the_batch_or_one_for_each_row(generator):
    y = torch.zeros(6, dtype=torch.int64)
    whole, rows = BetaRatio(1.0), BetaRatio(1.0, per_row=True)
    shared = whole.draw(y, generator)
    assert shared.shape == (6,)
    assert shared.unique().numel() == 1
    assert float(whole.value) == float(shared[0])
    each = rows.draw(y, generator)
    assert each.unique().numel() == 6
    assert float(rows.value) == pytest.approx(float(each.mean()))


def test_a_kept_value_does_not_change_with_the_next_draw(generator):
    ratio = BetaRatio(1.0)
    seen = []
    for _ in range(3):
        ratio.draw(torch.zeros(2, dtype=torch.int64), generator)
        seen.append(ratio.value)
    assert len({float(value) for value in seen}) == 3


def test_no_rows_draw_nothing_but_keep_the_value(generator):
    for per_row in (False, True):
        ratio = BetaRatio(1.0, per_row=per_row)
        assert ratio.draw(torch.zeros(0, dtype=torch.int64), generator).shape == (0,)
        assert bool(ratio.value.isfinite())


CURVES = {
    ExponentialCurve(): lambda a: math.exp(-0.67 * a),
    ExponentialCurve(math.log(2)): lambda a: 2**-a,
    ExponentialCurve(0.0): lambda a: 1.0,
    LinearCurve(): lambda a: 1 - a / 2,
    CosineCurve(): lambda a: 0.75 + math.cos(math.pi * a) / 4,
    PowerCurve(3.0): lambda a: 1 - a**3 / 2,
    PowerCurve(0.5): lambda a: 1 - math.sqrt(a) / 2,
}


@pytest.mark.parametrize("curve", CURVES, ids=str)
def test_curves_follow_their_formula_within_the_bounds(curve):
    ratio = AccuracyRatio(curve)
    seen = []
    for step in range(11):
        ratio.observe_accuracy(step / 10)
        assert float(ratio.value) == pytest.approx(CURVES[curve](step / 10), abs=1e-6)
        seen.append(float(ratio.value))
    assert seen[0] == 1.0
    assert seen == sorted(seen, reverse=True)
    assert min(seen) >= 0.5


def test_any_function_of_the_accuracy_is_a_curve_and_is_kept_in_bounds():
    ratio = AccuracyRatio(lambda accuracy: 1 - 2 * accuracy)
    ratio.observe_accuracy(0.2)
    assert float(ratio.value) == pytest.approx(0.6)
    ratio.observe_accuracy(0.9)
    assert float(ratio.value) == 0.5


def test_the_paper_ends_at_0_512():
    ratio = AccuracyRatio()
    assert float(ratio.value) == 1.0
    ratio.observe_accuracy(1.0)
    assert round(float(ratio.value), 3) == 0.512


def batch(generator: torch.Generator, rows: int = 16, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    skewed = torch.tensor([0.6, 0.25, 0.1, 0.05])[:classes]
    labels = torch.multinomial(skewed, rows, replacement=True, generator=generator)
    logits = torch.randn(rows, classes, generator=generator)
    logits[torch.arange(rows), labels] += 1.5 - labels  # frequent classes are recognised better
    return logits, labels


def accuracy_by_loop(batches, *, balanced: bool, window: float) -> float:
    right, rows = [0.0] * 4, [0.0] * 4
    for logits, labels in batches:
        fade = math.exp(-len(labels) / window)
        right, rows = [r * fade for r in right], [n * fade for n in rows]
        for scores, label in zip(logits.tolist(), labels.tolist(), strict=True):
            right[label] += scores.index(max(scores)) == label
            rows[label] += 1
    if balanced:
        seen = [r / n for r, n in zip(right, rows, strict=True) if n]
        return sum(seen) / len(seen)
    return sum(right) / sum(rows)


@pytest.mark.parametrize("balanced", [False, True], ids=["plain", "balanced"])
@pytest.mark.parametrize("window", [20.0, 2000.0])
def test_running_accuracy_equals_a_naive_loop(balanced, window, generator):
    ratio = AccuracyRatio(num_classes=4, balanced=balanced, window=window)
    batches = [batch(generator, rows) for rows in (16, 1, 16, 3, 16, 16, 2)]
    for number, (logits, labels) in enumerate(batches):
        ratio.observe(logits, labels)
        expected = accuracy_by_loop(batches[: number + 1], balanced=balanced, window=window)
        assert float(ratio.accuracy) == pytest.approx(expected, abs=1e-5)
        assert float(ratio.value) == pytest.approx(math.exp(-0.67 * expected), abs=1e-5)


@pytest.mark.parametrize("balanced", [False, True], ids=["plain", "balanced"])
def test_epoch_accuracy_is_that_of_the_last_whole_epoch(balanced, generator):
    ratio = AccuracyRatio(num_classes=4, accuracy="epoch", balanced=balanced)
    held = 0.0
    for _ in range(3):
        batches = [batch(generator) for _ in range(4)]
        for logits, labels in batches:
            ratio.observe(logits, labels)
            assert float(ratio.accuracy) == pytest.approx(held), "it moves between epochs only"
        ratio.end_epoch()
        held = accuracy_by_loop(batches, balanced=balanced, window=math.inf)
        assert float(ratio.accuracy) == pytest.approx(held, abs=1e-6)


def test_an_epoch_without_batches_keeps_the_accuracy(generator):
    ratio = AccuracyRatio(accuracy="epoch")
    ratio.observe(*batch(generator))
    ratio.end_epoch()
    held = float(ratio.accuracy)
    assert held > 0
    ratio.end_epoch()
    assert float(ratio.accuracy) == held


def test_given_accuracy_looks_at_no_logits(generator):
    ratio = AccuracyRatio(accuracy="given")
    assert not ratio.needs_clean_logits
    ratio.observe_accuracy(torch.tensor(0.4))
    ratio.observe(*batch(generator))
    ratio.end_epoch()
    assert float(ratio.accuracy) == pytest.approx(0.4)


@pytest.mark.parametrize(("balanced", "accuracy"), [(False, 0.75), (True, 0.5)])
def test_held_out_accuracy_looks_at_no_training_row(balanced, accuracy, generator):
    ratio = AccuracyRatio(num_classes=4, accuracy="validation", balanced=balanced)
    assert ratio.needs_validation
    assert not ratio.needs_clean_logits
    for _ in range(2):  # the last held-out rows alone count
        ratio.observe(*batch(generator))
        ratio.end_epoch()
        ratio.observe_validation(torch.eye(4)[[0, 0, 0, 0]], torch.tensor([0, 0, 0, 1]))
        assert float(ratio.accuracy) == pytest.approx(accuracy)
    assert float(ratio.value) == pytest.approx(math.exp(-0.67 * accuracy))


def test_no_rows_leave_the_accuracy_as_it_is(generator):
    ratio = AccuracyRatio()
    ratio.observe(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert float(ratio.accuracy) == 0.0
    ratio.observe(torch.eye(4), torch.arange(4))
    ratio.observe(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert float(ratio.accuracy) == 1.0


def test_a_fixed_ratio_is_fixed(generator):
    ratio = FixedRatio(0.6)
    ratio.observe(*batch(generator))
    ratio.observe_accuracy(1.0)
    ratio.end_epoch()
    assert ratio.draw(torch.zeros(3, dtype=torch.int64)).tolist() == pytest.approx([0.6] * 3)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: BetaRatio(0.0), r"alpha: 0\.0 must be above 0"),
        (lambda: BetaRatio(math.nan), "alpha: nan must be above 0"),
        (lambda: BetaRatio(math.inf), "alpha: inf must be above 0, and finite .*use FixedRatio"),
        (lambda: FixedRatio(1.2), r"ratio: 1\.2 is a share and must lie in \[0, 1\]"),
        (lambda: FixedRatio(math.nan), "ratio: nan is a share"),
        (
            lambda: ExponentialCurve(0.8),
            r"beta: 0\.8 would take the ratio out of \[0\.5, 1\]; use 0 to 0\.6931",
        ),
        (lambda: ExponentialCurve(-0.1), r"beta: -0\.1 would"),
        (lambda: PowerCurve(0.0), r"exponent: 0\.0 is not above 0"),
        (lambda: AccuracyRatio(accuracy="runing"), "unknown accuracy 'runing': did you mean running"),  # type: ignore[arg-type]
        (lambda: AccuracyRatio(balanced=True), "num_classes: needed where the accuracy is class-balanced"),
        (lambda: AccuracyRatio(window=0.0), r"window: 0\.0 samples; it must be above 0"),
        (
            lambda: AccuracyRatio().observe_accuracy(1.5),
            r"accuracy: 1\.5 is a share and must lie in \[0, 1\]",
        ),
        (lambda: AccuracyRatio().observe_accuracy(math.nan), "accuracy: nan is a share"),
    ],
)
def test_errors_say_what_and_what_to_do(make, says):
    with pytest.raises(InputError, match=says):
        make()


class Told(FixedRatio):
    """A ratio that asks how far the training is."""

    needs = frozenset({"progress"})
    heard: list[float | None]

    def draw_pairs(self, labels, partner, generator=None, *, counts=None, progress=None):
        self.heard.append(None if progress is None else float(progress))
        return self.draw(labels, generator)


def test_a_ratio_that_asks_for_the_progress_is_given_it():
    ratio = Told(0.7)
    ratio.heard = []
    mix = Mix(InterClassPairs(), ratio, num_classes=2)
    assert mix.needs_progress
    mix.plan(torch.tensor([0, 1]))
    mix.observe(progress=0.5)
    mix.plan(torch.tensor([0, 1]))
    assert ratio.heard == [None, 0.5]
    assert not Mix(InterClassPairs(), FixedRatio(0.7), num_classes=2).needs_progress
