"""Every loss against values that published code gave, where `MIDMIX_DATA` has them beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from midmix.losses import ComposedLoss, Loss, LossContext, loss
from midmix.losses.recipes.margin import SubtractCloud
from midmix.losses.recipes.rivals import IgnoreRare

CASES = ("A5", "B2", "C7")


def exact(numbers: Any) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@dataclass(frozen=True)
class RecordedCloud(SubtractCloud):
    noise_drawn: Any = None

    def draw(self, logits: Tensor, context: LossContext) -> Tensor:
        return exact(self.noise_drawn).clamp(-1, 1)


@dataclass(frozen=True)
class RecordedMask(IgnoreRare):
    drawn: Any = None

    def draw(self, logits: Tensor, context: LossContext) -> Tensor:
        return exact(self.drawn)


def smoothing(p: dict[str, Any], i: dict[str, Any]) -> Loss:
    """The code spreads ε over all C classes, the paper over the C - 1 others."""
    others = (len(i["class_counts"]) - 1) / len(i["class_counts"])
    shape = {"exp": "power"}.get(p["shape"], p["shape"])
    options = {"head": p["smooth_head"] * others, "tail": p["smooth_tail"] * others}
    return loss("label_aware_smoothing", **options, shape=shape, power=p["power"] or 2.0)


def influence(p: dict[str, Any], i: dict[str, Any]) -> Loss:
    power = 0.0 if p["class_weight"] is None else 1.0
    return loss("influence_balanced", alpha=p["alpha"], epsilon=p["epsilon"], power=power, start=0.0)


ROWS = {
    "ldam": lambda p, i: loss("ldam", max_margin=p["max_m"], scale=float(p["s"])),
    "ldam_drw": lambda p, i: (
        loss("ldam", max_margin=p["max_m"], scale=float(p["s"])) + loss("drw", beta=p["beta"])
    ),
    "focal_softmax": lambda p, i: loss("focal", gamma=p["gamma"]),
    "class_balanced_ce": lambda p, i: loss("effective_number", beta=p["beta"]),
    "cost_sensitive_ce": lambda p, i: loss("class_weighted", power=p["gamma"]),
    "cdt": lambda p, i: loss("cdt", gamma=p["gamma"]),
    "vs": lambda p, i: loss("vs", gamma=p["gamma"], tau=p["tau"]),
    "balanced_softmax": lambda p, i: loss("balanced_softmax"),
    "logit_adjust": lambda p, i: loss("logit_adjustment", tau=p["tau"]),
    "seesaw": lambda p, i: loss("seesaw", mitigation=p["p"], compensation=p["q"]),
    "softmax_eql": lambda p, i: ComposedLoss(adjust=[RecordedMask(p["lambda"], p["gamma"], i["u"])]),
    "label_aware_smoothing": smoothing,
    "ib": influence,
    "gcl": lambda p, i: (
        ComposedLoss(adjust=[RecordedCloud(p["noise_mul"], p["m"], float(p["s"]), i["noise"])])
        + (loss("focal", gamma=p["gamma"]) if p["train_cls"] else ComposedLoss())
    ),
}
"""By family: the loss of an entry's parameters and inputs."""
WEIGHTS = {"ldam_drw": "drw_weights", "class_balanced_ce": "weights", "cost_sensitive_ce": "weights"}
"""Where a family's class weights stand. The code scales them to a sum of C or a largest of 1, ours to a mean of 1."""
OTHER_GRADIENT = {"gcl"}
"""Families whose code detaches what ours differentiates: the focal factor of the classifier's own training."""


def facts(entry: dict[str, Any]) -> tuple[Tensor, Tensor, dict[str, Any]]:
    inputs = entry["inputs"]
    logits = exact(inputs.get("logits", inputs.get("cosine"))).requires_grad_()
    counts = exact(inputs["class_counts"])
    known = {"prior": counts / counts.sum(), "counts": counts, "progress": torch.tensor(0.9)}
    if "features" in inputs:
        known["features"] = exact(inputs["features"])
    return logits, torch.tensor(inputs["labels"]), known


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest error, relative above magnitude 1 and absolute below."""
    return ((ours.detach() - theirs).abs() / theirs.abs().clamp_min(1)).max().item()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("family", ROWS)
def test_rows_and_slopes_are_those_of_published_code(family, case, values, record_property):
    entries = {
        name: e
        for name, e in values.items()
        if name.startswith(f"{family}/{case}/") or name == f"{family}/{case}"
    }
    assert entries
    worst = 0.0
    for entry in entries.values():
        logits, labels, known = facts(entry)
        rows = ROWS[family](entry["params"], entry["inputs"])(logits, labels, **known)
        out = entry["outputs"]
        weights = out[WEIGHTS[family]] if family in WEIGHTS else entry["params"].get("class_weight")
        share = 1.0 if weights is None else float(known["prior"] @ exact(weights))
        expected = out["per_row_weighted_unreduced"] if family in WEIGHTS else out["per_row"]
        worst = max(worst, difference(rows * share, exact(expected)))
        slope = out.get("grad_logits", out.get("grad_cosine"))
        if slope is not None and family not in OTHER_GRADIENT:
            # A weighted mean of the code is divided by the batch's weights, not by its rows.
            parts = float(exact(weights)[labels].sum()) if family in WEIGHTS else len(labels)
            (gradient,) = torch.autograd.grad(rows.sum() * share / parts, logits)
            worst = max(worst, difference(gradient, exact(slope)))
    record_property("largest error", worst)
    assert worst < 1e-9


@pytest.mark.parametrize("case", CASES)
def test_lade_is_that_of_published_code(case, values, record_property):
    """The code adds 1e-9 inside its logarithms and 1e-8 to its counts."""
    (entry,) = (entry for name, entry in values.items() if name.startswith(f"lade/{case}/"))
    logits, labels, known = facts(entry)
    p, out = entry["params"], entry["outputs"]
    context = LossContext(logits, ((labels, torch.ones(len(labels)).double()),), **known)
    total = loss("lade", weight=p["lade_weight"], regularizer=p["remine_lambda"]).mean(context)
    worst = difference(total, exact(out["total_batch"]))
    record_property("largest error", worst)
    assert worst < 1e-6
