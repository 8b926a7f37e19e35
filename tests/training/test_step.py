"""A step is one pure function: as the hooks do it, for one network or for several at once."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.func import grad, stack_module_state, vmap

import midmix
from midmix.losses import balanced_softmax
from midmix.methods import Method
from midmix.models import build
from midmix.training.step import can_divide, can_pull_back, mixed_step, step

LINES = [
    "erm",
    "mixup",
    "am-mixup",
    "balanced-am-mixup+balanced_softmax",
    "balanced-am-mixup:clean_weight=1+drw",
]


def batch(generator: torch.Generator, rows: int = 23) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(rows, 6, generator=generator), torch.randint(4, (rows,), generator=generator)


@pytest.mark.parametrize("line", LINES)
def test_divided_by_hooks_or_pulled_back_the_loss_the_gradients_and_the_ratio_are_the_same_to_the_bit(
    line, generator, seed
):
    x, y = batch(generator)
    found = []
    for divided, pull_back in ((True, False), (False, False), (True, True)):
        method = Method.parse(line)
        model, loss = build("mlp-16-8", (6,), 4, seed=0), method.make_loss()
        mix = method.make_mix(4, [9, 8, 5, 1]).attach(model, loss=loss)
        mix.observe(progress=0.9)
        assert can_divide(model, mix)
        assert can_pull_back(model, mix, loss)
        draws = torch.Generator().manual_seed(seed)
        for _ in range(3):  # so that the ratio has seen some accuracy
            stepped, _ = mixed_step(
                model, mix, x, y, loss, divided=divided, generator=draws, pull_back=pull_back
            )
            stepped.backward(share=0.75)
        found.append([stepped.loss.detach(), mix.ratio.value, *(p.grad for p in model.parameters())])
        mix.remove()
    for one, *others in zip(*found, strict=True):
        assert all(torch.equal(one, other) for other in others)


def test_a_network_that_is_looked_into_or_trained_in_part_is_left_to_autograd():
    loss, mix = balanced_softmax(), Method.parse("erm").make_mix(4, [9, 8, 5, 1])
    model = build("mlp-16-8", (6,), 4, seed=0)
    assert can_pull_back(model, mix, loss)
    assert not can_pull_back(build("linear", (6,), 4, seed=0), mix, loss)
    assert not can_pull_back(model, mix, Method.parse("erm+supcon").make_loss())
    hook = model.hidden[0].register_forward_hook(lambda *_: None)
    assert not can_pull_back(model, mix, loss)
    hook.remove()
    model.hidden[0].requires_grad_(False)
    assert not can_pull_back(model, mix, loss)


def test_several_seeds_at_once_are_each_one_alone(generator):
    x, y = batch(generator)
    models = [build("mlp-16-8", (6,), 4, seed=seed) for seed in range(3)]
    mix = midmix.balanced_am_mixup(num_classes=4)
    mix.observe(accuracy=0.6)
    plan = mix.plan(y, generator)
    loss = balanced_softmax()
    parameters, buffers = stack_module_state(models)
    bare = copy.deepcopy(models[0]).to("meta")

    def of(weights: dict[str, torch.Tensor], fixed: dict[str, torch.Tensor]) -> torch.Tensor:
        return step(bare, x, plan, loss, parameters={**weights, **fixed}).loss

    together = vmap(of)(parameters, buffers)
    gradients = vmap(grad(of))(parameters, buffers)
    for number, model in enumerate(models):
        alone = step(model, x, plan, loss).loss
        alone.backward()
        torch.testing.assert_close(together[number], alone.detach())
        torch.testing.assert_close(gradients["fc.weight"][number], model.fc.weight.grad)
