"""The laws of docs/margin-law.md against gradient flow, fitted heads and a linear program, and an experiment.

    python docs/studies/margin.py   # under two minutes: tables, docs/results/margin.csv and margin.svg

Nothing here depends on where training was stopped: a head is fitted until its gradient vanishes, or, where the mixed
set is separable and no such head exists, its limit is computed as the hard-margin solution; where a path is the
subject, it is read at stated confidences or times. All in float64.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq, linprog, minimize, nnls
from scipy.special import expit
from scipy.stats import t as student
from torch import nn

from midmix.measures import (
    critical_weight,
    equilibrium_margins,
    imbalance_exponent,
    linear_head_rate,
    margin_band,
)
from midmix.mixing import BothOwners, FixedRatio, InterClassPairs, Mix

RESULTS = Path(__file__).parents[1] / "results"
SEEDS = 10
COUNTS, WIDTH, SPREAD = (100, 10), 8, 0.06  # of the experiment: class means 2 apart
WEIGHTS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.55, 0.54, 0.53, 0.525, 0.512, 0.505)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """One number that was measured, beside the one that the law gives (nan where it gives none)."""

    result: str
    setting: str
    weight: float
    seed: int
    quantity: str
    predicted: float
    measured: float


# --- the pieces: mixed sets, heads, flows, programs ----------------------------------------------------------


@dataclass(frozen=True)
class Mixed:
    """The mixed features of all pairs, signed towards their owner, and each one's share of the loss."""

    rows: Array
    """`[2 n m, D + 1]`: the feature and a one for the bias, negated where the second class owns it."""
    share: Array


def mixed_set(first: Array, second: Array, weight: float, owner_ratio: float = 1.0) -> Mixed:
    """All pairs at one λ. The first class's features are `owner_ratio` times as often owners as the second's."""
    pairs = len(first) * len(second)
    one, other = np.repeat(first, len(second), axis=0), np.tile(second, (len(first), 1))
    owned = weight * one + (1 - weight) * other, -(weight * other + (1 - weight) * one)
    signs = np.repeat([1.0, -1.0], pairs)
    shares = np.repeat([owner_ratio, 1.0], pairs) / (pairs * (owner_ratio + 1))
    return Mixed(np.column_stack([np.concatenate(owned), signs]), shares)


def gaussians(
    seed: int, counts: tuple[int, int], width: int, half: float, spread: float
) -> tuple[Array, Array]:
    """Rows of two classes, `N(±half e_1, spread² I)`."""
    generator = np.random.default_rng(seed)
    first, second = (spread * generator.standard_normal((count, width)) for count in counts)
    first[:, 0] += half
    second[:, 0] -= half
    return first, second


def fit(mixed: Mixed) -> Array:
    """The head (w, b) of least loss, by Newton's method in a trust region, to a gradient of 1e-10."""

    def loss(head: Array) -> float:
        return float(mixed.share @ np.logaddexp(0.0, -(mixed.rows @ head)))

    def hessian(head: Array) -> Array:
        pull = expit(mixed.rows @ head)
        return np.asarray((mixed.rows * (mixed.share * pull * (1 - pull))[:, None]).T @ mixed.rows)

    found = minimize(
        loss,
        np.zeros(mixed.rows.shape[1]),
        jac=lambda head: gradient(mixed, head),
        hess=hessian,
        method="trust-exact",
        options={"gtol": 1e-10, "maxiter": 2000, "max_trust_radius": 1e4, "initial_trust_radius": 10.0},
    )
    if np.linalg.norm(gradient(mixed, found.x)) > 1e-8:
        raise ArithmeticError(f"the head was not fitted to the end: {found.message}")
    return np.asarray(found.x)


def gradient(mixed: Mixed, head: Array) -> Array:
    """Of the mean loss, with respect to (w, b)."""
    pull = mixed.share * expit(-(mixed.rows @ head))
    return np.asarray(-(pull @ mixed.rows))


def flow(mixed: Mixed, start: Array, times: Array) -> Array:
    """Gradient flow on the mean loss: the heads `[T, D + 1]` at these times, integrated in `ln(1 + t)`."""

    def velocity(clock: float, head: Array) -> Array:
        return np.asarray(-np.exp(clock) * gradient(mixed, head))

    def jacobian(clock: float, head: Array) -> Array:
        pull = expit(mixed.rows @ head)
        curvature = (mixed.rows * (mixed.share * pull * (1 - pull))[:, None]).T @ mixed.rows
        return np.asarray(-np.exp(clock) * curvature)

    clock = np.log1p(times)
    found = solve_ivp(velocity, (0, clock[-1]), start, "BDF", clock, jac=jacobian, rtol=1e-7, atol=1e-9)
    return np.asarray(found.y.T)


