"""From logits to probabilities and decisions, as plain data that a run's record can keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from midmix.decisions.aim import Accuracy, Aim, ClasswiseAim, Costs, aim_of, parse_aim
from midmix.decisions.calibrate import Calibration, fit_calibration
from midmix.decisions.prior import LogitPrior, check_shares, posterior, shares_of, stated_prior
from midmix.decisions.thresholds import Offsets, Threshold, choose_offsets, choose_threshold
from midmix.errors import InputError

CALIBRATIONS = ("none", "temperature", "bias")
"""What `decision_rule` can fit on validation rows: nothing, one temperature, a bias for each class as well."""

_FIELDS = ("trained", "prior", "aim", "calibration", "thresholds")


@dataclass(frozen=True)
class DecisionRule:
    """Everything that leads from the logits of a trained head to what is done.

        evidence = calibration(trained.evidence(logits))      log p(x | c), up to a constant a row
        probabilities = softmax(evidence + log prior)         for the stated prior
        decision = thresholds(probabilities), or what is best for the aim under the prior

    Args:
        trained: the prior that the raw logits answer for.
        prior: the stated prior, shares `[C]`.
        aim: what decisions are to be good at.
        calibration: fitted on validation rows, or none.
        thresholds: chosen on validation rows; needed where `aim.needs_thresholds`.

    Raises:
        InputError: parts for different numbers of classes; an aim that needs thresholds without them.

    Example:
        >>> import torch
        >>> rule = DecisionRule(LogitPrior((0.9, 0.1)), prior=(0.5, 0.5))  # cross-entropy, asked for a uniform prior
        >>> logits = torch.tensor([[0.8, 0.2]]).log()
        >>> rule.probabilities(logits), rule.decide(logits)  # .8/.9 : .2/.1
        (tensor([[0.3077, 0.6923]], dtype=torch.float64), tensor([1]))
        >>> DecisionRule.from_dict(rule.to_dict()) == rule
        True
    """

    trained: LogitPrior
    prior: tuple[float, ...]
    aim: Aim = Accuracy()  # noqa: RUF009  (frozen)
    calibration: Calibration = Calibration()  # noqa: RUF009  (frozen)
    thresholds: Threshold | Offsets | None = None

    def __post_init__(self) -> None:
        classes = len(self.trained.fed)
        object.__setattr__(self, "prior", check_shares(self.prior, "prior", classes))
        if not any(own and fed for own, fed in zip(self.prior, self.trained.fed, strict=True)):
            raise InputError("prior: all of its share lies in classes that were never trained")
        sizes = {
            "bias": classes if self.calibration.bias is None else len(self.calibration.bias),
            "costs": len(self.aim.matrix) if isinstance(self.aim, Costs) else classes,
            "offsets": len(self.thresholds.values) if isinstance(self.thresholds, Offsets) else classes,
            "threshold": 2 if isinstance(self.thresholds, Threshold) else classes,
        }
        for what, size in sizes.items():
            if size != classes:
                raise InputError(f"{what}: for {size} classes, but the head was trained on {classes}")
        if self.aim.needs_thresholds and self.thresholds is None:
            raise InputError(
                f"aim {self.aim.text}: needs a threshold, chosen on validation rows; there are none, so hold some out"
            )

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Natural logarithms of `probabilities`, `[N, C]`, float64."""
        return posterior(self.calibration.apply(self.trained.evidence(logits)), self.prior)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of the classes under the stated prior, `[N, C]`, float64, rows sum to 1.

        Args:
            logits: `[N, C]` of the trained head, any float dtype.

        Raises:
            InputError: logits that are not finite, or of another number of classes.
        """
        return self.log_probabilities(logits).exp()

    def decide(self, logits: Tensor) -> Tensor:
        """The class decided for each row, `[N]` (int64); arguments and errors as in `probabilities`."""
        log = self.log_probabilities(logits)
        if self.thresholds is not None:
            return self.thresholds.decide(log)
        return self.aim.decide(log.exp(), self.prior)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, which `from_dict` reads back to the last bit."""
        thresholds: dict[str, Any] | None = None
        if isinstance(self.thresholds, Threshold):
            thresholds = {"threshold": self.thresholds.value, "positive": self.thresholds.positive}
        elif isinstance(self.thresholds, Offsets):
            thresholds = {"offsets": list(self.thresholds.values)}
        bias = self.calibration.bias
        return {
            "trained": {"fed": list(self.trained.fed), "tau": self.trained.tau},
            "prior": list(self.prior),
            "aim": self.aim.to_dict(),
            "calibration": {
                "temperature": self.calibration.temperature,
                "bias": None if bias is None else list(bias),
            },
            "thresholds": thresholds,
        }

    @classmethod
    def from_dict(cls, record: object) -> DecisionRule:
        """The rule of plain data.

        Raises:
            InputError: a field that is missing, unknown or wrong, by name.
        """
        fields = _record(record, "decision rule", _FIELDS)
        trained = _record(fields["trained"], "decision rule: trained", ("fed", "tau"))
        calibration = _record(fields["calibration"], "decision rule: calibration", ("temperature", "bias"))
        try:
            return cls(
                LogitPrior(_tuple(trained["fed"], "trained"), trained["tau"]),
                _tuple(fields["prior"], "prior"),
                aim_of(fields["aim"]),
                Calibration(
                    calibration["temperature"],
                    None if calibration["bias"] is None else _tuple(calibration["bias"], "bias"),
                ),
                _thresholds(fields["thresholds"]),
            )
        except InputError as error:
            raise InputError(f"decision rule: {error}") from None


