"""What any library's mixing can be held to: that its labels say what was really mixed.

    from midmix.conformance import check_mixer
    print(*check_mixer(my_mixer), sep="\\n")

A mixer is a function of images `[B, C, H, W]` and labels `[B]` that gives mixed images `[R, C, H, W]` and soft
targets `[R, K]`. It is looked at from outside. In the probe, image i is white in channel i and black in all others, so
that what comes out says of each pixel how much of it is whose, and the mean over pixels what the label has to be.
(So it is no test of a mixer of channels.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.mixing import Mix, Plan

Mixer = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Images `[B, C, H, W]` and labels `[B]` in, mixed images `[R, C, H, W]` and soft targets `[R, K]` out."""


@dataclass(frozen=True)
class Finding:
    """Whether a mixer keeps a law, and what was seen.

    Attributes:
        law: which.
        held: whether it does.
        says: one line: the largest error, or what went wrong.
    """

    law: str
    held: bool
    says: str

    def __str__(self) -> str:
        return f"{'held  ' if self.held else 'BROKEN'}  {self.law}: {self.says}"


def check_mixer(
    mixer: Mixer, *, num_classes: int = 300, size: tuple[int, int] = (16, 16), rounds: int = 30, seed: int = 0
) -> tuple[Finding, ...]:
    """Holds a mixer against six laws.

    - content and label agree: the targets are the shares of the pixels, and where they are not, whether the shares of
      owner and partner are exchanged; a hard label must be that of the larger share;
    - targets sum to 1 a row;
    - the caller's images and labels are left as they were;
    - bfloat16 images: labels stay what they are (257 is none of bfloat16's numbers), and so do their shares;
    - odd batches, and a batch of one row;
    - the same seed of torch, NumPy and random gives the same again.

    Args:
        mixer: see `Mixer`; label smoothing off.
        num_classes: K; above 257, or labels are no test of bfloat16.
        size: of the images.
        rounds: draws a law.
        seed: of the probes and of the global generators, whose states are put back afterwards.

    Example:
        >>> from midmix import mixup
        >>> [finding.held for finding in check_mixer(of_mix(mixup(num_classes=300)), rounds=3)]
        [True, True, True, True, True, True]
    """
    probe = _Probe(mixer, num_classes, size, rounds)
    with _seeded(seed):
        return tuple(law(probe) for law in (_agrees, _sums, _untouched, _bf16, _odd, _repeats))


