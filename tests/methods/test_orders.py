"""Orders of rows against naive counting, published code's shares, and the laws that each states."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from midmix.errors import InputError
from midmix.methods import ORDERS, Method
from midmix.methods.orders import draw_by_class

COUNTS = [300, 0, 40, 7, 1]
LABELS = torch.tensor([c for c, n in enumerate(COUNTS) for _ in range(n)])[
    torch.randperm(sum(COUNTS), generator=torch.Generator().manual_seed(1))
]
TEXTS = [
    "shuffled",
    "power:exponent=0.3",
    "power:exponent=-1",
    "class_balanced",
    "square_root",
    "effective_share:beta=0.99",
    "progressive",
    "repeat_factor:threshold=0.2",
    "m_per_class:m=3",
]


def close(ours, theirs):
    """Equal to the digits that the reference has."""
    torch.testing.assert_close(ours, torch.tensor(theirs, dtype=torch.float64), rtol=1e-9, atol=1e-10)


def order_of(text):
    return Method.parse(f"erm+{text}").make_order()


def naive_shares(text, counts, progress):
    """Each class's share, a class at a time."""
    name, _, rest = text.partition(":")
    value = float(rest.partition("=")[2] or "nan")
    total, present = sum(counts), sum(n > 0 for n in counts)
    shares = []
    for n in counts:
        if n == 0:
            shares.append(0.0)
        elif name == "shuffled":
            shares.append(n)
        elif name in ("power", "class_balanced", "square_root"):
            shares.append(n ** {"power": value, "class_balanced": 0.0, "square_root": 0.5}[name])
        elif name == "effective_share":
            shares.append(n * (1 - value) / (1 - value**n))
        elif name == "progressive":
            shares.append((1 - progress) * n / total + progress / present)
        elif name == "repeat_factor":
            shares.append(n * max(1.0, math.sqrt(value / (n / total))))
        else:
            shares.append(1.0)
    return [share / sum(shares) for share in shares]


def test_every_order_is_tested_here():
    assert {text.partition(":")[0] for text in TEXTS} == set(ORDERS.names())


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0])
def test_shares_are_those_of_a_plain_loop(text, progress):
    shares = order_of(text).shares(torch.tensor(COUNTS), progress).double()
    close(shares / shares.sum(), naive_shares(text, COUNTS, progress))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0])
def test_rows_come_as_often_as_the_shares_say(text, progress, generator):
    order = order_of(text)
    epochs = [order.rows(LABELS, len(COUNTS), progress, generator) for _ in range(60)]
    rows = torch.cat(epochs)
    if not text.startswith("repeat_factor"):
        assert {len(epoch) for epoch in epochs} == {len(LABELS)}
    drawn = torch.bincount(LABELS[rows], minlength=len(COUNTS)).double()
    expected = torch.tensor(naive_shares(text, COUNTS, progress)) * len(rows)
    # No order varies more than draws with replacement do: five standard deviations of a binomial.
    assert ((drawn - expected).abs() <= 5 * (expected * (1 - expected / len(rows))).sqrt() + 1e-6).all()
    # Within a class every row has the same chance.
    for label, count in enumerate(COUNTS):
        if count:
            each = torch.bincount(rows, minlength=len(LABELS))[label == LABELS].double()
            mean = each.mean()
            assert ((each - mean).abs() <= 6 * mean.sqrt() + 1).all()


@pytest.mark.parametrize("text", TEXTS)
def test_rows_are_a_function_of_the_generator_alone(text):
    order = order_of(text)

    def drawn(seed):
        return order.rows(LABELS, len(COUNTS), 0.5, torch.Generator().manual_seed(seed)).tolist()

    before = torch.get_rng_state()
    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("m", [1, 2, 3, 7, 50, 400])
def test_m_per_class_gives_groups_of_distinct_rows_and_rounds_of_all_classes(m, generator):
    rows = order_of(f"m_per_class:m={m}").rows(LABELS, len(COUNTS), 0.0, generator)
    groups = [rows[start : start + m].tolist() for start in range(0, len(rows), m)]
    classes = []
    for group in groups:
        labels = {int(LABELS[row]) for row in group}
        assert len(labels) == 1
        classes.append(labels.pop())
        times = Counter(group)
        if len(group) == m:
            least = m // COUNTS[classes[-1]]
            assert set(times.values()) <= {least, least + 1}
    for start in range(0, len(classes) - 3, 4):
        assert sorted(classes[start : start + 4]) == [0, 2, 3, 4]


def test_repeat_factor_repeats_each_row_by_its_floor_or_once_more(generator):
    factors = {c: max(1.0, math.sqrt(0.2 * len(LABELS) / n)) for c, n in enumerate(COUNTS) if n}
    times = torch.bincount(order_of("repeat_factor:threshold=0.2").rows(LABELS, 5, 0.0, generator))
    for row, label in enumerate(LABELS.tolist()):
        assert int(times[row]) - math.floor(factors[label]) in (0, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("power:exponent=.inf", "power:exponent=inf: must be a finite number"),
        ("power:exponent=high", "must be a number"),
        ("effective_share:beta=1", "must be at least 0 and below 1"),
        ("repeat_factor:threshold=-1", "must be a finite number of 0 or more"),
        ("m_per_class:m=0", "must be a whole number of 1 or more"),
        ("m_per_class:m=1.5", "must be a whole number of 1 or more"),
        ("class_balanced:m=1", "takes no option"),
    ],
)
def test_values_that_cannot_be(text, words):
    with pytest.raises(InputError, match=words):
        order_of(text)


def test_a_share_without_rows_is_told():
    with pytest.raises(InputError, match="has no rows"):
        draw_by_class(torch.tensor([0, 0]), torch.tensor([1.0, 1.0]), 5, torch.Generator())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sampler_root", "power:exponent={0}"),
        ("sampler_class_aware", "class_balanced"),
        ("sampler_class_aware", "m_per_class:m=1"),
        ("sampler_effective_number", "effective_share:beta={beta}"),
        ("sampler_repeat_factor", "repeat_factor:threshold={t}"),
        ("cmo_sampler", "power:exponent={0}"),
    ],
)
def test_shares_are_those_of_published_code(published, name, text):
    for entry in published(name):
        params, outputs = entry["params"], entry["outputs"]
        exponent = 1 / params["nroot"] if "nroot" in params else 1 - params.get("k", 1)
        counts = torch.tensor(entry["inputs"]["class_counts"])
        order = order_of(text.format(exponent, **params))
        shares = order.shares(counts, 0.0)
        close(shares / shares.sum(), outputs.get("class_probability", outputs.get("expected_class_share")))
        if name == "sampler_repeat_factor":
            close(order.factors(counts), outputs["repeat_factor"])
            close(shares.sum(), outputs["expected_epoch_length"])


@pytest.mark.parametrize("name", ["sampler_progressive", "sampler_progressive_tT"])
def test_progressive_shares_are_those_of_published_code(published, name):
    for entry in published(name):
        counts, last = torch.tensor(entry["inputs"]["class_counts"]), entry["params"]["T"]
        for epoch, expected in entry["outputs"]["class_probability_by_epoch"].items():
            progress = int(epoch) / (last if name.endswith("tT") else last - 1)
            close(order_of("progressive").shares(counts, progress), expected)
