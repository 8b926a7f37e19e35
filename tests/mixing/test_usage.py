"""The two ways to use a mix, as the documentation writes them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import midmix


@pytest.fixture
def task():
    torch.manual_seed(0)
    centres = 3 * torch.randn(10, 16)
    y = torch.randint(10, (640,))
    x = centres[y] + torch.randn(640, 16)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 10))
    return model, list(zip(x.split(64), y.split(64), strict=True)) * 10


def test_attached_to_any_model(task):
    model, loader = task
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    # any model, unmodified: the classifier is found, or named with site="fc"
    mix = midmix.am_mixup(num_classes=10).attach(model)
    start = mix.ratio.value
    for x, y in loader:
        with mix(y):
            logits = model(x)
        loss = mix.loss(logits)  # or criterion=<any per-sample loss>
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    end = mix.ratio.value  # λ, a tensor: 1.0 at first, towards 0.512 as clean accuracy rises

    assert isinstance(start, torch.Tensor)
    assert start.item() == 1.0
    assert 0.511 < end.item() < 0.6
    model.eval()
    right = [(model(x).argmax(1) == y).float().mean() for x, y in loader]
    assert torch.stack(right).mean() > 0.9


def test_with_a_criterion_and_a_named_classifier(task):
    model, loader = task
    model = nn.ModuleDict({"net": model})["net"]
    mix = midmix.balanced_am_mixup(num_classes=10, site="2").attach(model)
    x, y = loader[0]
    with mix(y):
        logits = model(x)
    criterion = nn.CrossEntropyLoss(reduction="none", label_smoothing=0.1)
    loss = mix.loss(logits, criterion)
    assert loss.shape == ()
    loss.backward()


def test_by_hand_on_features():
    z, y, head = torch.randn(8, 5), torch.arange(8), nn.Linear(5, 10)
    g = torch.Generator().manual_seed(0)

    # the same by hand, on features
    mix = midmix.recipe("am-mixup", num_classes=10, beta=0.67)  # midmix.recipes() lists the names
    mix.observe(accuracy=0.8)  # what the schedule sees; attach() does this by itself
    plan = mix.plan(y, generator=g)  # .partner [B], .weight [B], .targets
    loss = plan.loss(head(plan.apply(z)))

    assert "am-mixup" in midmix.recipes()
    assert plan.partner.shape == plan.weight.shape == (8,)
    assert plan.weight[0].item() == pytest.approx(2.718281828 ** (-0.67 * 0.8))
    assert [(labels.shape, weight.shape) for labels, weight in plan.targets] == [((8,), (8,))]
    loss.backward()
