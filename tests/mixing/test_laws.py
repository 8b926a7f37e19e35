"""The laws that every recipe obeys, and every other assignment of parts as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import midmix
from midmix.mixing import (
    AccuracyRatio,
    BetaRatio,
    BothOwners,
    Box,
    Channels,
    ClassBalancedPairs,
    CosineCurve,
    ExponentialCurve,
    Features,
    FixedRatio,
    FrequencyRatio,
    Hidden,
    Input,
    InterClassPairs,
    LinearCurve,
    Mix,
    OneSided,
    Plan,
    PowerCurve,
    RandomPairs,
    RandomSite,
    RemixLabels,
    TwoSided,
    WeightedPairs,
)

Make = Callable[[int], Mix]


def named(name: str, **options) -> Make:
    return lambda classes: midmix.recipe(name, num_classes=classes, **options)


def assigned(*parts, **settings) -> Make:
    return lambda classes: Mix(*[part() for part in parts], num_classes=classes, **settings)


ASSIGNMENTS: dict[str, Make] = {
    **{name: named(name) for name in midmix.recipes()},
    **{f"{name}, clean term": named(name, clean_weight=0.5) for name in midmix.recipes() if name != "erm"},
    **{
        f"am-mixup, {curve}": assigned(
            InterClassPairs, lambda curve=curve: AccuracyRatio(curve), OneSided, site=Features()
        )
        for curve in (ExponentialCurve(0.3), LinearCurve(), CosineCurve(), PowerCurve(3.0))
    },
    "am-mixup, class-balanced accuracy": named("am-mixup", balanced_accuracy=True),
    "am-mixup, accuracy of the last epoch": named("am-mixup", accuracy="epoch"),
    "am-mixup, accuracy of held-out rows": named("am-mixup", accuracy="validation"),
    "am-mixup, accuracy given": named("am-mixup", accuracy="given"),
    "mixup, a λ for each row": named("mixup", per_row=True),
    "mixup, hardly ever mixed": named("mixup", alpha=1e-3),
    "the larger share's label": assigned(RandomPairs, lambda: BetaRatio(1.0, per_row=True), OneSided),
    "both owners, both labels": assigned(
        ClassBalancedPairs, lambda: FixedRatio(0.7), lambda: BothOwners(TwoSided())
    ),
    "both owners of random pairs": assigned(RandomPairs, lambda: BetaRatio(0.3, per_row=True), BothOwners),
    "the partner's content alone": assigned(InterClassPairs, lambda: FixedRatio(0.0), OneSided),
    "a hidden layer": assigned(
        RandomPairs, lambda: FixedRatio(0.3), TwoSided, site=Hidden("stem"), clean_weight=2.0
    ),
    "rare partners at a λ of their own, in boxes": assigned(
        lambda: WeightedPairs(-1.0), FrequencyRatio, TwoSided, mask=Box(per_row=True), site=Input()
    ),
    "the rare class's label, in boxes": assigned(
        RandomPairs, BetaRatio, RemixLabels, mask=Box(), site=Input()
    ),
    "half of the batches": named("mixup", probability=0.5),
    "cutmix, a box for each row": named("cutmix", per_row=True),
    "resize-mix, a box for each row": named("resize-mix", per_row=True),
    "cutmix, half of the batches": named("cutmix", probability=0.5),
    "cutmix of both owners": assigned(
        RandomPairs, BetaRatio, lambda: BothOwners(TwoSided()), mask=Box(), site=Input()
    ),
    "cutmix at the features": named("cutmix", site=Features()),
    "channels": assigned(
        RandomPairs,
        lambda: BetaRatio(1.0, per_row=True),
        TwoSided,
        mask=Channels(per_row=True),
        site=Hidden("stem"),
    ),
    "a random site": assigned(
        RandomPairs, BetaRatio, TwoSided, site=RandomSite(Input(), Hidden("stem"), Features())
    ),
}

BATCHES = {
    "one row": [2],
    "one class": [1, 1, 1, 1],
    "odd": [0, 1, 2, 3, 0, 0, 2],
    "even": [3, 3, 0, 1],
    "two rows": [0, 3],
    "no rows": [],
}
CLASSES = 5  # one more than any batch has
SHAPE = (2, 6, 4)  # of a row: channels and the places of a mask

every = pytest.mark.parametrize("make", ASSIGNMENTS.values(), ids=ASSIGNMENTS)
batches = pytest.mark.parametrize("labels", BATCHES.values(), ids=BATCHES)
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class Net(nn.Module):
    """Stages enough for every site, and no randomness of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.Tanh())
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.body(self.stem(x)))
        return logits


