"""However rows are cut into batches and parts, the measures are those of the rows."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys

import pytest
import torch

from midmix import measures
from midmix.errors import InputError
from midmix.measures import CollapseMeter, collapse_report, report_of

C, D, N = 4, 6, 60


@pytest.fixture
def data():
    g = torch.Generator().manual_seed(0)
    labels = torch.multinomial(torch.tensor([8.0, 4.0, 2.0, 1.0]), N, replacement=True, generator=g)
    labels[:C] = torch.arange(C)
    features = torch.randn(N, D, generator=g) + torch.eye(C, D)[labels]
    logits = torch.randn(N, C, generator=g) + 2 * torch.eye(C)[labels]
    return features, labels, logits, torch.randn(C, D, generator=g)


def meter_of(data, cuts=(), **settings):
    features, labels, logits, _ = data
    meter = CollapseMeter(C, **settings)
    edges = [0, *cuts, N]
    for start, stop in itertools.pairwise(edges):
        meter.update(features[start:stop], labels[start:stop], logits[start:stop])
    return meter


def same(found, expected):
    assert found.totals == pytest.approx(expected.totals, abs=1e-7, nan_ok=True)
    for name, column in expected.per_class.items():
        if name in ("class", "nearest_class"):
            assert found.per_class[name] == column
        else:
            assert found.per_class[name] == pytest.approx(column, abs=1e-7, nan_ok=True), name
    assert torch.allclose(found.centre_distances, expected.centre_distances, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("cuts", [(), (30,), (1, 2, 3), (0, 17, 17, 59), tuple(range(1, N))])
def test_any_batching(data, cuts):
    features, labels, logits, weight = data
    same(
        report_of(meter_of(data, cuts), weight=weight),
        collapse_report(features, labels, logits, (weight, None)),
    )


@pytest.mark.parametrize("parts", [1, 2, 5, N])
def test_any_number_of_parts(data, parts):
    features, labels, logits, weight = data
    rows = torch.randperm(N, generator=torch.Generator().manual_seed(1)).tensor_split(parts)
    whole = CollapseMeter(C)
    for part in rows:
        meter = CollapseMeter(C)
        meter.update(features[part], labels[part], logits[part])
        before = meter.state_dict()
        whole.merge(meter)
        assert meter.state_dict().keys() == before.keys()
        assert all(torch.equal(value, before[name]) for name, value in meter.state_dict().items())
    same(report_of(whole, weight=weight), collapse_report(features, labels, logits, (weight, None)))


def test_merging_nothing_changes_nothing(data):
    whole = meter_of(data)
    whole.merge(CollapseMeter(C))
    other = CollapseMeter(C)
    other.merge(whole)
    other.update(torch.zeros(0, D), torch.zeros(0, dtype=torch.long), torch.zeros(0, C))
    same(report_of(other), report_of(meter_of(data)))


def test_methods_are_the_functions(data):
    features, labels, logits, weight = data
    meter = meter_of(data, (20,))
    assert meter.alignment() == pytest.approx(measures.alignment(features, labels))
    assert meter.alignment_wi(1.5) == pytest.approx(measures.alignment_wi(features, labels, alpha=1.5))
    assert meter.uniformity_wi(3) == pytest.approx(measures.uniformity_wi(features, labels, t=3))
    assert meter.neighborhood_uniformity(2) == pytest.approx(
        measures.neighborhood_uniformity(features, labels, 2)
    )
    assert meter.nc1() == pytest.approx(measures.nc1(features, labels))
    assert meter.nc2() == pytest.approx(measures.nc2(features, labels))
    assert meter.nc3(weight) == pytest.approx(measures.nc3(features, labels, weight))
    assert meter.nc4() == measures.nc4(features, labels, logits)
    direct = measures.margins(logits, labels)
    torch.testing.assert_close(meter.margins().quantiles, direct.quantiles)
    assert meter.margins().balance == pytest.approx(direct.balance)


def test_the_state_is_plain_tensors_and_goes_on_where_it_was(data):
    features, labels, logits, _ = data
    first = CollapseMeter(C)
    first.update(features[:25], labels[:25], logits[:25])
    state = first.state_dict()
    assert all(type(value) is torch.Tensor for value in state.values())
    second = CollapseMeter(C)
    second.load_state_dict(state)
    second.update(features[25:], labels[25:], logits[25:])
    same(report_of(second), report_of(meter_of(data)))
    assert CollapseMeter(C).state_dict() == {}


def test_the_callers_rows_may_change_afterwards(data):
    features, labels, logits, _ = data
    expected = report_of(meter_of(data))
    mine, theirs = features.clone(), labels.clone()
    meter = CollapseMeter(C)
    meter.update(mine, theirs, logits)
    mine.zero_()
    theirs.zero_()
    same(report_of(meter), expected)


# --- sampling -----------------------------------------------------------------------------------------------


def long_data(seed, n=1500):
    g = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(torch.tensor([30.0, 5.0, 0.2]), n, replacement=True, generator=g)
    labels[:20] = 2
    features = torch.randn(n, 8, generator=g) + 2 * torch.eye(3, 8)[labels]
    return features, labels, torch.randn(n, 3, generator=g) + 2 * torch.eye(3)[labels]


def test_a_sample_is_unbiased_and_its_standard_error_is_right():
    features, labels, logits = long_data(0)
    exact = collapse_report(features, labels, logits)
    assert exact.standard_errors == {}
    names = ("alignment", "uniformity_wi", "nc4")
    off: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(25):
        found = collapse_report(features, labels, logits, max_rows=120, seed=seed)
        assert set(found.standard_errors) == set(names)
        for name in names:
            off[name].append((found.totals[name] - exact.totals[name]) / found.standard_errors[name])
        assert found.per_class["alignment"][2] == pytest.approx(
            exact.per_class["alignment"][2]
        )  # all rows kept
    for name in names:
        z = torch.tensor(off[name])
        assert z.mean().abs() < 3 / math.sqrt(25), name
        assert 0.65 < z.std() < 1.4, name


def test_functions_sample_too():
    features, labels, _ = long_data(1)
    for measure in (
        measures.alignment,
        measures.uniformity_wi,
        lambda *a, **k: measures.alignment_wi(*a, alpha=1, **k),
    ):
        exact, found = measure(features, labels), measure(features, labels, max_rows=300, seed=3)
        assert exact.standard_error == 0 < found.standard_error < 0.05
        assert abs(found - exact) < 4 * found.standard_error
        assert (
            measure(features, labels, max_rows=300, seed=3)
            == found
            != measure(features, labels, max_rows=300)
        )
        assert measure(features, labels, max_rows=5000) == exact


def test_a_bounded_stream_stays_bounded_and_keeps_the_exact_ones_exact():
    features, labels, logits = long_data(2)
    meter = CollapseMeter(3, max_rows=50)
    for some in torch.arange(1500).split(100):
        meter.update(features[some], labels[some], logits[some])
        assert sum(len(part["labels"]) for part in meter._kept) <= 2 * 3 * 50 + 100
    kept = torch.bincount(meter.state_dict()["rows.labels"], minlength=3)
    assert kept.tolist() == torch.bincount(labels).clamp_max(50).tolist()
    exact, found = collapse_report(features, labels, logits), report_of(meter)
    for name in (
        "class_uniformity",
        "neighborhood_uniformity",
        "alignment_wi",
        "nc1",
        "nc2_equinorm",
        "margin_balance",
    ):
        assert found.totals[name] == pytest.approx(exact.totals[name]), name
    assert abs(found.totals["alignment"] - exact.totals["alignment"]) < 4 * found.standard_errors["alignment"]


# --- processes ----------------------------------------------------------------------------------------------

SCRIPT = """
import sys, torch
import torch.distributed as dist
from midmix.measures import CollapseMeter, collapse_report, report_of
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
g = torch.Generator().manual_seed(0)
features, labels, logits = torch.randn(50, 4, generator=g), torch.arange(50) % 3, torch.randn(50, 3, generator=g)
expected = collapse_report(features, labels, logits).totals
for cut in (31, 50):  # unequal, and with nothing at all on the second
    meter, mine = CollapseMeter(3), slice(0, cut) if rank == 0 else slice(cut, 50)
    meter.update(features[mine], labels[mine], logits[mine])
    found = report_of(meter.gather()).totals
    assert found.keys() == expected.keys()
    assert all(abs(found[name] - expected[name]) < 1e-7 for name in found), (found, expected)
