"""What a finished run's logits come to: probabilities for a stated prior, decisions for a stated aim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from midmix.decisions import (
    Aim,
    BalancedAccuracy,
    DecisionRule,
    LogitPrior,
    PriorEstimate,
    decision_rule,
    parse_aim,
    shares_of,
)
from midmix.decisions import estimate_prior as estimate
from midmix.errors import InputError, unknown

VALIDATION = "validation.npz"
AS_TRAINED, AIM_ACCURACY, AIM_BALANCED = "largest logit", "aim accuracy", "aim balanced"
"""Ways of deciding that need nothing but a run's record."""


def trained_prior(record: Mapping[str, Any]) -> LogitPrior | None:
    """The prior that the logits of a recorded run answer for; None where its record does not know.

    Example:
        >>> trained_prior({"logit_prior": [0.9, 0.1]})
        LogitPrior(fed=(0.9, 0.1), tau=0.0)
    """
    shares = record.get("logit_prior")
    return None if shares is None else LogitPrior.from_counts(shares)


def decided_for_aims(record: Mapping[str, Any], logits: Tensor) -> dict[str, Tensor]:
    """The class `[N]` decided for each row of `logits [N, C]`, by way of deciding.

    By the largest logit, and where a recorded run's logits answer for a known prior also by what is best for overall
    and for balanced accuracy under the training data's.

    Example:
        >>> record = {"logit_prior": [0.5, 0.5], "class_counts": [90, 10]}
        >>> {way: own.tolist() for way, own in decided_for_aims(record, torch.tensor([[0.0, 1.0]])).items()}
        {'largest logit': [1], 'aim accuracy': [0], 'aim balanced': [1]}
    """
    decided, trained = {AS_TRAINED: logits.argmax(1)}, trained_prior(record)
    if trained is not None:
        data = shares_of(record["class_counts"])
        decided[AIM_ACCURACY] = DecisionRule(trained, data).decide(logits)
        decided[AIM_BALANCED] = DecisionRule(trained, data, BalancedAccuracy()).decide(logits)
    return decided


def run_rule(
    folder: Path,
    record: Mapping[str, Any],
    *,
    prior: str | Sequence[float] = "data",
    aim: str | Aim = "accuracy",
    calibrate: str = "none",
    positive: str | None = None,
) -> DecisionRule:
    """From the logits of a finished run's model to probabilities and decisions.

    Where the run's record does not say which prior its logits answer for, they are taken to answer for the training
    data's: with nothing else stated, probabilities are softmax over the logits.

    Args:
        folder: of the run; calibrations and thresholds are fitted on the rows that were held out in it.
        record: of the run.
        prior: `"data"`, `"uniform"` or shares, numbers or a text of them.
        aim: see `midmix.decisions.parse_aim`.
        calibrate: `"none"`, `"temperature"` or `"bias"`.
        positive: name of the class that is looked for, of two; the one with fewer training rows where None.

    Raises:
        InputError: for what is stated wrongly, and for what needs validation rows, or the logits' prior, where the run
            has none.
    """
    classes, counts = list(record["classes"]), list(record["class_counts"])
    aim = parse_aim(aim, classes) if isinstance(aim, str) else aim
    trained = trained_prior(record)
    if trained is None and calibrate != "bias" and (prior != "data" or aim.text != "accuracy"):
        raise InputError(
            f"{folder}: which prior its logits answer for is not known ({_why(record)}), so there are no probabilities "
            "for another, nor decisions by them; fit them with --calibrate bias, or train it again"
        )
    held_out = read_held_out(folder)
    if held_out is None and (calibrate != "none" or aim.needs_thresholds):
        what = f"calibrate {calibrate}" if calibrate != "none" else f"aim {aim.text}"
        raise InputError(
            f"{what}: is fitted on validation rows, and {folder} was trained without; train with --validation 0.2"
        )
    return decision_rule(
        trained or LogitPrior.from_counts(counts),
        counts,
        prior=prior,
        aim=aim,
        calibrate=calibrate,
        validation=held_out,
        held_out=None if held_out is None else torch.bincount(held_out[1], minlength=len(classes)),
        classes=classes,
        positive=positive_of(record, positive),
    )


def estimated_prior(
    folder: Path, record: Mapping[str, Any], logits: Tensor, *, calibrate: str = "none"
) -> PriorEstimate:
    """The prior of rows without labels, from a finished run's logits `[N, C]` of them; see `decisions.estimate_prior`.

    Raises:
        InputError: as `run_rule` does.
    """
    rule = run_rule(folder, record, prior="uniform", calibrate=calibrate)
    held_out = read_held_out(folder)

    def evidence(some: Tensor) -> Tensor:
        return rule.calibration.apply(rule.trained.evidence(some))

    counts = torch.tensor(record["class_counts"], dtype=torch.float64)
    known = None if held_out is None else (evidence(held_out[0]), held_out[1])
    return estimate(evidence(logits), (counts / counts.sum()).tolist(), held_out=known)


def positive_of(record: Mapping[str, Any], name: str | None = None) -> int:
    """Number of the class that is looked for, of two: the one of this name, else the one with fewer training rows.

    Raises:
        InputError: for a name that is no class; for any name where there are not two classes.
    """
    classes, counts = list(record["classes"]), list(record["class_counts"])
    if name is None:
        return 0 if counts[0] < counts[1] else 1
    if len(classes) != 2:
        raise InputError(f"positive {name!r}: is for two classes, there are {len(classes)}; leave it out")
    if name not in classes:
        raise unknown("class", name, classes)
    return classes.index(name)


def read_held_out(folder: Path) -> tuple[Tensor, Tensor] | None:
    """Logits `[M, C]` and labels `[M]` of a finished run's validation rows; None where none were held out or kept.

    Raises:
        InputError: for a file that cannot be read.
    """
    path = folder / VALIDATION
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            return torch.from_numpy(file["logits"]), torch.from_numpy(file["labels"]).long()
    except (ValueError, KeyError, EOFError, OSError, BadZipFile) as error:
        raise InputError(
            f"{path}: is cut off, or of another kind; bring it back from a copy, or train again into another folder"
        ) from error


def _why(record: Mapping[str, Any]) -> str:
    method = str(record["method"])
    if not record["probabilities"]:
        return f"the scores of {method} are no log-probabilities"
    if ">>" in method:
        return f"a stage of {method} leaves none, or its record is of before it was written down"
    return "its record is of before it was written down"
