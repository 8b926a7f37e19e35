"""Parts that know which class is rare, against published values and naive loops."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import midmix
from midmix.errors import InputError
from midmix.losses import loss as make_loss
from midmix.mixing import (
    ConfusedPairs,
    FixedRatio,
    FrequencyRatio,
    Input,
    MarginLabels,
    Mix,
    PartnerOwns,
    RemixLabels,
    TransportPairs,
    TwoSided,
    WeightedPairs,
)
from midmix.mixing.confusion import transport
from midmix.mixing.frequency import row_weights, turned

CASES = ("A5", "B2", "C7")


def pair(labels: Any, share: float, mine: float, theirs: float) -> Tensor:
    """The owner's label weight of a row of class 0 with a partner of class 1."""
    plan = labels(
        torch.tensor([0, 1]),
        torch.tensor([1, 0]),
        torch.tensor([share, 0.5]),
        counts=torch.tensor([mine, theirs]),
    )
    total = plan.targets[0][1] + plan.targets[1][1]
    torch.testing.assert_close(total, torch.ones(2))
    owner: Tensor = plan.targets[0][1][0]
    return owner


def test_remix_labels_are_both_published_codes(values):
    for n_i, n_j, share, one, two in values["remix/kappa=3,tau=0.5"]["outputs"]["rows"]:
        found = pair(RemixLabels(3.0, 0.5), share, n_i, n_j).item()
        assert found == pytest.approx(one, abs=1e-6), (n_i, n_j, share)
        assert found == pytest.approx(two, abs=1e-6), (n_i, n_j, share)


@pytest.mark.parametrize("power", [-0.25, -1.0])
def test_mamix_labels_are_the_authors(values, power):
    """Where their code raises, exactly at the margin, it is the limit of either side, one half."""
    for n_i, n_j, partners, expected in values[f"mamix/f={power}"]["outputs"]["rows"]:
        found = pair(MarginLabels(power), 1 - partners, n_i, n_j).item()
        share = 0.5 if expected == "ValueError" else expected
        assert found == pytest.approx(share, abs=1e-6), (n_i, n_j, partners)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("hyper", ["alpha=0.8,tau=-0.1", "alpha=0.5,tau=-1.0"])
