"""Normalisation: against a naive computation, constant columns, large offsets, rows decoded lazily."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from midmix.errors import InputError
from midmix.models import Normalize, build, fit_normalization, to_float


class Decoded:
    """Rows that are only read by index, counted."""

    def __init__(self, rows: Tensor) -> None:
        self.rows, self.read = rows, 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor) -> Tensor:
        self.read += len(index)
        return self.rows[index]


def images(n: int) -> Tensor:
    return torch.randint(0, 256, (n, 3, 5, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
@pytest.mark.parametrize("lazy", [False, True])
def test_images_per_channel(batch_size, lazy):
    rows = images(50)
    layer = Normalize((3, 5, 4))
    fit_normalization(layer, Decoded(rows) if lazy else rows, batch_size=batch_size)
    scaled = rows.numpy() / 255.0
    for channel in range(3):
        assert layer.mean[channel].item() == pytest.approx(scaled[:, channel].mean(), rel=1e-6)
        assert layer.std[channel].item() == pytest.approx(scaled[:, channel].std(), rel=1e-6)
    out = layer(to_float(rows))
    assert out.mean((0, 2, 3)).abs().max() < 1e-5
    assert (out.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-5


def test_features_at_any_magnitude_batched_as_whole():
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(300, 4, generator=generator) * torch.tensor([1e-6, 1.0, 1.0, 1e6])
    rows = rows + torch.tensor([0.0, 0.0, 1e4, 1e8])
    whole, batched = Normalize((4,)), Normalize((4,))
    fit_normalization(whole, rows, batch_size=300)
    fit_normalization(batched, rows, batch_size=7)
    numpy = rows.double().numpy()
    assert whole.mean.tolist() == pytest.approx(numpy.mean(0), rel=1e-6)
    assert whole.std.tolist() == pytest.approx(numpy.std(0), rel=1e-5)
    torch.testing.assert_close(batched.std, whole.std, rtol=1e-6, atol=0)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e30, 1e-30])
def test_constant_features_become_zero(value):
    rows = torch.stack([torch.full((37,), value), torch.arange(37.0)], 1)
    layer = Normalize((2,))
    fit_normalization(layer, rows, batch_size=10)
    out = layer(rows)
    assert layer.std[0] == 1
    assert out.isfinite().all()
    assert out[:, 0].abs().max() <= 1e-7 * max(1.0, abs(value))


def test_one_row_is_finite():
    model = build("mlp", (3,), 2)
    fit_normalization(model, torch.tensor([[1.0, 2.0, 3.0]]))
    assert model(torch.tensor([[1.0, 2.0, 4.0]])).isfinite().all()


def test_decoded_rows_are_sampled_evenly():
    rows = Decoded(torch.arange(1000.0)[:, None])
    layer = Normalize((1,))
    fit_normalization(layer, rows, max_decoded=100)
    assert rows.read == 100
    assert layer.mean.item() == pytest.approx(499.5, rel=1e-2)


def test_model_file_is_self_contained():
    rows = images(20)
    model = build("resnet-8", (3, 5, 4), 2, width=4, seed=0).eval()
    assert fit_normalization(model, rows) is model
    copy = build("resnet-8", (3, 5, 4), 2, width=4, seed=1).eval()
    copy.load_state_dict(model.state_dict())
    assert torch.equal(copy(to_float(rows)), model(to_float(rows)))
    assert not any(parameter is model.normalize.mean for parameter in model.parameters())


def test_inputs_stay_as_they_are():
    rows = torch.rand(8, 3)
    kept = rows.clone()
    layer = Normalize((3,))
    fit_normalization(layer, rows)
    layer(rows)
    assert torch.equal(rows, kept)


@pytest.mark.parametrize(
    ("model", "rows", "message"),
    [
        (Normalize((3,)), torch.zeros(0, 3), "no rows"),
        (Normalize((3,)), torch.zeros(4, 2), r"shape \(2,\) do not fit .* with 3"),
        (Normalize((3, 8, 8)), torch.zeros(4, 3), "do not fit a model for .*channels"),
        (Normalize((2,)), torch.tensor([[0.0, 1.0], [0.0, float("nan")]]), r"column\(s\) 1;"),
        (Normalize((1,)), torch.tensor([[float("inf")]]), r"column\(s\) 0;"),
        (nn.Linear(3, 2), torch.zeros(4, 3), "0 Normalize layers"),
    ],
)
def test_bad_inputs_say_what_to_do(model, rows, message):
    with pytest.raises(InputError, match=message):
        fit_normalization(model, rows)
