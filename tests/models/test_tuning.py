"""Which weights of an encoder are trained, that the first logits are the same, and what stays still."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.models import Encoder, TextInputs, find_encoder, prepare_tuning, trained_weights
from midmix.models.tuning import blocks_of, last_blocks

NAMES = ("vit", "bert", "convolutional")
Make = Callable[..., Encoder]


@pytest.fixture
def make(bert_tiny: Path) -> Make:
    """An encoder by its short name with 7 classes, the same weights each time; tuned as it says."""
    pytest.importorskip("timm")
    networks = {
        "vit": "timm:vit_tiny_patch16_224@32",
        "bert": str(bert_tiny),
        "convolutional": "timm:test_efficientnet",
    }

    def make(name: str, tune: str = "all", seed: int = 3) -> Encoder:
        weights = None if name == "bert" else "none"
        encoder = find_encoder(networks[name], weights, seed=1)
        torch.manual_seed(5)
        return prepare_tuning(encoder.classify(7), tune, seed=seed)

    return make


def rows(encoder: Encoder) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    if isinstance(encoder.inputs, TextInputs):
        return torch.randint(1, encoder.inputs.vocabulary, (6, 8), generator=generator)
    return torch.rand(6, *encoder.inputs.shape, generator=generator)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_logits_are_the_same_with_any_tuning(make, name):
    found = {tune: make(name, tune).eval() for tune in ("all", "head", "light", "last:1")}
    inputs = rows(found["all"])
    with torch.no_grad():
        expected = found["all"](inputs)
        for encoder in found.values():
            torch.testing.assert_close(encoder(inputs), expected)


@pytest.mark.parametrize("tune", ["head", "light", "last:1", "all"])
@pytest.mark.parametrize("name", NAMES)
def test_only_what_is_said_to_be_trained_moves(make, name, tune):
    encoder = make(name, tune).train()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], 0.1)
    for _ in range(2):  # an adapter's first matrix has no gradient while the second is 0
        loss = nn.functional.cross_entropy(encoder(rows(encoder)), torch.tensor([0, 1, 2, 3, 4, 5]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    moved = {key for key, value in encoder.state_dict().items() if not torch.equal(value, before[key])}
    trained = {key for key, value in encoder.named_parameters() if value.requires_grad}
    buffers = moved - {key for key, _ in encoder.named_parameters()}
    assert moved - buffers <= trained
    assert {"fc.weight", "fc.bias"} <= moved
    if tune == "head":
        assert moved == {"fc.weight", "fc.bias"}
    if tune in ("head", "light"):
        assert not buffers
    if tune == "all":
        assert moved - buffers == trained
    if tune == "light":
        assert any("lora_A" in key for key in moved)
        assert any("lora_B" in key for key in moved)
        assert all(before[key].dim() <= 1 for key in moved if "lora_" not in key and key != "fc.weight")


def test_light_trains_little(make):
    encoder = make("vit", "light")
    total = sum(parameter.numel() for parameter in encoder.parameters())
    assert 0.005 * total < trained_weights(encoder) < 0.02 * total
    assert trained_weights(make("vit", "all")) == sum(p.numel() for p in make("vit").parameters())


def test_last_blocks_of_a_transformer_are_its_last_layers_and_what_is_behind(make):
    encoder = make("vit", "last:2")
    trained = {key.split(".")[1] + "." + key.split(".")[2] for key, value in encoder.named_parameters()
               if value.requires_grad and key.startswith("body")}  # fmt: skip
    assert trained == {"blocks.10", "blocks.11", "norm.weight", "norm.bias"}
    encoder.train()
    assert not encoder.body.blocks[0].training
    assert encoder.body.blocks[11].training
    assert len(blocks_of(encoder.body)) == 12
    text = make("bert", "last:1")
    trained = {
        key.partition("layer.")[2][:1] for key, value in text.named_parameters() if value.requires_grad
    }
    assert trained == {"1", ""}  # the second of two layers, and the classifier


def test_adapters_are_those_of_the_seed_and_leave_the_random_state_alone(make):
    encoder = make("vit")
    before = torch.get_rng_state()
    first = prepare_tuning(encoder, "light", seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    again, other = make("vit", "light").state_dict(), make("vit", "light", seed=4).state_dict()
    (name, *_) = [key for key in first if "lora_A" in key]
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])


@pytest.mark.parametrize(("tune", "message"), [
    ("lihgt", "unknown tune 'lihgt': did you mean light?"),
    ("last", "tune: 'last'; write how many blocks are trained, such as last:2"),
    ("last:0", "tune: 'last:0'; write how many blocks"),
    ("last:13", r"tune: last:13 of timm:vit_tiny_patch16_224@32, which has 12 blocks; use fewer, or all"),
])  # fmt: skip
def test_what_cannot_be_tuned_is_said(make, tune, message):
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        make("vit", tune)
    assert last_blocks("last:3") == 3