def hard_margin(mixed: Mixed) -> Array:
    """The head of least norm with every signed score at least 1: least distance programming (Lawson and Hanson)."""
    stacked = np.vstack([mixed.rows.T, np.ones(len(mixed.rows))])
    target = np.zeros(len(stacked))
    target[-1] = 1.0
    solution, _ = nnls(stacked, target, maxiter=100 * stacked.shape[1])
    residual = stacked @ solution - target
    return np.asarray(-residual[:-1] / residual[-1])


def separable(mixed: Mixed) -> bool:
    """Whether a head has every mixed feature right: the largest least score of a head in the unit box, by HiGHS."""
    count, width = mixed.rows.shape
    scale = np.abs(mixed.rows).max()
    found = linprog(
        np.append(np.zeros(width), -1.0),
        A_ub=np.column_stack([-mixed.rows / scale, np.ones(count)]),
        b_ub=np.zeros(count),
        bounds=[(-1, 1)] * width + [(None, 1)],
    )
    return bool(-found.fun > 1e-9)


def separable_from(first: Array, second: Array, tolerance: float = 1e-5) -> float:
    """The λ from which the mixed set is separable: bisection, a linear program over all mixed features a step."""
    return bisect(lambda weight: separable(mixed_set(first, second, weight)), 0.5, 1.0, tolerance)


def predicted_from(first: Array, second: Array, tolerance: float = 1e-6) -> float:
    """λ* = κ*/(1+κ*) by theorem 5, from the rows alone: which head has the least ratio κ, a program a step."""
    head, best = np.zeros(0), 1.0
    rows = [np.column_stack([rows, np.ones(len(rows))]) for rows in (first, -second)]
    rows[1][:, -1] = -1.0  # margins of the second class are negated scores
    width = rows[0].shape[1]

    def attains(weight: float) -> bool:
        """Whether some head has λ m_i ≥ (1-λ) M_j and λ m_j ≥ (1-λ) M_i, with m_i + m_j = 1."""
        nonlocal head, best
        blocks = []
        for mine in (0, 1):  # unknowns: head, then m_i, M_i, m_j, M_j
            ends = np.zeros((2, len(rows[mine]), 4))
            ends[0, :, 2 * mine], ends[1, :, 2 * mine + 1] = 1.0, -1.0
            blocks += [np.hstack([-rows[mine], ends[0]]), np.hstack([rows[mine], ends[1]])]
            demand = np.zeros((1, width + 4))
            demand[0, width + 2 * mine], demand[0, width + 3 - 2 * mine] = -weight, 1 - weight
            blocks.append(demand)
        bounds_on = np.vstack(blocks)
        total = np.zeros((1, width + 4))
        total[0, [width, width + 2]] = 1.0
        found = linprog(
            np.zeros(width + 4), bounds_on, np.zeros(len(bounds_on)), total, [1.0], bounds=(None, None)
        )
        if found.status == 0:
            head = found.x[:width]
            own = [torch.from_numpy(side @ head) for side in rows]
            best = min(best, critical_weight(*own))
        return bool(found.status == 0)

    edge = bisect(attains, 0.5, 1.0, tolerance)
    return min(edge, max(best, 0.5)) if len(head) else 1.0


def bisect(holds: Callable[[float], bool], low: float, high: float, tolerance: float) -> float:
    """Where a condition that holds above a point and not below begins to hold; `high` where it never does."""
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def class_margins(head: Array, first: Array, second: Array) -> tuple[float, float]:
    """Mean margin of each class."""
    return float(np.mean(first @ head[:-1] + head[-1])), float(-np.mean(second @ head[:-1] + head[-1]))


# --- A: the rate law -----------------------------------------------------------------------------------------


def invariant(drive: float, half: float, power: float) -> float:
    """`e^u sinh(v)^q + q ∫_0^v sinh(x)^(q-1) dx`, which theorem 3 says is conserved; v = |D|/2."""
    # with x = y^(1/q) the integrand has no pole at 0
    integral = quad(lambda y: (np.sinh(y ** (1 / power)) / y ** (1 / power)) ** (power - 1), 0, half**power)[
        0
    ]
    return float(np.exp(drive) * np.sinh(half) ** power + integral)


