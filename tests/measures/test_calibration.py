from __future__ import annotations

import math

import pytest
import torch

from midmix.errors import InputError
from midmix.measures import expected_calibration_error, negative_log_likelihood, reliability_bins


def naive_ece(logits: torch.Tensor, labels: torch.Tensor, bins: int) -> float:
    rows = []
    for row, label in zip(logits.double(), labels, strict=True):
        p = row.softmax(0)
        rows.append((p.max().item(), p.argmax() == label))
    total = 0.0
    for b in range(bins):
        inside = [(p, hit) for p, hit in rows if b / bins < p <= (b + 1) / bins]
        if inside:
            gap = sum(float(hit) for _, hit in inside) - sum(p for p, _ in inside)
            total += abs(gap) / len(rows)
    return total


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_ece_is_the_naive_loop(bins):
    g = torch.Generator().manual_seed(1)
    logits, labels = 2 * torch.randn(300, 5, generator=g), torch.randint(0, 5, (300,), generator=g)
    assert expected_calibration_error(logits, labels, bins) == pytest.approx(naive_ece(logits, labels, bins))


def test_rows_in_many_chunks_give_the_same(monkeypatch):
    g = torch.Generator().manual_seed(2)
    logits, labels = torch.randn(50, 3, generator=g), torch.randint(0, 3, (50,), generator=g)
    whole = reliability_bins(logits, labels), negative_log_likelihood(logits, labels)
    monkeypatch.setattr("midmix.measures.calibration._ROWS_AT_ONCE", 7)
    again = reliability_bins(logits, labels), negative_log_likelihood(logits, labels)
    assert torch.equal(whole[0].count, again[0].count)
    assert whole[0].error == pytest.approx(again[0].error)
    assert whole[1] == pytest.approx(again[1])


def test_bins_count_every_row_and_leave_empty_ones_nan():
    logits = torch.tensor([[20.0, 0.0], [0.0, 20.0], [0.0, 0.0]])
    found = reliability_bins(logits, torch.tensor([0, 0, 0]), bins=4)
    assert found.count.tolist() == [0, 1, 0, 2]  # a confidence of one half is in (0.25, 0.5]
    assert math.isnan(found.accuracy[0])
    assert found.accuracy[3] == 0.5


def test_sure_and_right_is_zero_sure_and_wrong_is_one():
    logits = 100 * torch.eye(4)
    assert expected_calibration_error(logits, torch.arange(4)) == pytest.approx(0)
    assert expected_calibration_error(logits, (torch.arange(4) + 1) % 4) == pytest.approx(1)
    assert negative_log_likelihood(logits, (torch.arange(4) + 1) % 4) == pytest.approx(100)


def test_bins_must_be_positive():
    with pytest.raises(InputError, match="bins"):
        reliability_bins(torch.zeros(1, 2), torch.tensor([0]), bins=0)
