"""Losses without published values, and under soft targets, against their formulas written out as loops."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from midmix.errors import InputError
from midmix.losses import LossContext, loss

COUNTS = torch.tensor([400.0, 60.0, 9.0], dtype=torch.float64)
PRIOR = COUNTS / COUNTS.sum()
LABELS = torch.tensor([0, 1, 2, 0, 2, 1, 1])


@pytest.fixture
def logits(generator):
    return 2 * torch.randn(7, 3, generator=generator, dtype=torch.float64)


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(z) for z in row)
    return [math.exp(z) / total for z in row]


def check(losses: torch.Tensor, expected: list[float]) -> None:
    assert losses.tolist() == pytest.approx(expected, rel=1e-10, abs=1e-12)


def rows(logits: torch.Tensor) -> list[tuple[list[float], int]]:
    return list(zip(logits.tolist(), LABELS.tolist(), strict=True))


@pytest.mark.parametrize("epsilon", [-1.0, 2.0])
def test_poly1(epsilon, logits):
    expected = [-math.log(p := softmax(z)[y]) + epsilon * (1 - p) for z, y in rows(logits)]
    check(loss("poly1", epsilon=epsilon)(logits, LABELS), expected)


def test_label_smoothing_is_torch_s(logits):
    expected = F.cross_entropy(logits, LABELS, reduction="none", label_smoothing=0.2)
    torch.testing.assert_close(loss("label_smoothing", epsilon=0.2)(logits, LABELS), expected)


@pytest.mark.parametrize(
    ("positive", "negative", "margin"), [(0.0, 4.0, 0.05), (1.0, 2.0, 0.0), (0.5, 0.0, 0.3)]
)
def test_asymmetric(positive, negative, margin, logits):
    expected = []
    for scores, label in rows(logits):
        total = 0.0
        for k, z in enumerate(scores):
            p = 1 / (1 + math.exp(-z))
            q = max(p - margin, 0)
            total -= (1 - p) ** positive * math.log(p) if k == label else q**negative * math.log(1 - q)
        expected.append(total)
    options = {"positive": positive, "negative": negative, "margin": margin}
    check(loss("asymmetric", **options)(logits, LABELS), expected)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 1.7])
def test_class_weights_average_to_one_over_the_data(power, logits):
    raw = [n**-power for n in COUNTS.tolist()]
    average = sum(p * w for p, w in zip(PRIOR.tolist(), raw, strict=True))
    expected = [-raw[y] / average * math.log(softmax(z)[y]) for z, y in rows(logits)]
    check(loss("class_weighted", power=power)(logits, LABELS, counts=COUNTS, prior=PRIOR), expected)


@pytest.mark.parametrize("name", ["drw", "influence_balanced"])
def test_what_is_deferred_is_cross_entropy_before(name, logits):
    known = {"counts": COUNTS, "prior": PRIOR, "features": torch.ones(7, 2)}
    before = loss(name, start=0.5)(logits, LABELS, progress=torch.tensor(0.4), **known)
    torch.testing.assert_close(before, F.cross_entropy(logits, LABELS, reduction="none"))
    after = loss(name, start=0.5)(logits, LABELS, progress=torch.tensor(0.5), **known)
    torch.testing.assert_close(after, loss(name, start=0.0)(logits, LABELS, **known))


def test_lade_averages_over_shares_of_rows(logits):
    other, weight = LABELS.flip(0), torch.full((7,), 0.7, dtype=torch.float64)
    context = LossContext(logits, ((LABELS, weight), (other, 1 - weight)), prior=PRIOR)
    term = 0.0
    for c in range(3):
        shares = [
            0.7 * (y == c) + 0.3 * (o == c) for y, o in zip(LABELS.tolist(), other.tolist(), strict=True)
        ]
        own = sum(s * z[c] for s, z in zip(shares, logits.tolist(), strict=True)) / sum(shares)
        spread = math.log(sum(math.exp(z[c]) for z in logits.tolist()) / 7 / 3 / PRIOR[c].item())
        term -= PRIOR[c].item() * (own - spread - 0.2 * spread**2)
    expected = loss("balanced_softmax").mean(context).item() + 0.3 * term
    assert loss("lade", weight=0.3, regularizer=0.2).mean(context).item() == pytest.approx(
        expected, rel=1e-10
    )


@pytest.mark.parametrize("name", ["gcl", "equalization"])
def test_draws_are_those_of_the_generator(name, logits):
    judge = loss("gcl") if name == "gcl" else loss("equalization", threshold=0.2, probability=0.5)

    def draw(seed: int) -> torch.Tensor:
        drawn: torch.Tensor = judge(
            logits, LABELS, counts=COUNTS, generator=torch.Generator().manual_seed(seed)
        )
        return drawn

    torch.testing.assert_close(draw(1), draw(1), rtol=0, atol=0)
    assert not torch.equal(draw(1), draw(2))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("class_weighted", {"power": -1.0}),
        ("effective_number", {"beta": 1.0}),
        ("drw", {"start": 1.5}),
        ("influence_balanced", {"alpha": 0.0}),
        ("focal", {"gamma": -1.0}),
        ("poly1", {"epsilon": -2.0}),
        ("asymmetric", {"margin": 1.0}),
        ("label_smoothing", {"epsilon": 1.0}),
        ("label_aware_smoothing", {"head": 0.1, "tail": 0.2}),
        ("label_aware_smoothing", {"shape": "concav"}),
        ("ldam", {"scale": 0.0}),
        ("gcl", {"noise": float("nan")}),
        ("cdt", {"gamma": float("inf")}),
        ("vs", {"tau": -0.1}),
        ("seesaw", {"mitigation": -1.0}),
        ("equalization", {"probability": 2.0}),
        ("lade", {"weight": -1.0}),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(name, options):
    with pytest.raises(InputError, match="|".join(options)):
        loss(name, **options)