def exact_imbalance(drive: float, power: float, kept: float, start: float) -> float:
    """D at this u, where the invariant has kept its value: theorem 3 without any approximation."""
    found = brentq(
        lambda log: invariant(drive, np.exp(log), power) - kept, -60, np.log(start / 2), xtol=1e-13
    )
    return 2 * float(np.exp(found))


def scores_flow(weight: float, imbalance: float, end: float = 0.99) -> tuple[Array, Array]:
    """Gradient flow in two scores from mixed confidence 1/2: u and D on the way to mixed confidence `end`.

    It ends earlier where D is a millionth of what it was: D is the difference of two scores, and rounding is next.
    """

    def velocity(_: float, scores: Array) -> list[float]:
        own = expit(-(weight * scores[0] - (1 - weight) * scores[1]))
        other = expit(-(weight * scores[1] - (1 - weight) * scores[0]))
        return [weight * own - (1 - weight) * other, weight * other - (1 - weight) * own]

    def arrived(_: float, scores: Array) -> float:
        return float((2 * weight - 1) * (scores[0] + scores[1]) / 2 - np.log(end / (1 - end)))

    def balanced(_: float, scores: Array) -> float:
        return float(scores[0] - scores[1] - 1e-6 * imbalance)

    for event in (arrived, balanced):
        event.terminal = True  # type: ignore[attr-defined]  # how solve_ivp is told to stop
    begin = [imbalance / 2, -imbalance / 2]
    found = solve_ivp(velocity, (0, 1e6), begin, "LSODA", events=(arrived, balanced), rtol=1e-11, atol=1e-14)
    first, second = found.y
    return (2 * weight - 1) * (first + second) / 2, first - second


def check_rate() -> list[Finding]:
    """The two scores alone, at several imbalances: the power law, the exact solution, and λ = 1/2."""
    findings = []
    for weight in (1.0, 0.9, 0.75, 0.6):
        power = 1 / imbalance_exponent(weight)
        for start in (0.01, 0.1, 1.0, 4.0):
            drive, left = (float(path[-1]) for path in scores_flow(weight, start))
            setting = f"two scores, D0 = {start:g}"
            measured = np.log(left / start) / np.log((1 - expit(drive)) / 0.5)
            findings.append(Finding("A", setting, weight, 0, "exponent", 1 / power, float(measured)))
            exact = exact_imbalance(drive, power, invariant(0.0, start / 2, power), start)
            findings.append(Finding("A", setting, weight, 0, "D at the end", exact, left))
    for start in (0.1, 1.0, 4.0):
        found = solve_ivp(lambda _, d: -np.tanh(d / 4), (0, 20), [start], rtol=1e-11, atol=1e-14)
        law = 4 * np.arcsinh(np.sinh(start / 4) * np.exp(-5.0))
        findings.append(
            Finding(
                "A", f"two scores, D0 = {start:g}", 0.5, 0, "D at the end", float(law), float(found.y[0, -1])
            )
        )
    return findings


def check_rate_of_a_head(pairs: int = 10, rate: float = 0.01) -> list[Finding]:
    """A linear head, two rows, plain gradient descent on the library's own plan: the exponent that it shows."""
    generator = torch.Generator().manual_seed(0)
    axis = torch.eye(8, dtype=torch.float64)
    chosen = [
        ("midpoint at 0, distance 2", axis[0], -axis[0]),
        ("midpoint at 0, distance 4", 2 * axis[0], -2 * axis[0]),
        ("midpoint at 1, distance 2", axis[1] + axis[0], axis[1] - axis[0]),
    ]
    for _ in range(pairs):
        rows = nn.functional.normalize(torch.randn(2, 8, generator=generator, dtype=torch.float64), dim=1)
        chosen.append(("random on the sphere", rows[0], rows[1]))
    findings = []
    for weight in (1.0, 0.75, 0.6):
        for seed, (setting, first, second) in enumerate(chosen):
            law = imbalance_exponent(weight, linear_head_rate(first, second))
            measured = descend(first, second, weight, rate)
            findings.append(Finding("A", f"head, {setting}", weight, seed, "exponent", law, measured))
            centred = imbalance_exponent(weight, 4 / float((first - second).square().sum()))
            findings.append(
                Finding("A", f"head, {setting}", weight, seed, "exponent as centred", centred, measured)
            )
    return findings