def of_mix(mix: Mix, answer: Callable[[Tensor], Tensor] | None = None) -> Mixer:
    """A mix of this library as a mixer.

    Args:
        mix: with or without a mask, and without a clean term.
        answer: logits of images, for masks that follow a model's gradient.
    """

    def mixer(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        plan: Plan = mix.plan(labels, inputs=images, answer=answer)
        targets = torch.zeros(len(plan.partner), mix.num_classes)
        for classes, weight in plan.targets:
            targets.scatter_add_(1, classes[:, None], weight[:, None])
        return plan.apply(images), targets

    return mixer


@dataclass(frozen=True)
class _Probe:
    mixer: Mixer
    num_classes: int
    size: tuple[int, int]
    rounds: int

    def labels(self, rows: int) -> Tensor:
        """Different ones, the first of which are no numbers of bfloat16."""
        odd = torch.arange(self.num_classes - 1, -1, -2)[:rows]
        return odd if len(odd) == rows else torch.arange(rows) % self.num_classes

    def images(self, rows: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.eye(rows, dtype=dtype)[:, :, None, None].expand(rows, rows, *self.size).contiguous()

    def draws(self, rows: int, dtype: torch.dtype = torch.float32) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Shares of content `[R, B]`, targets `[R, K]` and labels `[B]` of each round."""
        for _ in range(self.rounds):
            labels = self.labels(rows)
            mixed, targets = self.mixer(self.images(rows, dtype), labels.clone())
            yield mixed.double().flatten(2).mean(2), targets.double(), labels


def _error(content: Tensor, targets: Tensor, labels: Tensor) -> tuple[float, float | None, bool]:
    """The largest error of the targets, the same were owner and partner exchanged, and whether labels are hard.

    None for the second where nothing can be told of it.
    """
    expected = torch.zeros_like(targets).index_add_(1, labels, content)
    exchanged = targets.clone()
    for row, shares in enumerate(content):
        there = shares.nonzero().flatten()
        if len(there) == 2:  # of a row that is one image's alone it cannot be told
            exchanged[row] = torch.zeros_like(targets[row]).index_add_(
                0, labels[there], shares[there].flip(0)
            )
    told = (targets - expected)[(content > 0).sum(1) == 2].abs()
    hard = bool(((targets == 0) | (targets == 1)).all())
    larger = (targets * expected).sum(1)
    wrong = (0.5 - larger).clamp_min(0) if hard else (targets - expected).abs()
    other = float((targets - exchanged).abs().max()) if told.any() else None
    return float(wrong.max()), other, hard


def _law(name: str) -> Callable[[Callable[[_Probe], Finding]], Callable[[_Probe], Finding]]:
    """A mixer that raises breaks the law, and the line says with what."""

    def wrap(check: Callable[[_Probe], Finding]) -> Callable[[_Probe], Finding]:
        def checked(probe: _Probe) -> Finding:
            try:
                return check(probe)
            except Exception as error:  # somebody's mixer can fail in any way
                text = " ".join(str(error).split()) or "no message"
                return Finding(name, False, f"raises {type(error).__name__}: {text[:100]}")

        return checked

    return wrap


def _agreement(name: str, probe: _Probe, rows: int, dtype: torch.dtype, tolerance: float) -> Finding:
    found = [_error(*drawn) for drawn in probe.draws(rows, dtype)]
    worst = max(error for error, _, _ in found)
    exchanged = [other for _, other, _ in found if other is not None]
    if worst <= tolerance:
        says = "the label of the larger share" if all(hard for *_, hard in found) else f"error {worst:.1e}"
        return Finding(name, True, says)
    if exchanged and max(exchanged) <= tolerance:
        return Finding(name, False, "owner and partner are exchanged: each label has the other's share")
    return Finding(name, False, f"a label's share is wrong by up to {worst:.2f}")


@_law("content and label agree")
def _agrees(probe: _Probe) -> Finding:
    return _agreement("content and label agree", probe, 8, torch.float32, 1e-4)


@_law("targets sum to 1")
def _sums(probe: _Probe) -> Finding:
    worst = max(float((targets.sum(1) - 1).abs().max()) for _, targets, _ in probe.draws(8))
    return Finding("targets sum to 1", worst <= 1e-5, f"error {worst:.1e}")


@_law("nothing is changed in place")
def _untouched(probe: _Probe) -> Finding:
    for _ in range(probe.rounds):
        images, labels = probe.images(8), probe.labels(8)
        probe.mixer(images, labels)
        if not torch.equal(images, probe.images(8)):
            return Finding("nothing is changed in place", False, "the caller's images are changed")
        if not torch.equal(labels, probe.labels(8)):
            return Finding("nothing is changed in place", False, "the caller's labels are changed")
    return Finding("nothing is changed in place", True, "images and labels are as they were")


@_law("bfloat16 keeps labels")
def _bf16(probe: _Probe) -> Finding:
    strangers: set[int] = set()
    for _, targets, labels in probe.draws(8, torch.bfloat16):
        strangers |= set((targets > 0).any(0).nonzero().flatten().tolist()) - set(labels.tolist())
    if strangers:
        return Finding("bfloat16 keeps labels", False, f"labels that no row had: {sorted(strangers)[:4]}")
    return _agreement("bfloat16 keeps labels", probe, 8, torch.bfloat16, 1e-2)


@_law("odd batches")
def _odd(probe: _Probe) -> Finding:
    seven, one = (_agreement("odd batches", probe, rows, torch.float32, 1e-4) for rows in (7, 1))
    return seven if one.held else one


@_law("the same seed, the same again")
def _repeats(probe: _Probe) -> Finding:
    results = []
    for _ in range(2):
        with _seeded(1):
            results.append(probe.mixer(probe.images(8), probe.labels(8)))
    same = all(torch.equal(one, two) for one, two in zip(*results, strict=True))
    says = "to the bit" if same else "two runs from one seed differ"
    return Finding("the same seed, the same again", same, says)


class _seeded:  # noqa: N801  (a context manager)
    """Seeds of torch's, NumPy's and Python's global generators, put back afterwards."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __enter__(self) -> None:
        import random

        import numpy as np

        self.kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
        torch.manual_seed(self.seed)
        np.random.seed(self.seed)
        random.seed(self.seed)

    def __exit__(self, *error: object) -> None:
        import random

        import numpy as np

        torch.set_rng_state(self.kept[0])
        np.random.set_state(self.kept[1])
        random.setstate(self.kept[2])
