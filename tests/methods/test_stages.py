"""Second stages against published code, naive loops, and what each must and must not change."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from midmix.decisions import LogitPrior
from midmix.errors import InputError
from midmix.methods import STAGES, Method, StageData
from midmix.methods.heads import CosineLinear
from midmix.methods.stages import prior_after
from midmix.methods.stages.scaled import TAUS
from midmix.methods.stages.stage import linear, rescaled

COUNTS = (400, 60, 10)
MEANS = torch.tensor([[2.0, 0.0, 0.0, 0.5], [0.0, 2.0, 0.0, 0.5], [1.0, 1.0, 1.5, 0.5]])


def rows_of(counts, generator):
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    noise = torch.randn(len(labels), 4, generator=generator)
    return MEANS[labels] + noise, labels


@pytest.fixture
def data(generator):
    """A long tail of three clouds that overlap, with balanced validation rows."""
    features, labels = rows_of(COUNTS, generator)
    return StageData(features, labels, torch.tensor(COUNTS), rows_of((80, 80, 80), generator), seed=0)


@pytest.fixture
def head(data):
    """A classifier trained on the tail as it is."""
    weight = torch.zeros(3, 4, requires_grad=True)
    bias = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200)

    def loss():
        optimizer.zero_grad()
        value = (
            F.cross_entropy(F.linear(data.features, weight, bias), data.labels) + 1e-3 * weight.square().sum()
        )
        value.backward()
        return value

    optimizer.step(loss)
    return linear(weight.detach(), bias.detach())


def stage_of(text):
    (stage,) = Method.parse(f"erm>>{text}").make_stages()
    return stage


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def close(ours, theirs):
    torch.testing.assert_close(ours.detach(), tensor(theirs), rtol=1e-9, atol=1e-10)


def recall(head, rows):
    features, labels = rows
    right = head(features).argmax(1) == labels
    return sum(float(right[labels == label].double().mean()) for label in labels.unique()) / 3


@pytest.mark.parametrize("text", ["logit_adjustment:tau=0.7", "logit_adjustment:tau=auto", "temperature"])
def test_a_stage_that_changes_the_prior_of_logits_leaves_their_evidence(text, data, head):
    """`log p(x | c)` is what it was, up to a constant a row, and for a temperature divided by it."""
    before = LogitPrior.from_counts(COUNTS)
    stage, rows = stage_of(text), data.validation[0]
    fresh = stage.apply(head, data)
    after = prior_after(stage, before, head, data)
    old, new = before.evidence(head(rows)), after.evidence(fresh(rows))
    gaps = [(one - one.mean(dim=1, keepdim=True)) for one in (old, new)]
    scale = float((gaps[0] * gaps[1]).sum() / (gaps[0] * gaps[0]).sum())
    torch.testing.assert_close(gaps[1], scale * gaps[0], rtol=1e-4, atol=1e-4)
    assert text == "temperature" or scale == pytest.approx(1, abs=1e-5)
    assert prior_after(stage, None, head, data) is None


def test_classifiers_of_balanced_draws_answer_for_a_uniform_prior_and_scaled_weights_for_none(data, head):
    before = LogitPrior.from_counts(COUNTS)
    for text in ("crt", "lws", "marc", "ncm"):
        assert prior_after(stage_of(text), before, head, data).shares == pytest.approx([1 / 3] * 3)
    assert prior_after(stage_of("tau_norm"), before, head, data) is None


@pytest.mark.parametrize("name", STAGES.names())
def test_a_stage_repeats_itself_and_leaves_all_it_is_given(name, data, head):
    before, given, state = copy.deepcopy(head.state_dict()), copy.deepcopy(data), torch.get_rng_state()
    results = [stage_of(name).apply(head, data)(data.validation[0]) for _ in range(2)]
    assert torch.equal(*results)
    assert bool(results[0].isfinite().all())
    assert results[0].shape == (240, 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in head.state_dict().items())
    assert torch.equal(data.features, given.features)
    assert not data.features.requires_grad


@pytest.mark.parametrize(
    "text",
    ["crt", "lws", "marc", "logit_adjustment", "logit_adjustment:tau=auto", "tau_norm:tau=auto", "ncm"],
)
def test_a_stage_helps_the_rare_classes(text, data, head):
    assert recall(stage_of(text).apply(head, data), data.validation) > recall(head, data.validation) + 0.02


@pytest.mark.parametrize("name", ["tau_norm", "logit_adjustment"])
def test_auto_is_the_best_of_all_values_on_validation_rows(name, data, head):
    recalls = [recall(stage_of(f"{name}:tau={tau}").apply(head, data), data.validation) for tau in TAUS]
    best = TAUS[recalls.index(max(recalls))]
    chosen = stage_of(f"{name}:tau=auto").apply(head, data)(data.features)
    torch.testing.assert_close(chosen, stage_of(f"{name}:tau={best}").apply(head, data)(data.features))
    assert Method.parse(f"erm>>{name}:tau=auto").needs_validation
    assert not Method.parse(f"erm>>{name}:tau=1").needs_validation


@pytest.mark.parametrize("text", ["tau_norm:tau=auto", "logit_adjustment:tau=auto", "temperature"])
def test_nothing_is_chosen_without_validation_rows(text, data, head):
    without = StageData(data.features, data.labels, data.counts, None, 0)
    empty = StageData(data.features, data.labels, data.counts, (data.features[:0], data.labels[:0]), 0)
    for rows in (without, empty):
        with pytest.raises(InputError, match=rf"{text.split(':')[0]}.*validation rows, and there are none"):
            stage_of(text).apply(head, rows)


def test_temperature_is_the_likeliest_and_changes_no_decision(data, head):
    features, labels = data.validation
    sharp = linear(5 * head.weight.detach(), 5 * head.bias.detach())
    cooled = stage_of("temperature").apply(sharp, data)
    with torch.no_grad():
        assert torch.equal(cooled(features).argmax(1), sharp(features).argmax(1))
        found = float(F.cross_entropy(cooled(features), labels))
        grid = [float(F.cross_entropy(sharp(features) / 10 ** (k / 100), labels)) for k in range(-200, 201)]
    assert found <= min(grid) + 1e-6
    assert found < grid[200]


def test_retraining_reaches_the_optimum_of_class_balanced_cross_entropy(data, head):
    """The draws' expected loss is convex in what a stage trains, so there is one value to come to."""
    weights = (1 / data.counts.double())[data.labels] / 3
    with torch.no_grad():
        logits = head(data.features).double()
    inputs, lengths = logits - head.bias.detach(), head.weight.detach().norm(dim=1).double()
    features = data.features.double()

    def least(start, make):
        start.requires_grad_()
        optimizer = torch.optim.LBFGS([start], max_iter=500, line_search_fn="strong_wolfe")

        def loss():
            optimizer.zero_grad()
            value = (F.cross_entropy(make(start), data.labels, reduction="none") * weights).sum()
            value.backward()
            return value

        optimizer.step(loss)
        return float(loss().detach())

    best = {
        "crt": least(torch.zeros(3, 5).double(), lambda p: features @ p[:, :4].T + p[:, 4]),
        "lws": least(torch.ones(3).double(), lambda p: p * inputs + head.bias.detach()),
        "marc": least(
            torch.tensor([[1.0] * 3, [0.0] * 3]).double(), lambda p: p[0] * logits + p[1] * lengths
        ),
    }
    for name, least_loss in best.items():
        made = stage_of(f"{name}:epochs=60").apply(head, data)
        with torch.no_grad():
            found = float(
                (F.cross_entropy(made(data.features), data.labels, reduction="none") * weights).sum()
            )
        assert least_loss - 1e-5 <= found < least_loss + 0.01, name