def descend(first: torch.Tensor, second: torch.Tensor, weight: float, rate: float) -> float:
    """The measured exponent, from p = 0.6 and D = 0.05 to p = 0.95 or a D of a millionth, whichever is first."""
    features, labels = torch.stack([first, second]), torch.tensor([0, 1])
    difference, shrink = first - second, 2 * weight - 1
    head = nn.Linear(len(first), 2, dtype=torch.float64)
    with torch.no_grad():
        start = difference * 2 * np.log(0.6 / 0.4) / shrink / difference.square().sum()
        head.weight.copy_(torch.stack([start / 2, -start / 2]))
        head.bias.copy_(torch.tensor([0.0125, -0.0125]))
    mix = Mix(InterClassPairs(), FixedRatio(weight), BothOwners(), num_classes=2)
    plan = mix.plan(labels, generator=torch.Generator().manual_seed(0))
    mixed = plan.apply(features)
    optimizer = torch.optim.SGD(head.parameters(), lr=rate)

    def state() -> tuple[float, float]:
        with torch.no_grad():
            scores = head(features)
        own, other = float(scores[0, 0] - scores[0, 1]), float(scores[1, 1] - scores[1, 0])
        return own - other, shrink * (own + other) / 2

    begin, drive = state()
    imbalance, confidence = begin, float(expit(drive))
    for step in range(1, 200_001):
        optimizer.zero_grad()
        torch.autograd.backward(plan.loss(head(mixed)))
        optimizer.step()
        if step % 20 == 0:
            imbalance, drive = state()
            confidence = float(expit(drive))
            if confidence >= 0.95 or imbalance < 1e-6 * begin:
                break
    return float(np.log(imbalance / begin) / np.log((1 - confidence) / 0.4))


# --- B: the equilibrium --------------------------------------------------------------------------------------


def check_equilibrium(seeds: int, distance: float = 2.5) -> list[Finding]:
    """Gaussian classes that overlap: the population by quadrature, and finite rows of two ratios."""
    findings = []
    nodes, share = np.polynomial.hermite_e.hermegauss(80)
    for weight in (1.0, 0.9, 0.8, 0.7, 0.6, 0.55):
        for ratio in (1.0, 5.0, 20.0):
            deviation = float(np.hypot(weight, 1 - weight))
            along = (2 * weight - 1) * distance / 2 + deviation * nodes
            ones = np.repeat([1.0, -1.0], len(nodes))  # the second class's features, negated, are the first's
            mass = np.concatenate([ratio * share, share]) / (share.sum() * (ratio + 1))
            head = fit(Mixed(np.column_stack([np.tile(along, 2), ones]), mass))
            found = head[0] * distance / 2 + head[1], head[0] * distance / 2 - head[1]
            findings += margins_of("population", weight, 0, ratio, distance, found)
        for small, seed in ((small, seed) for small in (100, 25) for seed in range(seeds)):
            first, second = gaussians(seed, (500, small), 2, distance / 2, 1.0)
            for owners, ratio in (("one owner", 500 / small), ("both owners", 1.0)):
                head = fit(mixed_set(first, second, weight, ratio))
                found = head[0] * distance / 2 + head[-1], head[0] * distance / 2 - head[-1]
                findings += margins_of(f"500:{small}, {owners}", weight, seed, ratio, distance, found)
    return findings


def margins_of(
    setting: str, weight: float, seed: int, ratio: float, distance: float, found: tuple[float, float]
) -> list[Finding]:
    if setting == "population":
        setting = f"population, owners {ratio:g}:1"
    law = equilibrium_margins(weight, distance, ratio)
    names = ("margin of the large class", "margin of the small class")
    return [
        Finding("B", setting, weight, seed, name, predicted, float(measured))
        for name, predicted, measured in zip(names, law, found, strict=True)
    ]


# --- C: the transition ---------------------------------------------------------------------------------------


