"""All measures of one set of features, for a table, a file or a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.measures.checks import check_labels, check_rows
from midmix.measures.estimate import Estimate
from midmix.measures.neural_collapse import check_head
from midmix.measures.streaming import CollapseMeter


@dataclass(frozen=True)
class CollapseReport:
    """What `collapse_report` finds, as plain data.

    `totals` has the names of the measures of the table `collapse`: `nc3` only with a head,
    `nc4` and `margin_balance` only with logits.
    `standard_errors` has those totals that were sampled. `per_class` is a table by columns, a row a class:
    `class`, `count`, `alignment`, `alignment_wi`, `class_uniformity`, `neighborhood_uniformity`,
    `nearest_class`, `nearest_distance`, and with logits `nc4`, `margin_mean`, `margin_q05` … `margin_q95`. NaN
    (None for `nearest_class`) stands for what a class without rows, or without another class, does not have.
    """

    totals: dict[str, float]
    standard_errors: dict[str, float]
    per_class: dict[str, list[str] | list[int] | list[float] | list[str | None]]
    centre_distances: Tensor
    """`[C, C]`, float64."""


def collapse_report(
    features: Tensor,
    labels: Tensor,
    logits: Tensor | None = None,
    head: tuple[Tensor, Tensor | None] | None = None,
    classes: Sequence[str] | None = None,
    *,
    k: int = 1,
    max_rows: int | None = None,
    seed: int = 0,
) -> CollapseReport:
    """Every measure of collapse of these features, in total and per class.

    Args:
        features: `[N, D]`, any float dtype.
        labels: `[N]`, class indices.
        logits: `[N, C]`; made from the head where they are not given but it is.
        head: weight `[C, D]` and bias `[C]` or None, of the linear classifier on these features.
        classes: C names; without them a class is called by its number.
        k: neighbours of `neighborhood_uniformity`.
        max_rows: rows a class (and of all, for `uniformity_wi` and `nc4`) above which the pairwise measures
            are estimated from a sample; None for exact.
        seed: of the sample.

    Raises:
        InputError: parts that do not fit one another, non-finite rows, no rows.

    Example:
        >>> features, labels = torch.eye(3), torch.tensor([0, 1, 2])
        >>> found = collapse_report(features, labels, head=(torch.eye(3), None), classes=["a", "b", "c"])
        >>> round(found.totals["class_uniformity"], 4), found.totals["margin_balance"]
        (1.4142, 1.0)
        >>> found.per_class["class"], found.per_class["margin_mean"]
        (['a', 'b', 'c'], [1.0, 1.0, 1.0])
    """
    check_rows(features, labels, name="features")
    num_classes = _num_classes(labels, logits, head, classes)
    check_labels(labels, num_classes)
    if head is not None:
        check_head(*head, num_classes=num_classes, width=features.shape[1])
        if logits is None:
            weight, bias = head
            logits = features.detach().double() @ weight.detach().to(features.device).double().T
            if bias is not None:
                logits = logits + bias.detach().to(logits)
    meter = CollapseMeter(num_classes, max_rows=max_rows, seed=seed)
    meter.update(features, labels, logits)
    return report_of(meter, weight=head[0] if head is not None else None, classes=classes, k=k)


def report_of(
    meter: CollapseMeter, *, weight: Tensor | None = None, classes: Sequence[str] | None = None, k: int = 1
) -> CollapseReport:
    """The report of what a `CollapseMeter` has seen; arguments as in `collapse_report`."""
    nc2 = meter.nc2()
    by_class = {
        "alignment": meter.alignment(),
        "class_uniformity": meter.class_uniformity(),
        "neighborhood_uniformity": meter.neighborhood_uniformity(k),
        "alignment_wi": meter.alignment_wi(),
    }
    totals: dict[str, float] = {
        **by_class,
        "uniformity_wi": meter.uniformity_wi(),
        "nc1": meter.nc1(),
        **{f"nc2_{name}": value for name, value in nc2._asdict().items()},
    }
    if weight is not None:
        totals["nc3"] = meter.nc3(weight)

    distances = meter.centre_distances()
    nearest = distances.clone().fill_diagonal_(torch.inf).nan_to_num(torch.inf).min(dim=1)
    names = list(classes) if classes is not None else [str(c) for c in range(meter.num_classes)]
    known = nearest.values.isfinite().tolist()
    columns: dict[str, list[str] | list[int] | list[float] | list[str | None]] = {
        "class": names,
        "count": meter.counts.tolist(),
        "nearest_class": [
            names[other] if one else None for other, one in zip(nearest.indices.tolist(), known, strict=True)
        ],
        "nearest_distance": nearest.values.masked_fill(nearest.values.isinf(), torch.nan).tolist(),
    }
    if meter.has_logits:
        by_class["nc4"] = totals["nc4"] = meter.nc4()
        margins = meter.margins()
        totals["margin_balance"] = margins.balance
        columns["margin_mean"] = margins.mean.tolist()
        for q, level in enumerate(margins.levels):
            columns[f"margin_q{round(100 * level):02d}"] = margins.quantiles[:, q].tolist()
    columns |= {
        name: found.per_class.tolist() for name, found in by_class.items() if found.per_class is not None
    }

    errors = {
        name: found.standard_error
        for name, found in totals.items()
        if isinstance(found, Estimate) and found.standard_error
    }
    return CollapseReport({name: float(value) for name, value in totals.items()}, errors, columns, distances)


def _num_classes(
    labels: Tensor,
    logits: Tensor | None,
    head: tuple[Tensor, Tensor | None] | None,
    classes: Sequence[str] | None,
) -> int:
    """The number of classes that all who know it agree on."""
    said = {
        "class names": None if classes is None else len(classes),
        "logits": None if logits is None or logits.ndim != 2 else logits.shape[1],
        "head": None if head is None or head[0].ndim != 2 else len(head[0]),
    }
    known = {who: number for who, number in said.items() if number is not None}
    if len(set(known.values())) > 1:
        each = ", ".join(f"{number} by {who}" for who, number in known.items())
        raise InputError(f"number of classes: {each}; they must agree")
    return next(iter(known.values()), int(labels.max()) + 1)
