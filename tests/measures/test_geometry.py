"""Each measure against a loop that does what the definition says, in float64, pair by pair."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from midmix import measures
from midmix.errors import InputError
from midmix.measures import _pairs

# --- the definitions, read out loud -------------------------------------------------------------------------


def unit(z):
    norm = np.linalg.norm(z)
    return z / norm if norm else z


def rows_of(z, y):
    return {c: [unit(row) for row in z[y == c]] for c in sorted(set(y.tolist()))}


def distance(u, v):
    return float(np.linalg.norm(u - v))


def naive_alignment(z, y):
    by_class = []
    for rows in rows_of(z, y).values():
        by_class.append(sum(distance(a, b) for a in rows for b in rows) / len(rows) ** 2)
    return sum(by_class) / len(by_class)


def naive_alignment_wi(z, y, alpha):
    found = []
    for rows in rows_of(z, y).values():
        found += [distance(rows[a], rows[b]) ** alpha for a in range(len(rows)) for b in range(a)]
    return sum(found) / len(found) if found else math.nan


def naive_uniformity_wi(z, t):
    rows = [unit(row) for row in z]
    found = [math.exp(-t * distance(rows[a], rows[b]) ** 2) for a in range(len(rows)) for b in range(a)]
    return math.log(sum(found) / len(found))


def naive_centres(z, y):
    return [unit(sum(rows) / len(rows)) for rows in rows_of(z, y).values()]


def naive_class_uniformity(z, y):
    centres = naive_centres(z, y)
    found = [distance(a, b) for i, a in enumerate(centres) for j, b in enumerate(centres) if i != j]
    return sum(found) / len(found) if found else math.nan


def naive_neighborhood_uniformity(z, y, k):
    centres = naive_centres(z, y)
    found = []
    for i, a in enumerate(centres):
        nearest = sorted(distance(a, b) for j, b in enumerate(centres) if i != j)[:k]
        found.append(sum(nearest) / len(nearest) if nearest else math.nan)
    return sum(found) / len(found)


def naive_nc(z, y):
    """nc1 and the three of nc2."""
    classes = sorted(set(y.tolist()))
    means = [z[y == c].mean(0) for c in classes]
    overall = sum(means) / len(means)
    within = np.zeros((z.shape[1],) * 2)
    for c, mean in zip(classes, means, strict=True):
        for row in z[y == c]:
            within += np.outer(row - mean, row - mean) / len(z)
    centred = [mean - overall for mean in means]
    between = sum(np.outer(m, m) for m in centred) / len(means)
    nc1 = np.trace(within @ np.linalg.pinv(between, rcond=1e-12)) / len(means)
    norms = [np.linalg.norm(m) for m in centred]
    equinorm = np.std(norms) / np.mean(norms) if max(norms) > 1e-12 else 0.0
    directions = [unit(m) for m in centred]
    cosines = [a @ b for i, a in enumerate(directions) for j, b in enumerate(directions) if i != j]
    if not cosines:
        return [nc1, equinorm, math.nan, math.nan]
    simplex = -1 / (len(means) - 1)
    return [nc1, equinorm, np.std(cosines), np.mean([abs(cos - simplex) for cos in cosines])]


def naive_nc3(z, y, w):
    means = [z[y == c].mean(0) for c in range(len(w))]
    centred = np.stack(means) - sum(means) / len(means)
    return np.linalg.norm(w / np.linalg.norm(w) - centred / np.linalg.norm(centred))


def naive_nc4(z, y, logits):
    means = [z[y == c].mean(0) for c in range(logits.shape[1])]
    nearest = [int(np.argmin([distance(row, mean) for mean in means])) for row in z]
    return sum(int(np.argmax(scores)) == c for scores, c in zip(logits, nearest, strict=True)) / len(z)


# --- the inputs ---------------------------------------------------------------------------------------------


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tight(n, width, spread, seed=0):
    """Nearly identical rows, far from the origin."""
    return randn(1, width, seed=seed) + spread * randn(n, width, seed=seed + 1)


N = 24
LABELS = torch.tensor([0] * 10 + [1] * 7 + [2] * 5 + [3] * 2)
CASES: dict[str, tuple[torch.Tensor, torch.Tensor]] = {
    "random": (randn(N, 16), LABELS),
    "shuffled, a class missing": (randn(30, 8), torch.arange(30) * 7 % 5 * 2),
    "one class": (randn(25, 8), torch.zeros(25, dtype=torch.long)),
    "class of one row": (randn(9, 8), torch.tensor([0, 0, 0, 0, 1, 2, 2, 2, 2])),
    "one dimension": (randn(21, 1), torch.arange(21) % 3),
    "two dimensions": (randn(N, 2), LABELS),
    "half": (randn(N, 16).half(), LABELS),
    "bfloat16": (randn(N, 16).bfloat16(), LABELS),
    "float64": (randn(N, 16).double(), LABELS),
    "int32 labels": (randn(N, 16), LABELS.int()),
    "nearly identical rows": (tight(N, 64, 1e-4), LABELS),
    "two tight clusters a class": (
        torch.cat([tight(12, 64, 1e-6), tight(12, 64, 1e-6, seed=5)]),
        torch.arange(N) % 2,
    ),
    "one outlier among copies": (
        torch.cat([randn(1, 64, seed=2), randn(1, 64).expand(N - 1, 64)]),
        torch.arange(N) % 2,
    ),
    "a row of zeros": (torch.cat([torch.zeros(1, 8), randn(N - 1, 8)]), LABELS),
    "tiny and huge rows": (randn(N, 8) * torch.logspace(-9, 9, N)[:, None], LABELS),
    "collapsed far from the origin": (100 + randn(4, 32)[LABELS] + 1e-3 * randn(N, 32), LABELS),
}


@pytest.fixture(params=list(CASES))
def case(request):
    z, y = CASES[request.param]
    return z, y, z.double().numpy(), y.numpy()


@pytest.fixture(params=[1024, 7], ids=["one tile", "many tiles"])
def _tiles(request, monkeypatch):
    monkeypatch.setitem(_pairs.SIDE, "cpu", request.param)


def close(value, rel=1e-5, abs=1e-5):
    return pytest.approx(value, rel=rel, abs=abs, nan_ok=True)


@pytest.mark.usefixtures("_tiles")
class TestPairs:
    def test_alignment(self, case):
        z, y, nz, ny = case
        assert measures.alignment(z, y) == close(naive_alignment(nz, ny))

    @pytest.mark.parametrize("alpha", [1, 1.5, 2, 3])
    def test_alignment_wi(self, case, alpha):
        z, y, nz, ny = case
        assert measures.alignment_wi(z, y, alpha=alpha) == close(naive_alignment_wi(nz, ny, alpha))

    @pytest.mark.parametrize("t", [2, 8, 50])
    def test_uniformity_wi(self, case, t):
        z, y, nz, _ = case
        assert measures.uniformity_wi(z, y, t=t) == close(naive_uniformity_wi(nz, t))
        assert measures.uniformity_wi(z, t=t) == measures.uniformity_wi(z, y, t=t)

    def test_class_uniformity(self, case):
        z, y, nz, ny = case
        assert measures.class_uniformity(z, y) == close(naive_class_uniformity(nz, ny))


@pytest.mark.parametrize("k", [1, 2, 99])
def test_neighborhood_uniformity(case, k):
    z, y, nz, ny = case
    assert measures.neighborhood_uniformity(z, y, k) == close(naive_neighborhood_uniformity(nz, ny, k))


def test_neural_collapse(case):
    z, y, nz, ny = case
    if nz.max() > 1e6:
        pytest.skip("the naive pseudo-inverse has no digits left")
    assert [measures.nc1(z, y), *measures.nc2(z, y)] == close(naive_nc(nz, ny))
    classes = int(y.max()) + 1
    if len(set(ny.tolist())) == classes > 1:
        w, logits = randn(classes, z.shape[1], seed=3), randn(len(z), classes, seed=4)
        assert measures.nc3(z, y, w) == close(naive_nc3(nz, ny, w.double().numpy()))
        assert measures.nc4(z, y, logits) == close(naive_nc4(nz, ny, logits.numpy()))


def test_values_per_class(case):
    z, y, nz, ny = case
    align, apart = measures.alignment(z, y).per_class, measures.class_uniformity(z, y).per_class
    squared = measures.alignment_wi(z, y).per_class
    for c in range(int(y.max()) + 1):
        members = ny == c
        if not members.any():
            assert math.isnan(align[c])
            assert math.isnan(apart[c])
            continue
        assert align[c].item() == close(naive_alignment(nz[members], ny[members]))
        assert squared[c].item() == close(naive_alignment_wi(nz[members], ny[members], 2))
    assert apart.nanmean().item() == close(measures.class_uniformity(z, y))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("width", [1, 5, 512])
def test_identical_rows_have_values_and_no_nan(dtype, width):
    z, y = (randn(1, width) + 3).to(dtype).expand(24, width), torch.arange(24) % 3
    logits = randn(1, 3).expand(24, 3)
    found = measures.collapse_report(z, y, logits, head=(randn(3, width), None), k=2)
    wrong = {name: value for name, value in found.totals.items() if math.isnan(value)}
    assert not wrong
    for name in ("alignment", "alignment_wi", "uniformity_wi", "class_uniformity", "nc1", "nc2_equinorm"):
        assert found.totals[name] == close(0, abs=1e-7), name
    assert found.totals["nc2_maximal_angle"] == close(0.5)
    assert found.totals["nc4"] == 1


def test_one_row_alone():
    z, y = randn(1, 4), torch.tensor([0])
    assert measures.alignment(z, y) == close(0)
    for nothing in (measures.alignment_wi(z, y), measures.uniformity_wi(z), measures.class_uniformity(z, y)):
        assert math.isnan(nothing)


def test_a_simplex_is_the_best_there_is():
    z, y = torch.eye(5).repeat(4, 1), torch.arange(20) % 5
    found = measures.collapse_report(z, y, head=(torch.eye(5) - 0.2, None)).totals
    simplex = z - 0.2
    assert measures.class_uniformity(simplex, y) == close(math.sqrt(2 * 5 / 4))
    assert [found[name] for name in ("alignment", "nc1", "nc2_equinorm", "nc2_equiangular", "nc3")] == close(
        [0] * 5, abs=1e-7
    )
    assert [found["nc4"], found["margin_balance"]] == close([1, 1])


def test_low_precision_products_are_not_used():
    z, y = tight(60, 64, 1e-2), torch.arange(60) % 2
    exact = measures.alignment(z, y), measures.uniformity_wi(z)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (measures.alignment(z, y), measures.uniformity_wi(z)) == exact
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert (measures.alignment(z, y), measures.uniformity_wi(z)) == close(exact, abs=1e-6)
    finally:
        torch.set_float32_matmul_precision(before)


def test_the_callers_tensors_stay_and_gradients_do_not_flow(case):
    z, y, *_ = case
    mine, theirs = z.clone().requires_grad_(), y.clone()
    found = measures.collapse_report(mine, theirs)
    assert torch.equal(mine, z)
    assert torch.equal(theirs, y)
    assert not found.centre_distances.requires_grad


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: measures.alignment(randn(3, 2), torch.tensor([0, 1])), "3 rows against 2 labels"),
        (lambda: measures.alignment(randn(2, 2), torch.tensor([0, -1])), "row 1 is negative"),
        (lambda: measures.alignment(randn(2), torch.tensor([0, 1])), r"\[N, D\]"),
        (lambda: measures.alignment(torch.zeros(0, 2), torch.zeros(0).long()), "at least one"),
        (lambda: measures.alignment(torch.ones(2, 2).long(), torch.tensor([0, 1])), "floating-point"),
        (
            lambda: measures.nc1(torch.tensor([[1.0], [torch.inf]]), torch.tensor([0, 1])),
            "row 1 is not finite",
        ),
        (
            lambda: measures.nc1(torch.tensor([[1.0], [torch.nan]]), torch.tensor([0, 1])),
            "row 1 is not finite",
        ),
        (lambda: measures.alignment(randn(2, 2), torch.tensor([0, 1]), max_rows=2), "max_rows"),
        (lambda: measures.alignment_wi(randn(2, 2), torch.tensor([0, 1]), alpha=0.5), "alpha"),
        (lambda: measures.uniformity_wi(randn(2, 2), t=-1), "t: "),
        (lambda: measures.uniformity_wi(randn(2, 2), t=1e9), "t: "),
        (lambda: measures.neighborhood_uniformity(randn(2, 2), torch.tensor([0, 1]), 0), "k: "),
        (lambda: measures.nc3(randn(2, 2), torch.tensor([0, 1]), randn(2, 3)), r"head: weight is \[2, 3\]"),
        (lambda: measures.nc4(randn(2, 2), torch.tensor([0, 1]), randn(2, 1)), "row 1 is 1 or more"),
        (
            lambda: measures.collapse_report(randn(2, 2), torch.tensor([0, 1]), head=(randn(2, 2), randn(3))),
            r"bias is \[3\]",
        ),
        (
            lambda: measures.collapse_report(
                randn(2, 2), torch.tensor([0, 1]), randn(2, 3), classes=["a", "b"]
            ),
            "2 by class names, 3 by logits",
        ),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(InputError, match=says):
        call()