def decision_rule(
    trained: LogitPrior,
    data: Sequence[float] | Tensor,
    *,
    prior: str | Sequence[float] | Tensor = "data",
    aim: str | Aim = "accuracy",
    calibrate: str = "none",
    validation: tuple[Tensor, Tensor] | None = None,
    evidence: tuple[Tensor, Tensor] | None = None,
    folds: Tensor | None = None,
    held_out: Sequence[float] | Tensor | None = None,
    classes: Sequence[str] | None = None,
    positive: int = 1,
    tune: bool = False,
) -> DecisionRule:
    """The rule for what somebody states, fitted on validation rows where it takes some.

    Args:
        trained: the prior that the raw logits answer for.
        data: rows or shares `[C]` of the classes in the training data.
        prior: `"data"`, `"uniform"` or shares; see `stated_prior`.
        aim: an aim or its text; see `parse_aim`.
        calibrate: `"none"`, `"temperature"`, or `"bias"` for a temperature and a bias for each class.
        validation: logits `[M, C]` and labels `[M]` of rows that were not trained on. Never test rows.
        evidence: in place of their logits, evidence `[M, C]` and labels `[M]`, where each row's head was another one.
        folds: `[M]`, the fold in which each row was held out, where they are cross-fitted; see `choose_threshold`.
        held_out: rows or shares `[C]` of the classes where the validation rows come from; the training data's where
            None. For a stated prior π* the rows are weighted by `π*_c / held_out_c` where thresholds are chosen.
        classes: names of the classes.
        positive: of two classes, the one that is looked for.
        tune: choose thresholds also where the aim does not need them, with a model whose probabilities are not trusted.

    Raises:
        InputError: whatever is stated wrongly; a calibration or thresholds without validation rows.

    Example:
        >>> rule = decision_rule(LogitPrior((0.9, 0.1)), [90, 10], prior="uniform", aim="balanced")
        >>> rule.prior, rule.aim
        ((0.5, 0.5), BalancedAccuracy())
        >>> decision_rule(LogitPrior((0.9, 0.1)), [90, 10], aim="f1")
        Traceback (most recent call last):
        ...
        midmix.errors.InputError: aim f1: needs a threshold, chosen on validation rows; there are none, so hold some out
    """
    size = len(trained.fed)
    shares = check_shares(shares_of(data), "training data", size)
    there = shares if held_out is None else check_shares(shares_of(held_out), "held-out rows", size)
    names = [str(index) for index in range(size)] if classes is None else list(classes)
    if len(names) != size:
        raise InputError(f"classes: {len(names)} names for {size} classes")
    stated = stated_prior(prior, shares, names)
    aim = parse_aim(aim, names) if isinstance(aim, str) else aim
    if calibrate not in CALIBRATIONS:
        raise InputError(f"calibrate: {calibrate!r}; choose one of {', '.join(CALIBRATIONS)}")
    calibration = Calibration()
    if validation is not None:
        evidence = trained.evidence(validation[0]), validation[1]
    if calibrate != "none":
        if evidence is None:
            raise InputError(
                f"calibrate {calibrate}: is fitted on validation rows; there are none, so hold some out"
            )
        calibration = fit_calibration(*evidence, there, bias=calibrate == "bias")
    if not (aim.needs_thresholds or tune):
        return DecisionRule(trained, stated, aim, calibration)
    if evidence is None:
        raise InputError(
            f"aim {aim.text}: needs a threshold, chosen on validation rows; there are none, so hold some out"
        )
    held, labels = evidence
    log = posterior(calibration.apply(held), stated)
    weight = [own / known if known else 0.0 for own, known in zip(stated, there, strict=True)]
    thresholds: Threshold | Offsets
    if size == 2:
        thresholds = choose_threshold(
            log[:, positive].exp(), labels, aim, positive=positive, weight=weight, folds=folds
        ).threshold
    elif isinstance(aim, ClasswiseAim):
        thresholds = choose_offsets(log, labels, aim, weight=weight).offsets
    else:
        raise InputError(f"aim {aim.text}: no thresholds are chosen for {size} classes; take balanced or f1")
    return DecisionRule(trained, stated, aim, calibration, thresholds)


def _thresholds(record: object) -> Threshold | Offsets | None:
    if record is None:
        return None
    if isinstance(record, dict) and "offsets" in record:
        fields = _record(record, "thresholds", ("offsets",))
        return Offsets(_tuple(fields["offsets"], "offsets"))
    fields = _record(record, "thresholds", ("threshold", "positive"))
    return Threshold(fields["threshold"], fields["positive"])


def _record(record: object, what: str, names: Sequence[str]) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise InputError(f"{what}: expected a record of {', '.join(names)}")
    missing = [name for name in names if name not in record]
    strange = [str(name) for name in record if name not in names]
    if missing or strange:
        wrong = " and ".join(
            f"{word} {', '.join(found)}"
            for word, found in (("lacks", missing), ("has unknown", strange))
            if found
        )
        raise InputError(f"{what}: {wrong}; expected {', '.join(names)}")
    return record


def _tuple(values: object, what: str) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple):
        raise InputError(f"{what}: expected a list of numbers, one for each class")
    return tuple(values)