def test_crt_starts_afresh_and_by_its_seed(data, head):
    first = stage_of("crt").apply(head, data)
    other = stage_of("crt").apply(linear(-head.weight.detach()), data)
    torch.testing.assert_close(first.weight, other.weight, rtol=0, atol=0)
    reseeded = StageData(data.features, data.labels, data.counts, None, seed=1)
    assert not torch.equal(stage_of("crt").apply(head, reseeded).weight, first.weight)


def test_scales_keep_directions_and_the_bias(data, head):
    made = stage_of("lws").apply(head, data)
    torch.testing.assert_close(F.normalize(made.weight), F.normalize(head.weight))
    assert torch.equal(made.bias, head.bias)


def test_ncm_is_the_nearest_mean_of_a_plain_loop(data, head):
    means = [data.features[data.labels == label].double().mean(0) for label in range(3)]
    near, angle = stage_of("ncm").apply(head, data), stage_of("ncm:cosine=true").apply(head, data)
    for row in data.validation[0][:50]:
        distances = [float((row - mean).square().sum()) for mean in means]
        cosines = [float(row.double() @ mean / row.double().norm() / mean.norm()) for mean in means]
        logits = near(row[None])[0].double()
        torch.testing.assert_close(logits - logits[0], distances[0] - tensor(distances), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(angle(row[None])[0].double(), tensor(cosines), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["ncm", "logit_adjustment"])
def test_a_class_without_training_rows_is_told(name, data, head):
    counts = torch.tensor([400, 70, 0])
    with pytest.raises(InputError, match=f"{name}: class 2 has no training rows"):
        stage_of(name).apply(head, StageData(data.features, data.labels.clamp_max(1), counts, None, 0))


@pytest.mark.parametrize("name", ["tau_norm", "lws", "marc"])
def test_stages_that_scale_weights_need_a_linear_head(name, data):
    with pytest.raises(InputError, match=f"{name}: needs a linear classifier.*CosineLinear"):
        stage_of(name).apply(CosineLinear(4, 3, 16.0), data)


@pytest.mark.parametrize("name", ["logit_adjustment", "temperature", "crt", "ncm"])
def test_the_others_take_any_head(name, data):
    head = CosineLinear(4, 3, 16.0)
    logits = stage_of(name).apply(head, data)(data.features)
    if name == "logit_adjustment":
        expected = head(data.features) - (data.counts / sum(COUNTS)).log()
        torch.testing.assert_close(logits, expected)


def test_stages_follow_one_another(data, head):
    made = head
    for stage in Method.parse("erm >> crt:epochs=2 >> logit_adjustment:tau=0.1 >> temperature").make_stages():
        made = stage.apply(made, data)
    assert isinstance(made, nn.Linear)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tau_norm:tau=-1", "tau_norm:tau=-1: must be a finite number of 0 or more"),
        ("tau_norm:tau=best", "tau_norm:tau=best: must be a number or auto"),
        ("logit_adjustment:tau=.nan", "must be a finite number of 0 or more"),
        ("crt:epochs=auto", "crt:epochs=auto: must be a number"),
        ("crt:epochs=0", "crt:epochs=0: must be a whole number of 1 or more"),
        ("lws:learning_rate=0", "lws:learning_rate=0: must be a finite number above 0"),
        ("marc:weight_decay=-1", "marc:weight_decay=-1: must be a finite number of 0 or more"),
        ("ncm:cosine=1", "must be true or false"),
        ("temperature:t=1", "takes no option"),
        ("tau_nrom", "did you mean tau_norm"),
    ],
)
def test_values_that_cannot_be(text, words):
    with pytest.raises(InputError, match=words):
        stage_of(text)