def mixing(make: Make) -> Mix:
    """A mix that really mixes: one that follows the accuracy has seen some."""
    mix = make(CLASSES)
    mix.observe(accuracy=0.7)
    return mix


def owners(plan: Plan) -> Tensor:
    return torch.arange(len(plan.labels)) if plan.owner is None else plan.owner


def features(rows: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(rows, *SHAPE, generator=generator).to(dtype)


def answer(z: Tensor) -> Tensor:
    """Logits of rows, for masks that follow a gradient."""
    return z.flatten(1)[:, :CLASSES].square()


def drawn(
    mix: Mix, labels: Tensor, generator: torch.Generator | None = None, z: Tensor | None = None
) -> Plan:
    """A plan, its mask laid on rows `z`."""
    if z is None:
        z = features(len(labels), torch.Generator().manual_seed(7))
    return mix.plan(labels, generator, inputs=z, answer=answer)


@every
@batches
def test_weights_of_the_targets_sum_to_one_a_row(make, labels, generator):
    plan = drawn(mixing(make), torch.tensor(labels, dtype=torch.int64), generator)
    rows = len(plan.partner)
    assert rows in (len(labels), 2 * len(labels))
    total = sum(weight for _, weight in plan.targets)
    torch.testing.assert_close(total, torch.ones(rows))
    for classes, weight in plan.targets:
        assert classes.dtype == torch.int64
        assert classes.shape == weight.shape == (rows,)
        assert set(classes.tolist()) <= set(labels)
        assert bool((weight >= 0).all())
    assert plan.weight.dtype == torch.float32
    assert bool(((plan.weight >= 0) & (plan.weight <= 1)).all())


@every
def test_weight_one_is_the_identity(make, generator):
    for labels, dtype in product(BATCHES.values(), DTYPES):
        plan = mixing(make).plan(torch.tensor(labels, dtype=torch.int64), generator)
        z = features(len(labels), generator, dtype)
        kept = replace(plan, weight=torch.ones_like(plan.weight), clean=None).lay(z, answer).apply(z)
        assert torch.equal(kept, z[owners(plan)]), (labels, dtype)


@every
@batches
def test_labels_are_weighted_as_the_content_is(make, labels, generator):
    """Content measured from outside: mix, for each class, rows that are 1 where they are of it."""
    y = torch.tensor(labels, dtype=torch.int64)
    mix = mixing(make)
    if not getattr(mix.labels, "follows_content", True):
        pytest.skip(
            "its labels leave the content on purpose; test_frequency.py holds them against their rules"
        )
    plan = replace(drawn(mix, y, generator), clean=None)
    shown = [(y == c).float().reshape(-1, 1, 1, 1).expand(-1, *SHAPE) for c in range(CLASSES)]
    content = torch.stack([plan.apply(rows).flatten(1).mean(1) for rows in shown], 1)
    target = torch.zeros_like(content)
    for classes, weight in plan.targets:
        target.scatter_add_(1, classes[:, None], weight[:, None])
    if len(plan.targets) == 2:
        torch.testing.assert_close(target, content)
    elif len(labels):
        assert set(target.flatten().tolist()) <= {0.0, 1.0}
        assert float((target * content).sum(1).min()) >= 0.5 - 1e-6


@every
def test_the_same_generator_gives_the_same_plan_and_the_global_one_is_left_alone(make, seed):
    y = torch.arange(40) % 4
    before = torch.get_rng_state()
    one, two = (drawn(mixing(make), y, torch.Generator().manual_seed(seed)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.partner, two.partner)
    assert torch.equal(one.weight, two.weight)
    assert one.site == two.site
    for (labels, weight), (labels2, weight2) in zip(one.targets, two.targets, strict=True):
        assert torch.equal(labels, labels2)
        assert torch.equal(weight, weight2)


@every
def test_without_a_generator_the_default_one_is_drawn_from(make):
    y = torch.arange(40) % 4
    plans = []
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            plans.append(drawn(mixing(make), y))
    assert torch.equal(plans[0].partner, plans[1].partner)
    assert torch.equal(plans[0].weight, plans[1].weight)


@every
def test_dtype_and_device_are_kept_and_losses_are_in_float32_at_least(make, generator):
    y = torch.tensor([0, 1, 2, 3, 0, 0, 2])
    plan = drawn(mixing(make), y, generator)
    for tensor in (plan.partner, plan.weight, *plan.targets[0]):
        assert tensor.device == y.device
    for dtype in DTYPES:
        z = features(len(y), generator, dtype)
        mixed = plan.apply(z)
        assert (mixed.dtype, mixed.device, mixed.shape[1:]) == (dtype, z.device, z.shape[1:])
        loss = plan.loss(mixed.flatten(1)[:, :CLASSES] * 100)
        assert loss.shape == ()
        assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert bool(loss.isfinite()), dtype


@every
def test_the_callers_tensors_are_untouched(make, generator):
    y = torch.tensor([0, 1, 2, 3, 0, 0, 2])
    z = features(len(y), generator)
    kept_y, kept_z = y.clone(), z.clone()
    mix = mixing(make)
    plan = drawn(mix, y, generator, z)
    plan.loss(plan.apply(z).flatten(1)[:, :CLASSES])
    mix.observe(torch.randn(len(y), CLASSES, generator=generator), y)
    assert torch.equal(y, kept_y)
    assert torch.equal(z, kept_z)


@every
@batches
def test_any_batch_gives_a_finite_loss_with_gradients_for_every_row(make, labels, generator):
    y = torch.tensor(labels, dtype=torch.int64)
    head = nn.Sequential(nn.Flatten(), nn.Linear(48, CLASSES))
    z = features(len(labels), generator).requires_grad_()
    plan = drawn(mixing(make), y, generator, z)
    loss = plan.loss(head(plan.apply(z)))
    loss.backward()
    assert bool(loss.isfinite())
    assert z.grad.shape == z.shape
    assert bool(z.grad.isfinite().all())
    assert bool(head[1].weight.grad.isfinite().all())
    assert len(labels) > 0 or loss.item() == 0


@every
def test_a_row_that_is_its_own_partner_is_left_exactly_as_it_was(make, generator):
    for labels, dtype in product(BATCHES.values(), DTYPES):
        z = features(len(labels), generator, dtype)
        plan = drawn(mixing(make), torch.tensor(labels, dtype=torch.int64), generator, z)
        alone = owners(plan) == plan.partner
        assert torch.equal(replace(plan, clean=None).apply(z)[alone], z[plan.partner[alone]]), (labels, dtype)


@every
def test_the_clean_term_adds_the_batch_itself(make, generator):
    y = torch.tensor([0, 1, 2, 3, 0, 0, 2])
    plan = drawn(mixing(make), y, generator)
    z = features(len(y), generator)
    mixed = plan.apply(z)
    if plan.clean is None:
        assert len(mixed) == len(plan.partner)
    else:
        assert len(mixed) == len(plan.partner) + len(y)
        assert torch.equal(mixed[len(plan.partner) :], z)


@every
def test_evaluation_mode_never_mixes_draws_or_counts(make, generator):
    torch.manual_seed(0)
    model, x, y = Net(), torch.randn(7, *SHAPE), torch.tensor([0, 1, 2, 3, 0, 0, 2])
    plain = model(x)
    mix = mixing(make).attach(model)
    for still in ((model,), (mix,), (model, mix)):
        model.train()
        mix.train()
        for module in still:
            module.eval()
        kept = {name: buffer.clone() for name, buffer in mix.state_dict().items()}
        state = generator.get_state()
        with mix(y, generator):
            logits = model(x)
        assert torch.equal(logits, plain)
        assert torch.equal(mix.loss(logits), F.cross_entropy(plain, y, reduction="none").sum() / len(y))
        assert torch.equal(generator.get_state(), state)
        for name, buffer in mix.state_dict().items():
            assert torch.equal(buffer, kept[name]), name


@every
def test_outside_its_block_an_attached_mix_does_nothing(make):
    model, x = Net(), torch.randn(7, *SHAPE)
    plain = model(x)
    mix = mixing(make).attach(model)
    assert torch.equal(model(x), plain)
    mix.remove()
    assert torch.equal(model(x), plain)
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


@pytest.mark.parametrize("name", midmix.recipes())
@pytest.mark.parametrize("clean_weight", [0.0, 0.5])
def test_mixing_a_hidden_layer_at_the_input_equals_mixing_the_input(name, clean_weight, seed):
    if name == "erm" and clean_weight:
        pytest.skip("mixes nothing, so it has no clean term")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Identity(), Net())
    x, y = torch.randn(7, *SHAPE), torch.tensor([0, 1, 2, 3, 0, 0, 2])
    results = []
    mix = midmix.recipe(name, CLASSES)
    if mix.mask is not None and mix.mask.needs_saliency:
        pytest.skip("follows the gradient at the input, and says so when built with another site")
    settings: dict[str, Any] = {"clean_weight": clean_weight} if clean_weight else {}
    if isinstance(mix.ratio, AccuracyRatio):  # it cannot watch clean features there
        settings["accuracy"] = "given"
    elif mix.needs_clean_logits:
        settings["probability"] = 0.5
    for site in (Input(), Hidden("0")):
        mix = midmix.recipe(name, CLASSES, **settings)
        mix.observe(accuracy=0.7)
        mix.attach(model, site=site)
        with mix(y, torch.Generator().manual_seed(seed)) as batch:
            logits = model(x)
        results.append((logits, mix.loss(logits)))
        mix.remove()
    (logits, loss), (logits2, loss2) = results
    assert torch.equal(logits, logits2)
    assert torch.equal(loss, loss2)
    # A box may be too small for a pixel.
    mixed = batch.plan.owner is not None or bool((batch.plan.weight < 1).any())
    assert torch.equal(logits[:7], model(x)) == (not mixed)


@every
def test_attached_equals_by_hand(make, seed):
    """The hook does what `plan.apply` does, wherever the site is, and `mix.loss` what `plan.loss` does."""
    torch.manual_seed(0)
    model, x, y = Net(), torch.randn(7, *SHAPE), torch.tensor([0, 1, 2, 3, 0, 0, 2])
    mix = mixing(make).attach(model)
    with mix(y, torch.Generator().manual_seed(seed)) as batch:
        logits = model(x)
    plan = batch.plan
    places = mix.site.choices(model, CLASSES) if isinstance(mix.site, RandomSite) else (mix.site,)
    place = places[plan.site]
    stages = [model.stem, model.body, model.fc]
    at = {"Input()": 0, "Hidden(name='stem')": 1, "Features(name=None)": 2}[repr(place)]
    mix.remove()
    z = x
    for stage in stages[:at]:
        z = stage(z)
    z = plan.apply(z)
    for stage in stages[at:]:
        z = stage(z)
    assert torch.equal(logits, z)
    mix.attach(model)
    with mix(y, torch.Generator().manual_seed(seed)) as again:
        logits = model(x)
    assert torch.equal(mix.loss(logits), again.loss(logits))


@every
def test_a_resumed_mix_goes_on_as_if_it_had_never_stopped(make, seed):
    """Six steps at once, and three, saved and loaded into a fresh mix, then three more."""

    def steps(mix: Mix, model: Net, generator: torch.Generator, numbers: range) -> list[Tensor]:
        seen = []
        for number in numbers:
            data = torch.Generator().manual_seed(number)
            x, y = torch.randn(8, *SHAPE, generator=data), torch.randint(CLASSES, (8,), generator=data)
            with mix(y, generator) as batch:
                logits = model(x)
            plan = batch.plan
            seen += [plan.partner, plan.weight, plan.prior, mix.loss(logits).detach(), mix.ratio.value]
            if number % 2 == 1:
                mix.end_epoch()
        return seen

    torch.manual_seed(0)
    model = Net()
    generator = torch.Generator().manual_seed(seed)
    whole = steps(make(CLASSES).attach(model), model, generator, range(6))

    generator.manual_seed(seed)
    mix = make(CLASSES).attach(model)
    first = steps(mix, model, generator, range(3))
    saved, state = {k: v.clone() for k, v in mix.state_dict().items()}, generator.get_state()
    mix.remove()
    resumed, fresh = make(CLASSES).attach(model), torch.Generator()
    resumed.load_state_dict(saved)
    fresh.set_state(state)
    second = steps(resumed, model, fresh, range(3, 6))
    for ours, theirs in zip([*first, *second], whole, strict=True):
        assert torch.equal(ours, theirs)


@every
def test_buffers_move_with_the_module_and_keep_their_precision(make):
    mix = mixing(make)
    ratio = float(mix.ratio.value)
    mix.half()
    assert {buffer.dtype for buffer in mix.buffers()} == {torch.float32}
    assert float(mix.ratio.value) == ratio
    mix.to(torch.float64).to("meta")
    assert {buffer.device.type for buffer in mix.buffers()} == {"meta"}
    assert {buffer.dtype for buffer in mix.buffers()} == {torch.float32}
    assert mix.state_dict().keys() == make(CLASSES).state_dict().keys()


@every
def test_one_class_alone_is_left_as_it_is(make, generator):
    """With one class in all there is nothing of another class; only random pairs may mix at all."""
    y = torch.zeros(5, dtype=torch.int64)
    mix = make(1)
    plan = drawn(mix, y, generator)
    assert not isinstance(mix.pairing, InterClassPairs | ClassBalancedPairs) or torch.equal(
        plan.partner, owners(plan)
    )
    assert plan.prior.tolist() == [1.0]
