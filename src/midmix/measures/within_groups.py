"""Collapse within groups of classes: whether features that tell the groups apart still tell their members apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from midmix.errors import InputError
from midmix.measures.between_classes import class_uniformity
from midmix.measures.checks import check_labels, check_rows
from midmix.measures.report import collapse_report
from midmix.measures.table import Outputs, declare


@dataclass(frozen=True)
class GroupReport:
    """What `within_groups` finds, as plain data.

    `totals` has `spread` and the names of `collapse_report`'s totals:
    `nc3` only with a head, `nc4` and `margin_balance` only with logits: each the
    mean over the groups. `per_group` is a table by columns, a row a group: `group`, `classes`, `count` (rows) and the
    names of `totals`. NaN stands for what a group does not have.
    """

    totals: dict[str, float]
    per_group: dict[str, list[str] | list[int] | list[float]]


def within_groups(
    features: Tensor,
    labels: Tensor,
    group: Tensor,
    logits: Tensor | None = None,
    head: tuple[Tensor, Tensor | None] | None = None,
    groups: Sequence[str] | None = None,
    *,
    max_rows: int | None = None,
    seed: int = 0,
) -> GroupReport:
    """Every measure of collapse on the classes of each group alone, and how far they spread within it.

    For each group g the measures of `collapse_report` are taken over the rows of its classes only, logits and
    head restricted to these classes: `nc1` of the fine classes inside the coarse one, for example. Besides, with
    `μ_c` the normalised centres of the classes and `M_g` those of the groups,

        spread_g = mean_{a≠b ∈ g} ‖μ_a - μ_b‖₂ / mean_{g≠h} ‖M_g - M_h‖₂,

    the distance of the members' centres against the distance of the groups': 0 where a group has collapsed to a
    point, about 1 where members lie as far apart as groups do. Higher is better for whoever needs the members.

    Args:
        features: `[N, D]`, any float dtype.
        labels: `[N]`, class indices below C.
        group: `[C]`, the group of each class, from 0 to G - 1.
        logits: `[N, C]`; made from the head where they are not given but it is.
        head: weight `[C, D]` and bias `[C]` or None, of a linear classifier on these features.
        groups: G names; without them a group is called by its number.
        max_rows, seed: as in `collapse_report`.

    Raises:
        InputError: parts that do not fit one another, non-finite rows, no rows.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0], [-1.0, 0.0]])
        >>> found = within_groups(features, torch.arange(4), group=torch.tensor([0, 0, 1, 1]))
        >>> [round(value, 4) for value in found.per_group["spread"]]  # the second group has collapsed
        [0.3204, 0.0]
    """
    check_rows(features, labels, name="features")
    check_labels(labels, len(group))
    group = group.to(labels.device)
    count = int(group.max()) + 1
    if int(group.min()) < 0 or (groups is not None and len(groups) != count):
        named = "" if groups is None else f", of {len(groups)} names"
        raise InputError(
            f"group: has values from {int(group.min())} to {count - 1}{named}; number groups from 0"
        )
    if logits is not None and logits.shape[1:] != group.shape:
        raise InputError(f"logits: {logits.shape[1]} columns, but {len(group)} classes have a group")
    if head is not None and len(head[0]) != len(group):
        raise InputError(f"head: {len(head[0])} rows, but {len(group)} classes have a group")

    own = group[labels]
    apart = class_uniformity(features, own)
    found = []
    for g in range(count):
        rows, members = (own == g).nonzero().flatten(), (group == g).nonzero().flatten()
        if not len(rows):
            found.append(dict[str, float]())
            continue
        report = collapse_report(
            features[rows],
            torch.searchsorted(members, labels[rows]),
            None if logits is None else logits[rows][:, members],
            None if head is None else (head[0][members], None if head[1] is None else head[1][members]),
            [str(c) for c in members.tolist()],
            max_rows=max_rows,
            seed=seed,
        )
        spread = report.totals["class_uniformity"] / apart if apart else math.nan
        found.append({"spread": spread, **report.totals})

    names = list(dict.fromkeys(name for one in found for name in one))
    per_group: dict[str, list[str] | list[int] | list[float]] = {
        "group": list(groups) if groups is not None else [str(g) for g in range(count)],
        "classes": torch.bincount(group, minlength=count).tolist(),
        "count": torch.bincount(own, minlength=count).tolist(),
    }
    totals = {}
    for name in names:
        values = [one.get(name, math.nan) for one in found]
        per_group[name] = values
        known = [value for value in values if math.isfinite(value)]
        totals[name] = sum(known) / len(known) if known else math.nan
    return GroupReport(totals, per_group)


def _spread(outputs: Outputs) -> float:
    assert outputs.features is not None
    assert outputs.groups is not None
    found = within_groups(
        outputs.features, outputs.labels, outputs.groups, max_rows=outputs.max_rows, seed=outputs.seed
    )
    return found.totals["spread"]


declare("spread", "spread", "higher", _spread, needs=["features", "groups"], table="groups", order=0)