def test_tau_norm_is_published(published):
    for entry in published("tau_norm"):
        given, outputs = entry["inputs"], entry["outputs"]
        head = linear(tensor(given["weight_CxD"]), torch.ones(len(given["weight_CxD"])).double())
        features = tensor(given["features"])
        data = StageData(features, torch.zeros(len(features)).long(), torch.ones(len(head.weight)), None, 0)
        made = stage_of(f"tau_norm:tau={entry['params']['tau']}").apply(head, data)
        close(made.weight, outputs["weight_normed"])
        close(made(features), outputs["logits"])


def test_logit_adjustment_is_published(published):
    """But for the 1e-12 that the published code adds to the prior's power."""
    for entry in published("logit_adjust_eps"):
        given, outputs = entry["inputs"], entry["outputs"]
        logits, counts = tensor(given["logits"]), torch.tensor(given["class_counts"])
        head = linear(torch.eye(len(counts)).double())
        data = StageData(logits, torch.tensor(given["labels"]), counts, None, 0)
        made = stage_of(f"logit_adjustment:tau={entry['params']['tau']}").apply(head, data)(logits)
        torch.testing.assert_close(made.detach(), tensor(outputs["posthoc_logits"]), rtol=1e-7, atol=1e-7)


def test_ncm_is_published(published):
    tested = 0
    for entry in published("ncm"):
        if entry["params"] != {"feat_type": "un", "dist_type": "l2"}:
            continue
        given, outputs = entry["inputs"], entry["outputs"]
        features, labels = tensor(given["train_features"]), torch.tensor(given["train_labels"])
        counts = torch.bincount(labels)
        rows = tensor(given["features"])
        made = stage_of("ncm").apply(nn.Linear(1, 1), StageData(features, labels, counts, None, 0))(rows)
        close(made - rows.square().sum(1, keepdim=True), outputs["logits"])
        assert made.argmax(1).tolist() == outputs["argmax"]
        tested += 1
    assert tested == 3


def test_ncm_by_cosine_is_published(published):
    for entry in published("ncm_cosine"):
        given, outputs = entry["inputs"], entry["outputs"]
        features, labels = tensor(given["train_features"]), torch.tensor(given["train_labels"])
        rows = tensor(given["features"])
        data = StageData(features, labels, torch.bincount(labels), None, 0)
        made = stage_of("ncm:cosine=true").apply(nn.Linear(1, 1), data)
        close(made.weight, outputs["centroids"])
        close(made(rows) * rows.norm(dim=1, keepdim=True), outputs["similarity"])
        assert made(rows).argmax(1).tolist() == outputs["argmax"]


def test_the_forms_of_lws_and_marc_are_published(published):
    for entry in published("lws"):
        given = entry["inputs"]
        features, scales, bias = tensor(given["features"]), tensor(given["scales"]), tensor(given["bias"])
        paper = linear(scales[:, None] * tensor(given["weight_CxD"]), bias)(
            features
        )  # the code scales the bias too
        close(paper - bias + scales * bias, entry["outputs"]["logits"])
    for entry in published("marc"):
        given = entry["inputs"]
        weight = tensor(given["weight_CxD"])
        shift = tensor(given["b"])[0] * weight.norm(dim=1)
        made = rescaled(linear(weight, tensor(given["bias"])), tensor(given["a"])[0], shift)
        logits = made(tensor(given["features"])).detach()
        close(logits, entry["outputs"]["logits"])
        assert math.isclose(
            float(F.cross_entropy(logits, torch.tensor(given["labels"]))),
            entry["outputs"]["ce_batch"],
            rel_tol=1e-9,
        )
