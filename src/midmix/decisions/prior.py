"""Probabilities for a stated prior, from logits that answer for another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.errors import InputError, unknown
from midmix.measures.checks import check_rows

_SUM = 1e-6
"""How far shares may be from 1 in all."""
_ROWS_AT_ONCE = 16384


@dataclass(frozen=True)
class LogitPrior:
    """The class prior that `softmax(logits)` of a trained head answers for, `π_c ∝ fed_c^(1-τ)`.

    A head is fed targets of prior `fed` by a loss that adds `τ log fed` to the logits s before cross-entropy: τ = 0 is
    plain cross-entropy, τ = 1 balanced softmax (Ren et al. 2020, arXiv 2007.10740), any τ is logit adjustment (Menon et
    al. 2021, arXiv 2007.07314). Cross-entropy is least where its softmax is the posterior of the
    rows that it is fed,

        softmax_c(s + τ log fed) = p(c | x) ∝ p(x | c) fed_c,

    so that, up to a constant of the row,

        s_c = log p(x | c) + (1-τ) log fed_c.

    So `s - (1-τ) log fed` is the row's evidence `log p(x | c)`, and `softmax(evidence + log π*)` the posterior under
    any other prior π*, as long as p(x | c) stays what it was (label shift): `s + log π* - log fed` for cross-entropy,
    `s + log π*` for balanced softmax. Under mixing the fed rows are mixed ones, and p(x | c) is theirs: what that costs
    is to be measured on held-out rows, and `fit_calibration` takes it back in part.

    Args:
        fed: shares `[C]` of the classes among the targets fed, as a mix counts them (`plan.prior`).
        tau: τ, how much of `log fed` the loss adds, 0 or more.

    Raises:
        InputError: shares that are negative or do not sum to 1 within 1e-6; τ negative or not finite.

    Example:
        >>> LogitPrior((0.8, 0.2)).shares, LogitPrior((0.8, 0.2), tau=1).shares
        ((0.8, 0.2), (0.5, 0.5))
        >>> tuple(round(share, 3) for share in LogitPrior((0.8, 0.2), tau=0.5).shares)  # 2 : 1
        (0.667, 0.333)
    """

    fed: tuple[float, ...]
    tau: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "fed", check_shares(self.fed, "prior of the training targets"))
        if not _is_number(self.tau) or not 0 <= self.tau < math.inf:
            raise InputError(f"tau: {self.tau!r}; a number of 0 or more is needed")
        object.__setattr__(self, "tau", float(self.tau))

    @classmethod
    def from_counts(cls, counts: Sequence[float] | Tensor, tau: float = 0.0) -> LogitPrior:
        """The same from counts or unnormalised shares `[C]`.

        Example:
            >>> LogitPrior.from_counts([90, 10])
            LogitPrior(fed=(0.9, 0.1), tau=0.0)
        """
        return cls(shares_of(counts), tau)

    @property
    def shares(self) -> tuple[float, ...]:
        """The prior `[C]` that raw softmax answers for; a class that was never fed has 0."""
        return tuple(torch.softmax(self._log(), 0).tolist())

    def evidence(self, logits: Tensor) -> Tensor:
        """`logits - (1-τ) log fed`: log p(x | c) up to a constant a row.

        Args:
            logits: `[N, C]`, any float dtype.

        Returns:
            `[N, C]`, float64; -inf at classes that were never fed, of which nothing is known.

        Raises:
            InputError: logits that are not finite, or of another number of classes.

        Example:
            >>> LogitPrior((0.8, 0.2)).evidence(torch.zeros(1, 2))  # -log 0.8, -log 0.2
            tensor([[0.2231, 1.6094]], dtype=torch.float64)
        """
        check_rows(logits, torch.zeros(len(logits), dtype=torch.int64), name="logits")
        if logits.shape[1] != len(self.fed):
            raise InputError(f"logits: {logits.shape[1]} a row, but the head was fed {len(self.fed)} classes")
        log = self._log().to(logits.device)
        return torch.where(log.isfinite(), logits.detach().double() - log, -math.inf)

    def _log(self) -> Tensor:
        fed = torch.tensor(self.fed, dtype=torch.float64)
        return torch.where(fed > 0, (1 - self.tau) * fed.log(), -math.inf)


def posterior(evidence: Tensor, prior: Sequence[float]) -> Tensor:
    """`log softmax(evidence + log prior)`: log-probabilities of the classes under a prior (Bayes' rule).

    Args:
        evidence: `[N, C]`, log p(x | c) up to a constant a row, float64; -inf where a class cannot be.
        prior: shares `[C]`; a class of share 0 has probability 0.

    Returns:
        `[N, C]`, float64, natural logarithms.

    Raises:
        InputError: shares that are no prior; no class is left that has both evidence and a share.

    Example:
        >>> posterior(torch.zeros(1, 2, dtype=torch.float64), (0.8, 0.2)).exp()
        tensor([[0.8000, 0.2000]], dtype=torch.float64)
    """
    shares = check_shares(prior, "prior", evidence.shape[1])
    log = torch.tensor(shares, dtype=torch.float64, device=evidence.device).log() + evidence
    if bool((log == -math.inf).all(dim=1).any()):
        raise InputError("prior: all of its share lies in classes that were never trained")
    return log.log_softmax(dim=1)


def for_own_prior(trained: LogitPrior, logits: Tensor, labels: Tensor) -> Tensor:
    """Log-probabilities `[N, C]` of labelled rows under the shares of the classes among these rows themselves.

    What likelihood and calibration are measured of where lines are compared: training and test rows may have different
    shares by design, and probabilities for one prior cannot be right for another.

    Args:
        trained: the prior that the logits answer for.
        logits: `[N, C]`.
        labels: `[N]`, class indices.

    Example:
        >>> for_own_prior(LogitPrior((0.9, 0.1)), torch.tensor([[0.9, 0.1]]).log(), torch.tensor([1])).exp()
        tensor([[0., 1.]], dtype=torch.float64)
    """
    check_rows(logits, labels, name="logits")
    shares = shares_of(torch.bincount(labels, minlength=logits.shape[1]))
    found = torch.empty(logits.shape, dtype=torch.float64, device=logits.device)
    for some, part in zip(torch.split(logits, _ROWS_AT_ONCE), torch.split(found, _ROWS_AT_ONCE), strict=True):
        part.copy_(posterior(trained.evidence(some), shares))
    return found


def stated_prior(
    stated: str | Sequence[float] | Tensor,
    data: Sequence[float] | Tensor,
    classes: Sequence[str] | None = None,
) -> tuple[float, ...]:
    """The shares `[C]` of a prior that somebody states.

    Args:
        stated: `"data"`, the training data's; `"uniform"`, the same share for every class that has training rows;
            or shares, one for each class, as numbers or as text `"0.9,0.1"`.
        data: rows or shares `[C]` of the classes in the training data.
        classes: their names, for messages.

    Raises:
        InputError: a word that is neither; shares that miss a class, are negative, do not sum to 1 within 1e-6, or are
            given to a class without training rows.

    Example:
        >>> stated_prior("data", [90, 10]), stated_prior("uniform", [90, 10]), stated_prior("0.75,0.25", [90, 10])
        ((0.9, 0.1), (0.5, 0.5), (0.75, 0.25))
        >>> stated_prior([0.9, 0.2], [90, 10])
        Traceback (most recent call last):
        ...
        midmix.errors.InputError: prior: 0.9, 0.2 sum to 1.1; the shares of the classes must sum to 1
    """
    known = shares_of(data)
    if isinstance(stated, str):
        if stated == "data":
            return known
        if stated == "uniform":
            taught = sum(share > 0 for share in known)
            return tuple(float(share > 0) / taught for share in known)
        stated = _numbers(stated)
    shares = check_shares(stated, "prior", len(known))
    for index, (share, rows) in enumerate(zip(shares, known, strict=True)):
        if share > 0 and rows == 0:
            name = repr(classes[index]) if classes else str(index)
            raise InputError(
                f"prior: class {name} has share {share:g}, but no row of it was trained on; give it 0"
            )
    return shares


def shares_of(counts: Sequence[float] | Tensor) -> tuple[float, ...]:
    """Counts or shares `[C]`, normalised to sum to 1.

    Raises:
        InputError: a count that is negative or not finite; all are 0.
    """
    values = _floats(counts, "class counts")
    if any(not 0 <= value < math.inf for value in values) or not any(values):
        raise InputError(f"class counts: {_listed(values)}; none may be negative, and one must be above 0")
    total = math.fsum(values)
    return tuple(value / total for value in values)


def check_shares(
    shares: Sequence[float] | Tensor, what: str, num_classes: int | None = None
) -> tuple[float, ...]:
    """Shares `[C]` as floats, none negative, that sum to 1 within 1e-6; what is missing is not made up.

    Raises:
        InputError: where they are not.
    """
    values = _floats(shares, what)
    if num_classes is not None and len(values) != num_classes:
        raise InputError(f"{what}: {len(values)} shares for {num_classes} classes; give one for each class")
    if not values or any(not 0 <= value < math.inf for value in values):
        raise InputError(f"{what}: {_listed(values)}; each class needs a share of 0 to 1")
    if abs(math.fsum(values) - 1) > _SUM:
        raise InputError(
            f"{what}: {_listed(values)} sum to {math.fsum(values):.7g}; the shares of the classes must sum to 1"
        )
    return values


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise unknown("prior", text, ("data", "uniform", "numbers like 0.9,0.1")) from None


def _floats(values: Sequence[float] | Tensor, what: str) -> tuple[float, ...]:
    try:
        found = torch.as_tensor(values, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        found = torch.empty(0, 0)
    if found.ndim != 1:
        raise InputError(f"{what}: expected a list of numbers, one for each class")
    return tuple(found.tolist())


def _listed(values: Sequence[float]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:6])
    return f"{shown}, …" if len(values) > 6 else shown or "nothing"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
