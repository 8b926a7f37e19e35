"""Masks against published boxes and naive loops: what is pasted is what the labels say, to the pixel."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import midmix
from midmix.errors import InputError
from midmix.mixing import (
    BetaRatio,
    BothOwners,
    Box,
    Channels,
    FixedRatio,
    Hidden,
    Input,
    Mix,
    RandomPairs,
    ResizedBox,
    SalientBox,
    TwoSided,
)
from midmix.mixing.mask import box
from midmix.mixing.saliency import saliency
from midmix.models import build
from midmix.training.step import can_divide, mixed_step

Y = torch.tensor([0, 1, 2, 3, 0, 0, 2])


def test_boxes_and_their_realised_share_are_the_authors(values):
    rows = values["cutmix_bbox"]["outputs"]["rows"]
    for height, width, share, cy, cx, top, bottom, left, right, realised in rows:
        centres = torch.tensor([[int(cy), int(cx)]])
        own = box(torch.Size([int(height), int(width)]), torch.tensor([share]), centres)[0, 0]
        expected = torch.ones_like(own)
        expected[int(top) : int(bottom), int(left) : int(right)] = False
        assert torch.equal(own, expected), (height, width, share, cy, cx)
        assert own.float().mean().item() == pytest.approx(realised, abs=1e-6)


def test_resize_mix_has_the_published_box_where_it_asks_for_the_same_share(values):
    """There λ is asked for evenly, and not a side, as in the paper; the box of a λ is the same."""
    rows = values["resizemix_bbox_mmpretrain"]["outputs"]["rows"]
    for height, width, draw, cy, cx, top, bottom, left, right, realised in rows:
        centres = torch.tensor([[int(cy), int(cx)]])
        own = box(torch.Size([int(height), int(width)]), torch.tensor([draw * 0.7 + 0.1]), centres)[0, 0]
        expected = torch.ones_like(own)
        expected[int(top) : int(bottom), int(left) : int(right)] = False
        assert torch.equal(own, expected), (height, width, draw, cy, cx)
        assert own.float().mean().item() == pytest.approx(realised, abs=1e-6)


@pytest.mark.parametrize("size", [(32, 32), (7, 5), (1, 3), (9,)], ids=str)
def test_a_batchs_one_box_is_the_box_of_a_row_to_the_bit(size, generator):
    """On a processor it is worked out in numbers, elsewhere in tensors."""
    sizes, features = torch.Size(size), torch.zeros(2, 3, *size)
    for share in (0.0, 0.25, 0.75, 1.0, *torch.rand(300, generator=generator).tolist()):
        asked, seed = torch.tensor([share, share]), int(torch.randint(2**31, (), generator=generator))
        found = Box().lay(features, asked, torch.Generator().manual_seed(seed))
        centres = torch.rand(1, len(size), generator=torch.Generator().manual_seed(seed))
        assert torch.equal(found, box(sizes, asked[:1], (centres * torch.tensor(size)).long()))


@pytest.mark.parametrize("size", [(8, 8), (5, 9), (7,), (3, 4, 6)], ids=str)
def test_a_box_as_a_slice_is_the_box_as_a_mask_with_its_slopes(size, generator):
    part, partner = Box(), torch.tensor([2, 0, 0, 1])
    for share in (0.0, 0.3, 0.8, 1.0):
        mask = part.lay(torch.zeros(4, 2, *size), torch.full((4,), share), generator)
        found = []
        for masks in (mask, mask.expand(4, *mask.shape[1:])):  # one for the batch is a slice
            x = torch.randn(4, 2, *size, generator=torch.Generator().manual_seed(0)).requires_grad_()
            pasted = part.paste(x, x, partner, masks)
            (pasted**2).sum().backward()
            found.append((pasted.detach(), x.grad))
        for one, other in zip(*found, strict=True):
            assert torch.equal(one, other)
        unwatched = x.detach()
        kept = unwatched.clone()
        assert torch.equal(part.paste(unwatched, unwatched, partner, mask), found[0][0])
        assert torch.equal(unwatched, kept)


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (5, 9), (7,), (3, 4, 6)], ids=str)
def test_cutmix_equals_a_loop_over_pixels(per_row, size, generator):
    x = torch.randn(7, 2, *size, generator=generator)
    mix = midmix.recipe("cutmix", 4, per_row=per_row)
    for _ in range(20):
        plan = mix.plan(Y, generator, inputs=x)
        mixed, own = plan.apply(x), plan.blend.own.expand(7, 1, *size)
        for row, partner in enumerate(plan.partner.tolist()):
            theirs = 0
            for place in torch.cartesian_prod(*map(torch.arange, size)).reshape(-1, len(size)).tolist():
                at = (slice(None), *place)
                mine = bool(own[row][(0, *place)])
                theirs += not mine
                assert torch.equal(mixed[row][at], x[row if mine else partner][at])
            share = 1 - theirs / torch.Size(size).numel()
            assert plan.targets[0][1][row].item() == pytest.approx(share, abs=1e-6)
            assert plan.targets[1][1][row].item() == pytest.approx(1 - share, abs=1e-6)
            assert plan.targets[1][0][row] == Y[partner]


@pytest.mark.parametrize("per_row", [False, True])
def test_resize_mix_pastes_what_torch_makes_of_the_whole_partner(per_row, generator):
    x = torch.randn(7, 3, 9, 12, generator=generator)
    mix = midmix.recipe("resize-mix", 4, low=0.4, high=1.0, per_row=per_row)
    for _ in range(10):
        plan = mix.plan(Y, generator, inputs=x)
        own = plan.blend.own.expand(7, 1, 9, 12)[:, 0]
        expected = x.clone()
        for row, partner in enumerate(plan.partner.tolist()):
            inside = (~own[row]).nonzero()
            if len(inside) and partner != row:
                (top, left), (bottom, right) = inside.amin(0).tolist(), (inside.amax(0) + 1).tolist()
                small = F.interpolate(x[partner][None], size=(bottom - top, right - left), mode="bilinear")
                expected[row, :, top:bottom, left:right] = small[0]
        torch.testing.assert_close(plan.apply(x), expected, atol=1e-5, rtol=0)


def test_channels_and_columns_are_as_many_as_asked_for(generator):
    for share, count in [(0.7, 10), (0.5, 7), (1.0, 4), (0.0, 4), (1 / 3, 6)]:
        taken = torch.zeros(count)
        for _ in range(50):
            mask = Channels().lay(torch.zeros(3, count), torch.full((3,), share), generator)
            assert mask.shape == (1, count)
            assert int((~mask).sum()) == int((1 - share) * count + 1e-6)
            taken += ~mask[0]
        assert bool((taken > 0).all()) == (share < 1)


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.body = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU())
        self.fc = nn.Linear(6, 4)
        self.saves_memory = False

    def features(self, x: Tensor) -> Tensor:
        return self.body(self.stem(x).tanh()).mean((2, 3))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        z = checkpoint(self.features, x, use_reentrant=False) if self.saves_memory else self.features(x)
        return self.fc(z)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["cutmix", "resize-mix"])
def test_a_pass_repeated_for_gradient_checkpointing_has_the_same_mask(name, generator):
    torch.manual_seed(0)
    model, x = Checkpointed(), torch.randn(7, 3, 8, 8)
    gradients = []
    for saves_memory in (False, True):
        model.saves_memory = saves_memory
        mix = midmix.recipe(name, 4, site=Hidden("stem")).attach(model)
        for seed in range(5):
            model.zero_grad()
            with mix(Y, torch.Generator().manual_seed(seed)) as batch:
                logits = model(x)
            batch.loss(logits).backward()
            gradients += [parameter.grad.clone() for parameter in model.parameters()]
        mix.remove()
    half = len(gradients) // 2
    for plain, repeated in zip(gradients[:half], gradients[half:], strict=True):
        assert torch.equal(plain, repeated)


@pytest.mark.parametrize("name", ["cutmix", "resize-mix", "saliency-mix"])
def test_with_hooks_and_without_the_loss_is_the_same(name):
    x = torch.rand(7, 3, 8, 8)
    losses = []
    for divided in (False, True):
        model = build("resnet-8", (3, 8, 8), 4, width=4, seed=0).train()
        mix = midmix.recipe(name, 4).attach(model)
        assert can_divide(model, mix)
        generator = torch.Generator().manual_seed(3)
        for _ in range(3):
            stepped, _ = mixed_step(model, mix, x, Y, mix._loss, divided=divided, generator=generator)
            loss = stepped.loss
            loss.backward()
            losses.append((loss.detach(), mix.prior.of_targets(), model.fc.weight.grad.clone()))
    for hooked, plain in zip(losses[:3], losses[3:], strict=True):
        for one, two in zip(hooked, plain, strict=True):
            assert torch.equal(one, two)


def test_the_salient_box_lies_around_the_partners_most_salient_pixel(generator):
    """A model that looks at one pixel of each image: that pixel is what is pasted."""
    x = torch.randn(7, 1, 9, 9, generator=generator)
    at = torch.randint(9, (7, 2), generator=generator)

    def answer(images: Tensor) -> Tensor:
        seen = images[torch.arange(7), 0, at[:, 0], at[:, 1]]
        return torch.stack([seen, -seen, 2 * seen, 0 * seen], 1)

    mix = Mix(RandomPairs(), FixedRatio(0.8), TwoSided(), mask=SalientBox(), site=Input(), num_classes=4)
    for _ in range(10):
        plan = mix.plan(Y, generator, inputs=x, answer=answer)
        own = plan.blend.own[:, 0]
        for row, partner in enumerate(plan.partner.tolist()):
            top, left = at[partner].tolist()
            near = own[row, max(top - 3, 0) : top + 4, max(left - 3, 0) : left + 4]
            assert not bool(near.all()), "the smoothed peak lies within three pixels"


def test_saliency_equals_autograd_row_by_row_and_leaves_nothing_behind(generator):
    model = build("resnet-8", (3, 8, 8), 4, width=4, seed=0).eval()
    x = torch.rand(7, 3, 8, 8, generator=generator)
    found = saliency(x, Y, model, smooth=1)
    for row in range(7):
        image = x[row : row + 1].clone().requires_grad_()
        F.cross_entropy(model(image), Y[row : row + 1]).backward()
        torch.testing.assert_close(found[row], image.grad[0].square().mean(0).sqrt(), atol=1e-6, rtol=1e-4)
    model.zero_grad()
    saliency(x, Y, model)
    assert not x.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


def test_saliency_leaves_no_trace_in_batch_statistics():
    model = build("resnet-8", (3, 8, 8), 4, width=4, seed=0).train()
    mix = midmix.recipe("saliency-mix", 4).attach(model)
    with mix(Y, torch.Generator().manual_seed(0)):
        model(torch.rand(7, 3, 8, 8))
    seen = {int(b) for name, b in model.named_buffers() if name.endswith("num_batches_tracked")}
    assert seen == {1}
    assert all(module.training for module in model.modules())


def test_a_share_of_the_batches_is_mixed_and_the_others_show_clean_logits(generator):
    model = build("resnet-8", (3, 8, 8), 4, width=4, seed=0)
    x = torch.rand(7, 3, 8, 8)
    mix = midmix.recipe("am-mixup", 4, site=Input(), probability=0.3).attach(model)
    mixed = seen = 0
    for _ in range(60):
        with mix(Y, generator) as batch:
            logits = model(x)
        before = mix.ratio.tally.counts[1].item()
        mix.loss(logits)
        mixed += batch.plan.mixes
        seen += mix.ratio.tally.counts[1].item() > before
    assert 8 < mixed < 30
    assert seen == 60 - mixed


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (
            lambda: midmix.recipe("resize-mix", 4).plan(Y, inputs=torch.zeros(7, 5)),
            r"mask: rows of shape \(5,\) cannot be made smaller; images \[B, C, H, W\] are needed",
        ),
        (lambda: midmix.recipe("cutmix", 4).plan(Y).apply(torch.zeros(7, 5)), "its mask is not laid yet"),
        (lambda: midmix.recipe("cutmix", 4).plan(Y).loss(torch.zeros(7, 4)), "its mask is not laid yet"),
        (
            lambda: (
                midmix.recipe("cutmix", 4).plan(Y, inputs=torch.zeros(7, 1, 5)).apply(torch.zeros(7, 1, 6))
            ),
            r"mask: laid on \(1, 5\) and used on \(1, 6\)",
        ),
        (
            lambda: midmix.recipe("saliency-mix", 4).plan(Y, inputs=torch.zeros(7, 1, 5)),
            "takes the model's answers",
        ),
        (
            lambda: midmix.recipe("saliency-mix", 4, site=Hidden("stem")),
            "follows the gradient at the model's input",
        ),
        (
            lambda: Mix(
                RandomPairs(), FixedRatio(0.5), BothOwners(), mask=SalientBox(), site=Input(), num_classes=4
            ),
            "made for one side of a pair, and BothOwners mixes both",
        ),
        (
            lambda: Mix(RandomPairs(), BetaRatio(per_row=True), TwoSided(), mask=ResizedBox(), num_classes=4),
            "is one for the batch, and BetaRatio gives each row a λ of its own",
        ),
        (lambda: midmix.recipe("resize-mix", 4, low=0.9, high=0.1), "0 ≤ low ≤ high ≤ 1 is needed"),
        (lambda: midmix.recipe("cutmix", 4, probability=2), "probability: 2 is a share of the batches"),
        (
            lambda: midmix.recipe("cutmix", 4).plan(Y, inputs=torch.zeros(5, 1, 5)),
            "features: 5 rows, labels: 7",
        ),
    ],
)
def test_errors_say_what_and_what_to_do(act, says):
    with pytest.raises(InputError, match=says) as caught:
        act()
    assert "\n" not in str(caught.value)


def test_masks_print_as_they_are_written():
    assert repr(midmix.recipe("cutmix", 4).mask) == "Box(per_row=False)"
    assert Box() == Box(per_row=False)