def test_unimix_partners_and_shares_are_the_authors(values, case, hyper):
    entry = values[f"unimix/{case}/{hyper}"]
    inputs, outputs = entry["inputs"], entry["outputs"]
    labels, partners = torch.tensor(inputs["labels"]), torch.tensor(inputs["partner_labels"])
    counts = torch.tensor(inputs["class_counts"], dtype=torch.float64)
    chances = row_weights(labels, counts, entry["params"]["tau"])
    expected = torch.tensor(outputs["partner_probability"], dtype=torch.float64)
    torch.testing.assert_close(chances / chances.sum(), expected, rtol=1e-9, atol=1e-10)
    draws = torch.tensor(inputs["beta_draws"], dtype=torch.float64)
    found = turned(draws, counts[labels], counts[partners])
    torch.testing.assert_close(
        found, torch.tensor(outputs["lambda"], dtype=torch.float64), rtol=1e-9, atol=1e-10
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_cmo_foregrounds_are_the_authors(values, case, power):
    entry = values[f"cmo_sampler/{case}/k={power}"]
    counts = torch.tensor(entry["inputs"]["class_counts"])
    rows = torch.arange(len(counts)).repeat_interleave(counts)  # a batch of the whole data
    chances = row_weights(rows, counts, -power)
    of_classes = torch.zeros(len(counts), dtype=torch.float64).scatter_add_(0, rows, chances)
    expected = torch.tensor(entry["outputs"]["class_probability"], dtype=torch.float64)
    torch.testing.assert_close(of_classes / of_classes.sum(), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("power", [-1.0, 0.0, -0.5, 1.0])
def test_weighted_partners_are_drawn_by_their_weights(power, generator):
    labels, counts = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([300.0, 30.0, 3.0])
    weights = [counts[label].item() ** power for label in labels.tolist()]
    drawn = torch.zeros(6)
    rounds = 4000
    for _ in range(rounds):
        drawn += WeightedPairs(power)(labels, 3, generator, counts=counts).bincount(minlength=6)
    for count, weight in zip((drawn / drawn.sum()).tolist(), weights, strict=True):
        chance = weight / sum(weights)
        assert abs(count - chance) < 5 * math.sqrt(chance * (1 - chance) / (6 * rounds)) + 1e-9


def test_unimix_gives_the_rare_row_the_larger_share(generator):
    labels, partner = torch.tensor([0, 1] * 500), torch.tensor([1, 0] * 500)
    shares = FrequencyRatio(0.5).draw_pairs(labels, partner, generator, counts=torch.tensor([99.0, 1.0]))
    assert shares[1::2].mean() > shares[::2].mean()
    assert bool(((shares >= 0) & (shares <= 1)).all())


def test_confused_partners_are_as_often_of_a_class_as_it_is_taken_for(generator):
    pairs = ConfusedPairs(4, window=math.inf)
    answers = torch.tensor([0] * 50 + [1] * 30 + [2] * 15 + [3] * 5)
    pairs.observe(torch.eye(4)[answers], torch.zeros(100, dtype=torch.int64))
    labels = torch.tensor([0, 1, 1, 2, 3, 3])
    drawn = torch.zeros(6)
    rounds = 6000
    for _ in range(rounds):
        drawn[pairs(labels, 4, generator)[0]] += 1
    wrong = {1: 30.25, 2: 15.25, 3: 5.25}  # each with its part of the row that a class begins with
    of_class = {1: 2, 2: 1, 3: 2}
    for row, label in enumerate(labels.tolist()):
        chance = wrong.get(label, 0.0) / sum(wrong.values()) / of_class.get(label, 1)
        assert abs(drawn[row].item() / rounds - chance) < 5 * math.sqrt(chance * (1 - chance) / rounds) + 1e-9
    assert torch.equal(pairs(torch.tensor([2, 2]), 4, generator), torch.tensor([0, 1])), "alone in its batch"


def test_transport_has_its_masses_and_equals_a_loop(generator):
    cost = torch.rand(3, 4, generator=generator, dtype=torch.float64)
    source, target = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    entropy = 0.05
    shares = transport(cost, source, target, entropy)
    torch.testing.assert_close(shares.sum(1), torch.ones(3).double())
    torch.testing.assert_close(source @ shares, target, atol=1e-3, rtol=0)
    kernel = [[math.exp(-c / entropy) for c in row] for row in cost.tolist()]
    up, down = [1.0] * 3, [1.0] * 4
    for _ in range(50):
        up = [source[i].item() / sum(kernel[i][j] * down[j] for j in range(4)) for i in range(3)]
        down = [target[j].item() / sum(kernel[i][j] * up[i] for i in range(3)) for j in range(4)]
    for i in range(3):
        row = [kernel[i][j] * down[j] for j in range(4)]
        assert shares[i].tolist() == pytest.approx([share / sum(row) for share in row], rel=1e-9)


def test_otmix_pairs_a_foreground_with_what_it_is_taken_for(generator):
    pairs = TransportPairs(3, window=math.inf)
    pairs.observe(torch.eye(3)[[0] * 200], torch.tensor([2] * 200))  # class 2 is taken for class 0
    labels = torch.tensor([0] * 8 + [1] * 8 + [2] * 8)
    counts = torch.tensor([100.0, 100.0, 100.0])
    found = torch.zeros(3, 3)
    for _ in range(200):
        partner = pairs(labels, 3, generator, counts=counts)
        found += torch.zeros(9).scatter_add_(0, labels * 3 + labels[partner], torch.ones(24)).reshape(3, 3)
    assert found[0, 2] / found[0].sum() > 0.9, "backgrounds of class 0 get foregrounds of class 2"
    assert found.sum(0).tolist() == pytest.approx([1600] * 3, rel=0.1), "as many foregrounds of each class"


@pytest.mark.parametrize("name", ["cp-mix", "otmix"])
def test_confusions_are_seen_on_clean_training_rows_alone(name):
    """In evaluation mode, as on a test split, nothing is counted; while training, every clean row once."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3))
    x, y = torch.rand(6, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1, 0])
    mix = midmix.recipe(name, 3, class_counts=[30, 20, 10]).attach(model)
    generator = torch.Generator().manual_seed(0)
    clean = 0
    for _ in range(20):
        with mix(y, generator) as batch:
            logits = model(x)
        batch.loss(logits)
        clean += 6 if name == "cp-mix" or not batch.plan.mixes else 0
    assert isinstance(mix.pairing, ConfusedPairs | TransportPairs)
    counts = mix.pairing.answers.counts.clone()
    assert counts.sum().item() == pytest.approx(clean, rel=0.01)
    model.eval()
    with mix(y, generator):
        model(x)
    assert torch.equal(mix.pairing.answers.counts, counts)


def test_h2t_rows_are_owned_by_classes_in_equal_parts(generator):
    labels = torch.tensor([0] * 90 + [1] * 10)
    mix = midmix.recipe("h2t", 2, class_counts=[900, 100])
    owned = torch.zeros(2)
    z = torch.randn(100, 20)
    for _ in range(100):
        plan = mix.plan(labels, generator, inputs=z)
        (target, ones), own = plan.targets[0], plan.blend.own[0]
        owned += target.bincount(minlength=2)
        assert int((~own).sum()) == 6
        assert plan.owner is not None
        expected = torch.where(own, z[plan.owner], z)
        assert torch.equal(plan.apply(z), expected)
        assert torch.equal(target, labels[plan.owner])
        assert bool((ones == 1).all())
    assert (owned / owned.sum()).tolist() == pytest.approx([0.5, 0.5], abs=0.03)
    assert plan.prior.tolist() == pytest.approx([0.5, 0.5], abs=0.05), "and losses are told so"


@pytest.mark.parametrize("case", CASES)
def test_regmixup_is_the_authors_loss(values, case):
    entry = values[f"regmixup/{case}"]
    inputs = {name: torch.tensor(rows) for name, rows in entry["inputs"].items()}
    labels, partner = inputs["labels"], inputs["partner_index"]
    clean, mixed = (
        torch.tensor(entry["inputs"][f"logits_{name}"], dtype=torch.float64) for name in ("clean", "mixed")
    )
    share = torch.full((len(labels),), entry["params"]["lambda"], dtype=torch.float64)
    plan = midmix.recipe("regmixup", clean.shape[1]).plan(labels)
    one_sided = TwoSided()(labels, partner, share)
    plan = type(plan)(labels, partner, share, one_sided.targets, clean=plan.clean)
    found = plan.loss(torch.cat([mixed, clean]))
    assert found.item() == pytest.approx(entry["outputs"]["batch"], rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_mixups_loss_is_the_published_one(values, case):
    entry = values[f"mixup_criterion/{case}"]
    inputs = {name: torch.tensor(rows) for name, rows in entry["inputs"].items()}
    logits = torch.tensor(entry["inputs"]["logits"], dtype=torch.float64).requires_grad_()
    share = torch.full((len(logits),), entry["params"]["lambda"], dtype=torch.float64)
    plan = TwoSided()(inputs["labels"], inputs["partner_index"], share)
    found = plan.loss(logits, make_loss("cross_entropy"))
    found.backward()
    assert found.item() == pytest.approx(entry["outputs"]["batch"], rel=1e-9)
    expected = torch.tensor(entry["outputs"]["grad_logits"], dtype=torch.float64)
    torch.testing.assert_close(logits.grad, expected, rtol=1e-9, atol=1e-10)


def test_counts_that_nobody_gave_are_the_shares_so_far(generator):
    mix = midmix.recipe("remix", 2)
    labels = torch.tensor([0] * 18 + [1] * 2)
    for _ in range(50):
        plan = mix.plan(labels, generator)
    rare_with_frequent = (plan.labels == 1) & (labels[plan.partner] == 0)
    assert set(plan.targets[0][1][rare_with_frequent].tolist()) <= {1.0, plan.weight[0].item()}
    torch.testing.assert_close(mix.prior.of_data(), torch.tensor([0.9, 0.1]), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: midmix.recipe("remix", 3, kappa=0.5), "kappa: 0.5 is how many times rarer"),
        (lambda: midmix.recipe("remix", 3, tau=2), "tau: 2 is a share"),
        (lambda: midmix.recipe("mamix", 3, power=math.inf), "power: inf must be finite"),
        (lambda: midmix.recipe("unimix", 3, power=math.nan), "power: nan must be finite"),
        (lambda: midmix.recipe("h2t", 3, share=0.8), r"share: 0.8 of the channels must lie in \[0, 0.5\]"),
        (lambda: midmix.recipe("cp-mix", 3, window=0), "window: 0 samples; it must be above 0"),
        (lambda: midmix.recipe("otmix", 3, entropy=0), "entropy: 0 must be above 0"),
        (
            lambda: midmix.recipe("cp-mix", 3, site=Input()),
            r"ConfusedPairs follows the confusion of clean rows, and Input\(\) shows mixed ones only",
        ),
        (
            lambda: Mix(ConfusedPairs(4), FixedRatio(0.5), PartnerOwns(), num_classes=3),
            "ConfusedPairs: num_classes=4 in a mix with num_classes=3",
        ),
    ],
)
def test_errors_say_what_and_what_to_do(act, says):
    with pytest.raises(InputError, match=says) as caught:
        act()
    assert "\n" not in str(caught.value)
