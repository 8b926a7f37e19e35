"""Every named loss keeps the contract of one, does something with its options, and goes with every recipe."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn

import midmix
from midmix.errors import InputError
from midmix.losses import LOSSES, LossContext, loss, loss_options, losses
from midmix.methods import ExpertHeads
from midmix.mixing.context import Loss, Views

COUNTS = torch.tensor([400.0, 60.0, 9.0, 1.0])
LABELS = torch.tensor([0, 3, 1, 0, 0, 2])
OTHER = {
    "beta": 0.9,
    "dim": 32,
    "epsilon": 0.3,
    "gamma": 0.7,
    "max_margin": 0.2,
    "probability": 0.5,
    "shape": "power",
    "start": 0.9,
    "tail": 0.1,
    "threshold": 0.3,
}
"""Another value of an option than its default; for other numbers, half as much again."""
BESIDE = {("label_aware_smoothing", "power"): {"shape": "power"}}
"""What an option needs beside it to mean anything."""


def classifier(name: str) -> nn.Module:
    """One that the loss goes with."""
    return ExpertHeads(5, 4, count=3) if name == "ride" else nn.Linear(5, 4)


def ready(name: str, head: nn.Module | None = None, /, **options: object) -> Loss:
    """The loss with what it learns, for the classifier of these tests."""
    judge = loss(name, **options)
    judge.prepare(head or classifier(name), 4, seed=0)
    return judge


def views(rows: int, generator: torch.Generator) -> Views:
    return Views(torch.randn(2, rows, 5, generator=generator), LABELS[:rows])


def facts(rows: int, generator: torch.Generator, name: str = "") -> dict[str, Any]:
    return {
        "prior": COUNTS / COUNTS.sum(),
        "counts": COUNTS,
        "progress": torch.tensor(0.85),
        "features": torch.randn(rows, 5, generator=generator),
        "head": classifier(name),
    }


def mean(name: str, seed: int, **options: object) -> float:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(6, 4, generator=generator)
    known = facts(6, generator, name)
    seen = views(6, generator)
    context = LossContext(logits, ((LABELS, torch.ones(6)),), generator=generator, views=seen, **known)
    return ready(name, **options).mean(context).item()


@pytest.mark.parametrize("name", losses())
@pytest.mark.parametrize("method", midmix.recipes())
def test_every_loss_goes_with_every_recipe(name, method, generator):
    options = {} if method == "erm" else {"clean_weight": 0.5}  # which mixes nothing
    mix = midmix.recipe(method, num_classes=4, class_counts=COUNTS, **options)
    mix.observe(accuracy=0.6, progress=0.85)
    head, maps = classifier(name), torch.randn(6, 5, 6, generator=generator)
    plan = mix.plan(LABELS, generator, inputs=maps, answer=lambda maps: maps.mean(2)[:, :4])
    features = plan.apply(maps).mean(2).requires_grad_()
    given: dict[str, Any] = {"features": features, "head": head, "views": views(6, generator)}
    total = plan.loss(head(features), ready(name, head), generator=generator, **given)
    total.backward()
    assert (total.shape, total.dtype) == ((), torch.float32)
    assert bool(total.isfinite())
    assert bool(features.grad.isfinite().all())
    assert features.grad.abs().sum() > 0
    for parameter in head.parameters():
        assert parameter.grad.abs().sum() > 0


@pytest.mark.parametrize("name", losses())
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("scale", [1.0, 200.0])
def test_a_class_without_rows_and_sure_logits_stay_finite(name, dtype, rows, scale, generator):
    known = facts(rows, generator, name)
    known["counts"] = torch.tensor([400.0, 60.0, 9.0, 0.0])
    known["prior"] = known["counts"] / 469
    known["features"] *= scale
    logits = (scale * torch.randn(rows, 4, generator=generator)).to(dtype).requires_grad_()
    targets = ((LABELS[:rows], torch.ones(rows)),)
    seen = views(rows, generator)
    total = ready(name).mean(LossContext(logits, targets, generator=generator, views=seen, **known))
    total.backward()
    slopes = [part.grad for part in (logits, *known["head"].parameters()) if part.grad is not None]
    assert slopes
    for value in (total, *slopes):
        assert bool(value.isfinite().all())


@pytest.mark.parametrize("name", losses())
def test_equal_counts_stay_finite(name, generator):
    known = facts(6, generator, name)
    known["counts"] = known["prior"] = torch.full((4,), 7.0)
    logits = torch.randn(6, 4, generator=generator)
    seen = views(6, generator)
    context = LossContext(logits, ((LABELS, torch.ones(6)),), generator=generator, views=seen, **known)
    assert bool(ready(name).mean(context).isfinite())


@pytest.mark.parametrize("name", [name for name in losses() if name not in ("gcl", "equalization")])
def test_rows_are_independent(name, generator):
    """The loss of a row is the same alone and in a batch: nothing is averaged. Two losses draw for each row."""
    judge, known = loss(name), facts(6, generator, name)
    logits = torch.randn(6, 4, generator=generator)
    whole = judge(logits, LABELS, **known)
    assert whole.shape == (6,)
    for row in range(6):
        known_of_row = {**known, "features": known["features"][row : row + 1]}
        alone = judge(logits[row : row + 1], LABELS[row : row + 1], **known_of_row)
        torch.testing.assert_close(alone[0], whole[row])
    assert judge(logits[:0], LABELS[:0], **{**known, "features": known["features"][:0]}).shape == (0,)


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name in losses() for option in loss_options(name)]
)
def test_every_option_changes_the_loss(name, option, seed):
    default = loss_options(name)[option]
    # A clouded logit's margin and an asymmetric loss's first exponent are 0 unless said otherwise.
    other = OTHER.get(option, 0.4 if not default else None)
    beside = BESIDE.get((name, option), {})
    value = default * 1.5 if other is None else other
    assert mean(name, seed, **{option: value}, **beside) != pytest.approx(
        mean(name, seed, **beside), rel=1e-6
    )


@pytest.mark.parametrize("name", losses())
def test_every_loss_differs_from_the_others_and_is_documented(name, seed):
    text = inspect.getdoc(LOSSES.find(name)) or ""
    assert "Example:" in text
    if name not in ("cross_entropy", "balanced_softmax", "logit_adjustment"):
        assert mean(name, seed) != pytest.approx(mean("cross_entropy", seed), rel=1e-6)


def test_names_are_unique_and_more_than_a_dozen():
    assert len(set(losses())) == len(losses()) >= 18


def test_weights_of_classes_absorb_the_prior_as_shifts_do():
    """`E[w_y CE]` is least where `softmax(z) ∝ π w p(x|y)`."""
    assert loss("class_weighted", power=0.5).absorbs == 0.5
    logits = torch.zeros(470, 4, requires_grad=True)
    labels = torch.repeat_interleave(torch.arange(4), COUNTS.long())
    loss("class_weighted")(logits, labels, prior=COUNTS, counts=COUNTS).mean().backward()
    torch.testing.assert_close(logits.grad.sum(0), torch.zeros(4), atol=1e-6, rtol=0)


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(InputError, match="unknown loss 'balanced-softmax': did you mean balanced_softmax"):
        loss("balanced-softmax")