def check_transition(seeds: int) -> list[Finding]:
    """λ* by the theorem, from the rows, against a linear program over all mixed features."""
    grounds = (
        ("D = 1, spread 0.3", (30, 10), 1, 0.3),
        ("D = 2, spread 0.3", (30, 10), 2, 0.3),
        ("D = 8, spread 0.06", COUNTS, WIDTH, SPREAD),
        ("D = 8, spread 0.3", (30, 10), 8, 0.3),
        ("D = 8, spread 1", (30, 10), 8, 1.0),
        ("D = 60, spread 1", (30, 10), 60, 1.0),
    )
    findings = []
    for (setting, counts, width, spread), seed in ((g, s) for g in grounds for s in range(seeds)):
        first, second = gaussians(seed, counts, width, 1.0, spread)
        law, program = predicted_from(first, second), separable_from(first, second)
        findings.append(Finding("C", setting, float("nan"), seed, "λ*", law, program))
        if width == 1 and law < 1:
            low, high = first.min(), first.max()
            near, far = -second.max(), -second.min()
            offset = (near * far - low * high) / (low + high + near + far)
            ratio = (far - offset) / (low + offset)
            findings.append(
                Finding(
                    "C", setting, float("nan"), seed, "λ* in closed form", float(ratio / (1 + ratio)), program
                )
            )
    return findings


def check_growth(seeds: int) -> list[Finding]:
    """Gradient flow on the experiment's features: slope against ln t above λ*, at two times; rest below."""
    findings = []
    for seed in range(seeds):
        first, second = gaussians(seed, COUNTS, WIDTH, 1.0, SPREAD)
        edge = predicted_from(first, second)
        for gap in (0.3, 0.1, 0.05):
            mixed = mixed_set(first, second, edge + gap)
            times = np.array([0.0, 1e6, 1e8, 1e38, 1e40])
            path, limit = flow(mixed, np.zeros(WIDTH + 1), times), hard_margin(mixed)
            law = sum(class_margins(limit, first, second)) / 2
            for early, late in ((1, 2), (3, 4)):
                when = f"from t = {times[early]:.0e} to {times[late]:.0e}".replace("+", "")
                span = np.log(times[late] / times[early])
                least = float((mixed.rows @ path[late]).min() - (mixed.rows @ path[early]).min()) / span
                mean = sum(class_margins(path[late] - path[early], first, second)) / 2 / span
                setting = f"λ* + {gap:g}, {when}"
                findings.append(
                    Finding("C", setting, edge + gap, seed, "least mixed score per ln t", 1.0, least)
                )
                findings.append(Finding("C", setting, edge + gap, seed, "mean margin per ln t", law, mean))
        for gap in (0.005, 0.015):
            mixed = mixed_set(first, second, edge - gap)
            law, at = (
                float(np.linalg.norm(head))
                for head in (fit(mixed), flow(mixed, np.zeros(WIDTH + 1), np.array([0.0, 1e8]))[-1])
            )
            findings.append(
                Finding("C", f"λ* - {gap:g}, at t = 1e08", edge - gap, seed, "norm of the head", law, at)
            )
    return findings


# --- the experiment ------------------------------------------------------------------------------------------


def experiment(seeds: int, weights: Sequence[float] = WEIGHTS) -> list[Finding]:
    """100 rows against 10, fitted to the end at each λ, with one owner and with both.

    Where the mixed set is separable no fitted head exists: margins are without bound, and their ratio is that of the
    hard-margin limit. What is predicted of margins is theorem 4 with the rows' own means and covariances.
    """
    findings = []
    for seed in range(seeds):
        first, second = gaussians(seed, COUNTS, WIDTH, 1.0, SPREAD)
        edge, distance = predicted_from(first, second), distance_of(first, second)
        findings.append(
            Finding("experiment", "rows", np.nan, seed, "λ*", edge, separable_from(first, second))
        )
        findings.append(Finding("experiment", "rows", np.nan, seed, "distance", 2 / SPREAD, distance))
        for weight in weights:
            for owners, ratio in (("one owner", COUNTS[0] / COUNTS[1]), ("both owners", 1.0)):
                mixed, bounded = mixed_set(first, second, weight, ratio), weight < edge
                head = fit(mixed) if bounded else hard_margin(mixed)
                law = equilibrium_margins(weight, distance, ratio) if bounded else (np.inf, np.inf)
                large, small = class_margins(head, first, second)
                within, right = shares_right(head, first, second, mixed, weight)
                trust = float(mixed.share @ expit(mixed.rows @ head)) if bounded else 1.0
                values = {
                    "separable": (float(not bounded), float(separable(mixed))),
                    "ratio": (law[0] / law[1] if bounded else np.nan, large / small),
                    "margin of the large class": (law[0], large if bounded else np.inf),
                    "margin of the small class": (law[1], small if bounded else np.inf),
                    "confidence": (np.nan, trust),
                    "pairs right": (within, right),
                }
                findings += [
                    Finding("experiment", owners, weight, seed, name, predicted, measured)
                    for name, (predicted, measured) in values.items()
                ]
    return findings


