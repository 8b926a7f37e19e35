"""Schedules of λ that are candidates, none of them part of the library: recipes for `midmix study`.

    docs/studies/schedules.py:quantile:q=0.95+balanced_softmax

All have class-balanced partners and both owners, as `balanced-am-mixup`, so that λ alone differs.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.mixing import BothOwners, ClassBalancedPairs, Mix, Ratio
from midmix.mixing.counts import DecayedCounts


class Running(Ratio):
    """λ from a running mean of what `measure` sees in clean logits; 1 before anything was seen.

    Args:
        window: memory in batches.
        floor: least λ; at ½ itself two classes are one point with two labels.
    """

    needs_clean_logits = True
    _value: Tensor
    _mean: Tensor
    _mass: Tensor

    def __init__(self, window: float = 30, floor: float = 0.5) -> None:
        super().__init__()
        self.window, self.floor = window, floor
        self.register_buffer("_value", torch.tensor(1.0))
        self.register_buffer("_mean", torch.tensor(0.0))
        self.register_buffer("_mass", torch.tensor(0.0))

    @property
    def value(self) -> Tensor:
        return self._value

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        found = self.measure(logits.float(), labels)
        if not math.isfinite(found):
            return
        keep = math.exp(-1 / self.window)
        self._mean.mul_(keep).add_((1 - keep) * found)
        self._mass.mul_(keep).add_(1 - keep)
        self._value.copy_((self._mean / self._mass).clamp(self.floor, 1.0))

    def measure(self, logits: Tensor, labels: Tensor) -> float:
        """λ as this batch alone would have it."""
        raise NotImplementedError


def pair_scores(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Margins of both rows of some pairs of two classes, each against the other's class: every row with its next."""
    next_row = torch.arange(len(labels), device=labels.device).roll(-1)
    apart = labels != labels[next_row]
    own = logits.gather(1, labels[:, None]).squeeze(1)
    margins = own - logits.gather(1, labels[next_row][:, None]).squeeze(1)
    back = own[next_row] - logits[next_row].gather(1, labels[:, None]).squeeze(1)
    return margins[apart], back[apart]


class BandQuantile(Running):
    """λ is the share q of the batch's pairs could do with: a quantile of max(s_i, s_j) / (s_i + s_j), 1 for pairs of
    which a row is on the wrong side (theorem 1 of `docs/margin-law.md`, solved for λ)."""

    def __init__(self, q: float, **options: float) -> None:
        super().__init__(**options)
        self.q = q

    def measure(self, logits: Tensor, labels: Tensor) -> float:
        one, two = pair_scores(logits, labels)
        if not len(one):
            return math.nan
        least = torch.maximum(one, two) / (one + two)
        return float(torch.where((one > 0) & (two > 0), least, 1.0).quantile(self.q))


class Transition(Running):
    """λ̂* = κ̂/(1+κ̂), κ̂ the ratio of the largest to the smallest margin (theorem 5), by quantiles q and 1-q."""

    def __init__(self, q: float, **options: float) -> None:
        super().__init__(**options)
        self.q = q

    def measure(self, logits: Tensor, labels: Tensor) -> float:
        both = torch.cat(pair_scores(logits, labels))
        if not len(both):
            return math.nan
        large, small = both.quantile(self.q), both.quantile(1 - self.q)
        return 1.0 if small <= 0 else float(large / (large + small))


class Confidence(Running):
    """λ = 1 - p/2, p the mean probability of the true class."""

    def measure(self, logits: Tensor, labels: Tensor) -> float:
        return 1 - float(logits.softmax(-1).gather(1, labels[:, None]).mean()) / 2


class FirstSight(Running):
    """λ = exp(-ln 2 · accuracy) of rows when they were first seen, in epoch 1; it stays from then on.

    In its first epoch a row has not been trained on, so this accuracy is that of held-out rows, for no rows held out.
    """

    _open: Tensor

    def __init__(self, **options: float) -> None:
        super().__init__(**options)
        self.register_buffer("_open", torch.tensor(True))

    def observe(self, logits: Tensor, labels: Tensor) -> None:
        if self._open:
            super().observe(logits, labels)

    def end_epoch(self) -> None:
        self._open.fill_(False)

    def measure(self, logits: Tensor, labels: Tensor) -> float:
        return math.exp(-math.log(2) * float((logits.argmax(-1) == labels).float().mean()))


