"""Every named criterion keeps the contract of a per-sample loss and goes with every recipe."""

from __future__ import annotations

import pytest
import torch

import midmix
from midmix.errors import InputError
from midmix.losses import criteria, criterion

LOGITS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 3, 1, 0, 0, 2])


@pytest.mark.parametrize("name", criteria())
@pytest.mark.parametrize("method", midmix.recipes())
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_every_criterion_goes_with_every_recipe(name, method, dtype, generator):
    mix = midmix.recipe(method, num_classes=4, clean_weight=0.5)
    mix.observe(accuracy=0.6)
    plan = mix.plan(LABELS, generator)
    logits = plan.apply(LOGITS.to(dtype)).requires_grad_()
    loss = plan.loss(logits, criterion(name))
    loss.backward()
    assert (loss.shape, loss.dtype) == ((), torch.float32)
    assert bool(loss.isfinite())
    assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("name", criteria())
def test_rows_are_independent(name):
    """The loss of a row is the same alone and in a batch: nothing is averaged."""
    loss = criterion(name)
    extra = {"prior": torch.tensor([4.0, 3.0, 2.0, 1.0])} if getattr(loss, "needs_prior", False) else {}
    whole = loss(LOGITS, LABELS, **extra)
    assert whole.shape == (6,)
    for row in range(6):
        alone = loss(LOGITS[row : row + 1], LABELS[row : row + 1], **extra)
        torch.testing.assert_close(alone[0], whole[row])
    assert loss(LOGITS[:0], LABELS[:0], **extra).shape == (0,)


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(
        InputError, match="unknown criterion 'balanced-softmax': did you mean balanced_softmax"
    ):
        criterion("balanced-softmax")