def distance_of(first: Array, second: Array) -> float:
    """Mahalanobis distance of the class means under the mean of the two classes' own covariances."""
    apart = first.mean(0) - second.mean(0)
    covariance = (np.cov(first.T, bias=True) + np.cov(second.T, bias=True)) / 2
    return float(np.sqrt(apart @ np.linalg.solve(covariance, apart)))


def shares_right(
    head: Array, first: Array, second: Array, mixed: Mixed, weight: float
) -> tuple[float, float]:
    """Share of pairs whose ratio of margins is in theorem 1's band, and of those with both mixed features right."""
    own, other = (first @ head[:-1] + head[-1])[:, None], -(second @ head[:-1] + head[-1])
    low, high = margin_band(weight)
    within = (own > 0) & (other > 0) & (low * other < own) & (own < high * other)
    right = (mixed.rows @ head > 0).reshape(2, -1).all(0)
    return float(within.mean()), float(right.mean())


def approach(seeds: int, confidences: Sequence[float] = (0.9, 0.99, 0.999)) -> list[Finding]:
    """The same features on the way: the ratio of class margins where the flow passes given mixed confidences.

    What is predicted with both owners is the power law from the flow's own start, at rate 1: rows of norm 1, 2 apart.
    """
    findings = []
    for seed, weight in ((seed, weight) for seed in range(seeds) for weight in (1.0, 0.9, 0.75, 0.6)):
        first, second = gaussians(seed, COUNTS, WIDTH, 1.0, SPREAD)
        for owners, ratio in (("one owner", COUNTS[0] / COUNTS[1]), ("both owners", 1.0)):
            drive, imbalance = class_path(first, second, weight, ratio)
            for confidence in confidences:
                at = np.log(confidence / (1 - confidence))
                if not drive[0] < at < drive[-1]:
                    continue
                left = ((1 - confidence) / (1 - expit(drive[0]))) ** imbalance_exponent(weight)
                law = imbalance[0] * left if owners == "both owners" else np.nan
                both, now = 2 * at / (2 * weight - 1), float(np.interp(at, drive, imbalance))
                ratios = (both + law) / (both - law), (both + now) / (both - now)
                findings.append(
                    Finding("approach", owners, weight, seed, f"ratio at {confidence:g}", *ratios)
                )
            large, small = class_margins(hard_margin(mixed_set(first, second, weight)), first, second)
            findings.append(Finding("approach", owners, weight, seed, "ratio at 1", 1.0, large / small))
    return findings


def class_path(first: Array, second: Array, weight: float, owner_ratio: float) -> tuple[Array, Array]:
    """u and D of the class means along the flow from `plain_start`."""
    times = np.concatenate([[0.0], np.geomspace(1e-3, 1e7, 1500)])
    heads = flow(mixed_set(first, second, weight, owner_ratio), plain_start(first, second), times)
    large, small = np.array([class_margins(head, first, second) for head in heads]).T
    return (2 * weight - 1) * (large + small) / 2, large - small


def plain_start(first: Array, second: Array) -> Array:
    """Where the flow on the unequal rows themselves, from zero, is at t = 10: the large class far ahead."""
    share = np.full(len(first) + len(second), 1 / (len(first) + len(second)))
    signs = np.repeat([1.0, -1.0], [len(first), len(second)])
    rows = Mixed(np.column_stack([np.concatenate([first, -second]), signs]), share)
    return np.asarray(flow(rows, np.zeros(first.shape[1] + 1), np.array([0.0, 10.0]))[-1])


# --- what is written -----------------------------------------------------------------------------------------


def write(findings: Sequence[Finding], path: Path) -> None:
    """Every number behind the tables and the figure, a row each."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([field.name for field in fields(Finding)])
        for finding in findings:
            table.writerow([f"{cell:.8g}" if isinstance(cell, float) else cell for cell in astuple(finding)])


def interval(values: Iterable[float]) -> str:
    """Mean and 95 % interval over seeds (Student's t); without the interval where there is one value."""
    found = np.array(list(values))
    centre = f"{found.mean():.4g}" if np.isfinite(found).all() else ("∞" if np.isposinf(found).any() else "–")
    if len(found) < 2 or not np.isfinite(found).all() or np.ptp(found) <= 1e-12 * np.abs(found).max():
        return centre
    half = student.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))
    return f"{centre} ± {half:.2g}"