class Gap(Running):
    """λ = 1 - (accuracy now - accuracy at first sight), by class: mixed as far as rows are memorised."""

    _open: Tensor

    def __init__(self, num_classes: int, **options: float) -> None:
        super().__init__(**options)
        self.now = DecayedCounts(2, num_classes, window=2000)
        self.first = DecayedCounts(2, num_classes, window=math.inf)
        self.register_buffer("_open", torch.tensor(True))

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        right = (logits.argmax(-1) == labels).float()
        seen = torch.stack([right, torch.ones_like(right)])
        counts = torch.zeros_like(self.now.counts).scatter_add_(1, labels.expand(2, -1), seen)
        self.now.add(counts, len(labels))
        if self._open:
            self.first.add(counts, len(labels))
            return
        now, first = ((right / rows).nanmean() for right, rows in (self.now.counts, self.first.counts))
        self._value.copy_((1 - (now - first)).clamp(self.floor, 1))

    def end_epoch(self) -> None:
        self._open.fill_(False)


class ByClass(Ratio):
    """λ_ij = exp(-β (acc_i + acc_j)/2): each pair by the running clean accuracies of its own two classes."""

    needs_clean_logits, per_row = True, True
    _value: Tensor

    def __init__(self, num_classes: int, beta: float) -> None:
        super().__init__()
        self.beta = beta
        self.tally = DecayedCounts(2, num_classes, window=2000)
        self.register_buffer("_value", torch.tensor(1.0))

    @property
    def value(self) -> Tensor:
        return self._value

    def draw_pairs(
        self,
        labels: Tensor,
        partner: Tensor,
        generator: torch.Generator | None = None,
        *,
        counts: Tensor | None = None,
    ) -> Tensor:
        right, rows = self.tally.counts
        accuracy = (right / rows.clamp_min(1e-6)).clamp(0, 1)[labels]
        weight = torch.exp(-self.beta * (accuracy + accuracy[partner]) / 2).clamp(0.5, 1)
        self._value.copy_(weight.mean())
        return weight

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        right = (logits.argmax(-1) == labels).float()
        seen = torch.stack([right, torch.ones_like(right)])
        self.tally.add(
            torch.zeros_like(self.tally.counts).scatter_add_(1, labels.expand(2, -1), seen), len(labels)
        )


class InTime(Ratio):
    """λ from `start` to `end` along half a cosine of the training's progress."""

    needs = frozenset({"progress"})
    _value: Tensor

    def __init__(self, start: float, end: float) -> None:
        super().__init__()
        self.start, self.end = start, end
        self.register_buffer("_value", torch.tensor(float(start)))

    @property
    def value(self) -> Tensor:
        return self._value

    def draw_pairs(
        self,
        labels: Tensor,
        partner: Tensor,
        generator: torch.Generator | None = None,
        *,
        counts: Tensor | None = None,
        progress: Tensor | None = None,
    ) -> Tensor:
        if progress is None:
            raise InputError("in_time: nobody tells the progress; call mix.observe(progress=…)")
        self._value.copy_(self.end + (self.start - self.end) * (1 + torch.cos(math.pi * progress)) / 2)
        return self.draw(labels, generator)


def _mix(ratio: Ratio, num_classes: int, settings: Any) -> Mix:
    return Mix(ClassBalancedPairs(), ratio, BothOwners(), num_classes=num_classes, **settings)


def quantile(num_classes: int, *, q: float = 0.95, floor: float = 0.5, **settings: Any) -> Mix:
    """`BandQuantile`."""
    return _mix(BandQuantile(q, floor=floor), num_classes, settings)


def transition(num_classes: int, *, q: float = 0.9, floor: float = 0.5, **settings: Any) -> Mix:
    """`Transition`."""
    return _mix(Transition(q, floor=floor), num_classes, settings)


def confidence(num_classes: int, *, floor: float = 0.5, **settings: Any) -> Mix:
    """`Confidence`."""
    return _mix(Confidence(floor=floor), num_classes, settings)


def first_sight(num_classes: int, *, floor: float = 0.5, **settings: Any) -> Mix:
    """`FirstSight`."""
    return _mix(FirstSight(floor=floor), num_classes, settings)


def gap(num_classes: int, *, floor: float = 0.5, **settings: Any) -> Mix:
    """`Gap`."""
    return _mix(Gap(num_classes, floor=floor), num_classes, settings)


def by_class(num_classes: int, *, beta: float = 0.67, **settings: Any) -> Mix:
    """`ByClass`."""
    return _mix(ByClass(num_classes, beta), num_classes, settings)


def in_time(num_classes: int, *, start: float = 1.0, end: float = 0.5, **settings: Any) -> Mix:
    """`InTime`."""
    return _mix(InTime(start, end), num_classes, settings)