dist.destroy_process_group()
"""


def test_processes_gather_the_same_whole(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), str(tmp_path / "rendezvous")],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


def test_gather_without_processes_is_a_copy(data):
    meter = meter_of(data)
    same(report_of(meter.gather()), report_of(meter))


# --- what does not fit --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: CollapseMeter(C).alignment(), "no rows yet"),
        (lambda m: CollapseMeter(C).nc1(), "no rows yet"),
        (lambda m: CollapseMeter(0), "num_classes"),
        (lambda m: m.update(torch.randn(2, D + 1), torch.tensor([0, 1]), torch.randn(2, C)), "7 columns"),
        (
            lambda m: m.update(torch.randn(2, D), torch.tensor([0, C]), torch.randn(2, C)),
            "row 1 is 4 or more",
        ),
        (lambda m: m.update(torch.randn(2, D), torch.tensor([0, 1])), "every batch or with none"),
        (
            lambda m: m.update(torch.randn(2, D), torch.tensor([0, 1]), torch.randn(2, C + 1)),
            "5 columns for 4",
        ),
        (lambda m: m.update(torch.randn(2, D), torch.tensor([0, 1]), torch.randn(3, C)), "3 rows against 2"),
        (lambda m: m.merge(CollapseMeter(C + 1)), "parts must be alike"),
        (lambda m: m.merge(CollapseMeter(C, max_rows=99)), "parts must be alike"),
        (lambda m: m.load_state_dict({"unit.counts": torch.zeros(9)}), "9 classes, expected 4"),
        (lambda m: m.nc3(torch.randn(C, D + 1)), "head"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(data, call, says):
    meter = meter_of(data)
    with pytest.raises(InputError, match=says):
        call(meter)
    same(report_of(meter), report_of(meter_of(data)))


def test_logits_are_needed_where_they_are(data):
    meter = CollapseMeter(C)
    meter.update(*data[:2])
    assert not meter.has_logits
    assert "nc4" not in report_of(meter).totals
    for measure in (meter.nc4, meter.margins):
        with pytest.raises(InputError, match="needs logits"):
            measure()