def table(findings: Sequence[Finding], title: str) -> None:
    """One line a setting, λ and quantity: the law's mean, the measured mean, the mean and largest difference."""
    print(f"\n**{title}**\n")
    print("| setting | λ | quantity | n | law | measured | measured - law | largest difference |")
    print("|---|---|---|---|---|---|---|---|")

    def key(finding: Finding) -> tuple[str, str, str]:
        shown = "" if finding.setting.startswith("λ*") or np.isnan(finding.weight) else f"{finding.weight:g}"
        return finding.setting, shown, finding.quantity

    order = list(dict.fromkeys(map(key, findings)))
    for name, group in groupby(sorted(findings, key=lambda f: order.index(key(f))), key):
        these = list(group)
        apart = np.array([f.measured - f.predicted for f in these if np.isfinite(f.measured - f.predicted)])
        differences = (interval(apart), f"{np.abs(apart).max():.2g}") if len(apart) else ("–", "–")
        law = interval(f.predicted for f in these)
        cells = [*name, str(len(these)), law, interval(f.measured for f in these), *differences]
        print("| " + " | ".join(cells) + " |")


def chosen(findings: Sequence[Finding], setting: str, quantity: str) -> dict[float, list[Finding]]:
    """Findings of one setting and quantity, by λ."""
    found: dict[float, list[Finding]] = {}
    for finding in findings:
        if finding.setting == setting and finding.quantity == quantity:
            found.setdefault(finding.weight, []).append(finding)
    return found


