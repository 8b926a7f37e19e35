"""Views at test time: which they are, how they are averaged, that nothing is drawn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from midmix.data import views_of
from midmix.decisions import LogitPrior
from midmix.errors import InputError
from midmix.models import build
from midmix.training import predict, predict_logits


def test_ten_views_are_five_crops_of_a_wider_image_and_their_mirror_images():
    images = torch.randint(256, (2, 3, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    wide = nn.functional.pad(images.float(), (3, 3, 2, 2), mode="replicate").byte()
    crops = [wide[:, :, y : y + 32, x : x + 48] for y, x in [(2, 3), (0, 0), (0, 6), (4, 0), (4, 6)]]
    views = list(views_of(images, 10))
    assert len(views) == 10
    for place, crop in enumerate(crops):
        torch.testing.assert_close(views[2 * place], crop)
        torch.testing.assert_close(views[2 * place + 1], crop.flip(-1))
    for count, among in [(1, [0]), (2, [0, 1]), (5, [0, 2, 4, 6, 8])]:
        for view, place in zip(views_of(images, count), among, strict=True):
            torch.testing.assert_close(view, views[place])
    torch.testing.assert_close(images, before)


def test_one_view_is_the_prediction_and_several_are_the_same_to_the_bit_each_time(pictures):
    model = build("resnet-8", (3, 8, 8), 3, width=4, seed=0).train()
    plain = predict_logits(model, pictures.test.inputs)
    assert torch.equal(plain, predict(model, pictures.test).logits)
    averaged = predict_logits(model, pictures.test.inputs, views=10)
    assert torch.equal(averaged, predict_logits(model, pictures.test.inputs, views=10))
    torch.testing.assert_close(
        averaged, predict_logits(model, pictures.test.inputs, views=10, batch_size=5), rtol=1e-4, atol=1e-5
    )
    assert not torch.allclose(averaged, plain)
    assert model.training


def test_mean_logits_and_mean_log_probabilities_are_one_and_priors_go_before_or_behind(pictures):
    model = build("resnet-8", (3, 8, 8), 3, width=4, seed=0)
    rows = pictures.test.inputs[torch.arange(12)]
    views = [predict_logits(model, view) for view in views_of(rows, 10)]
    averaged = predict_logits(model, rows, views=10)
    logs = torch.stack([view.log_softmax(1) for view in views]).mean(0)
    torch.testing.assert_close(averaged.log_softmax(1), logs.log_softmax(1), rtol=1e-4, atol=1e-5)
    shift = torch.tensor(LogitPrior.from_counts(torch.tensor([60, 20, 8])).shares).log()
    before = torch.stack([view + shift for view in views]).mean(0)
    torch.testing.assert_close((averaged + shift).softmax(1), before.softmax(1), rtol=1e-4, atol=1e-5)


def test_a_network_that_cannot_tell_mirror_images_gains_nothing():
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(predict_logits(model, images, views=2), predict_logits(model, images))


@pytest.mark.parametrize(("rows", "count", "message"), [
    (torch.zeros(2, 5), 2, "test views: 2 of rows .5., which are no images"),
    (torch.zeros(2, 3, 8, 8), 3, "test views: 3; choose 1, 2, 5, 10"),
])  # fmt: skip
def test_views_that_cannot_be_are_said(rows, count, message):
    with pytest.raises(InputError, match=message):
        list(views_of(rows, count))