def draw(findings: Sequence[Finding], path: Path) -> None:
    """The three laws and the experiment, each measured and by the law."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "margin"  # the same numbers give the same file
    figure, axes = plt.subplots(2, 2, figsize=(10, 8), layout="constrained")
    draw_rate(axes[0, 0])
    draw_equilibrium(axes[0, 1], [f for f in findings if f.result == "B"])
    draw_growth(axes[1, 0])
    draw_experiment(axes[1, 1], [f for f in findings if f.result == "experiment"])
    for axis in axes.flat:
        axis.legend(frameon=False, fontsize="small")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def draw_rate(axis: Any) -> None:
    for weight, colour in ((1.0, "tab:blue"), (0.9, "tab:green"), (0.75, "tab:orange"), (0.6, "tab:red")):
        axis.plot(
            [1, 1e-3],
            [1, 1e-3 ** imbalance_exponent(weight)],
            color=colour,
            lw=1,
            label=f"law, λ = {weight:g}",
        )
        for start, mark in ((0.1, "o"), (4.0, "x")):
            drive, imbalance = scores_flow(weight, start)
            some = slice(None, None, max(1, len(drive) // 12))
            axis.plot(2 * expit(-drive[some]), imbalance[some] / start, mark, color=colour, ms=4, mfc="none")
        first, second = gaussians(0, COUNTS, WIDTH, 1.0, SPREAD)
        drive, imbalance = class_path(first, second, weight, 1.0)
        axis.plot(expit(-drive) / expit(-drive[0]), imbalance / imbalance[0], color=colour, lw=3, alpha=0.25)
    axis.plot([], [], "o", color="grey", ms=4, mfc="none", label="flow in two scores, D₀ = 0.1")
    axis.plot([], [], "x", color="grey", ms=4, label="the same, D₀ = 4")
    axis.plot([], [], color="grey", lw=3, alpha=0.25, label="experiment, class means")
    axis.set(xscale="log", yscale="log", xlim=(1, 0.01), ylim=(1e-4, 1.5), title="A: imbalance dies")
    axis.set(xlabel="(1 - p)/(1 - p₀)", ylabel="D/D₀")


def draw_equilibrium(axis: Any, findings: Sequence[Finding]) -> None:
    fine = np.linspace(0.5, 1, 101)
    for owners, ratio, colour in (("both owners", 1.0, "tab:blue"), ("one owner", 5.0, "tab:orange")):
        law = np.array([equilibrium_margins(float(weight), 2.5, ratio) for weight in fine])
        for column, size, line, mark in ((0, "large", "-", "o"), (1, "small", "--", "s")):
            found = chosen(findings, f"500:100, {owners}", f"margin of the {size} class")
            axis.plot(fine, law[:, column], line, color=colour, lw=1, label=f"{owners}, {size} class")
            errors(axis, found, mark, colour)
    axis.axhline(0, color="grey", lw=0.8, ls=":")
    axis.set(xlim=(1.01, 0.49), xlabel="λ, the owner's share", ylabel="margin at the class mean")
    axis.set_title("B: fitted to the end, 500 rows against 100")


def draw_growth(axis: Any) -> None:
    first, second = gaussians(0, COUNTS, WIDTH, 1.0, SPREAD)
    edge, times = predicted_from(first, second), np.concatenate([[0.0], np.geomspace(1, 1e12, 200)])
    for gap, colour in ((0.3, "tab:blue"), (0.05, "tab:green"), (-0.005, "tab:orange"), (-0.015, "tab:red")):
        mixed = mixed_set(first, second, edge + gap)
        sizes = np.array(
            [sum(class_margins(h, first, second)) / 2 for h in flow(mixed, np.zeros(WIDTH + 1), times)]
        )
        axis.plot(
            times[1:], sizes[1:], color=colour, label=f"λ = λ* {gap:+g}".replace("-", "- ").replace("+", "+ ")
        )
        if gap > 0:
            slope = sum(class_margins(hard_margin(mixed), first, second)) / 2
            late = times > 1e6
            axis.plot(
                times[late], sizes[-1] + slope * np.log(times[late] / times[-1]), color="black", lw=1, ls=":"
            )
        else:
            rest = sum(class_margins(fit(mixed), first, second)) / 2
            axis.axhline(rest, color=colour, lw=1, ls="--")
    axis.plot([], [], color="black", lw=1, ls=":", label="slope of the hard-margin limit")
    axis.plot([], [], color="grey", lw=1, ls="--", label="the fitted head")
    axis.set(xscale="log", yscale="log", xlabel="time of the gradient flow", ylabel="mean margin")
    axis.set_title(f"C: above and below λ* = {edge:.3f}")


def draw_experiment(axis: Any, findings: Sequence[Finding]) -> None:
    fine = np.linspace(0.5025, 0.75, 501)  # a logit axis has no 1
    low, high = np.array([margin_band(float(weight)) for weight in fine]).T
    axis.fill_between(
        fine, low, np.minimum(high, 99), color="tab:blue", alpha=0.12, lw=0, label="band of theorem 1"
    )
    axis.axhline(1, color="grey", lw=0.8, ls=":")
    edges = [f.predicted for f in findings if f.quantity == "λ*"]
    axis.axvspan(min(edges), max(edges), color="grey", alpha=0.2, lw=0, label="λ* of the seeds")
    for owners, colour, mark in (("one owner", "tab:orange", "s"), ("both owners", "tab:blue", "o")):
        found = chosen(findings, owners, "ratio")
        errors(axis, found, mark, colour, owners)
        law = {w: np.mean([f.predicted for f in these]) for w, these in found.items() if w < min(edges)}
        axis.plot(list(law), list(law.values()), color=colour, lw=1)
    axis.plot([], [], color="grey", lw=1, label="theorem 4, from the rows' moments")
    axis.set(xscale="logit", xlim=(0.7, 0.5025), ylim=(0.8, 1.6), xlabel="λ, the owner's share")
    axis.set(ylabel="margin of large class / of small class", title="The experiment, fitted to the end")


def errors(
    axis: Any, found: dict[float, list[Finding]], mark: str, colour: str, label: str | None = None
) -> None:
    values = [np.array([f.measured for f in these]) for these in found.values()]
    half = [
        student.ppf(0.975, len(v) - 1) * v.std(ddof=1) / np.sqrt(len(v)) if len(v) > 1 else 0 for v in values
    ]
    means = [v.mean() for v in values]
    axis.errorbar(list(found), means, half, fmt=mark, color=colour, ms=4, capsize=2, label=label)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=SEEDS, help="draws of the features")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for margin.svg and margin.csv")
    settings = parser.parse_args()
    settings.out.mkdir(parents=True, exist_ok=True)
    seeds = settings.seeds
    parts = {
        "A, two scores under gradient flow": check_rate(),
        "A, a linear head under gradient descent": check_rate_of_a_head(),
        "B, heads fitted to the end": check_equilibrium(seeds),
        "C, where the mixed set becomes separable": check_transition(seeds),
        "C, gradient flow on either side": check_growth(seeds),
        "Experiment, fitted to the end": experiment(seeds),
        "Experiment, on the way": approach(seeds),
    }
    for title, part in parts.items():
        table(part, title)
    findings = [finding for part in parts.values() for finding in part]
    write(findings, settings.out / "margin.csv")
    draw(findings, settings.out / "margin.svg")


if __name__ == "__main__":
    main()
