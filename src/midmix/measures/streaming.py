"""The measures of features that come in batches, from one process or many."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.distributed
from torch import Tensor

from midmix.errors import InputError
from midmix.measures._rows import Rows, check_max_rows, class_indices, random_keys
from midmix.measures.between_classes import (
    centre_distances_of,
    class_uniformity_of,
    neighborhood_uniformity_of,
)
from midmix.measures.checks import check_labels, check_logits, check_rows
from midmix.measures.estimate import Estimate
from midmix.measures.logit_margins import LEVELS, Margins, margin_quantiles, row_margins
from midmix.measures.moments import RawMoments, UnitMoments
from midmix.measures.neural_collapse import NC2, nc1_of, nc2_of, nc3_of, nc4_of, nearest_mean_agrees
from midmix.measures.uniformity import uniformity_wi_of
from midmix.measures.within_classes import alignment_of, alignment_wi_of, squared_alignment_of

_Columns = dict[str, Tensor]
"""Rows held for what moments cannot tell (pairs, nearest means, quantiles): features, labels, keys, predictions
and margins, each with as many entries."""


class CollapseMeter:
    """Every measure of collapse over rows that come in batches, with merging over parts and processes.

    What can be told from counts, means and scatter is exact whatever `max_rows` is: both class uniformities,
    `alignment_wi` at α = 2, `nc1`, `nc2`, `nc3`, mean margins. The rest (`alignment`, `uniformity_wi`, `nc4`,
    quantiles of margins) needs rows: all are kept, or with `max_rows` a random sample of that many a class,
    and then the estimates carry a standard error. Memory with `max_rows`: at most `2·C·max_rows` rows and one
    update, and `D² + 2·C·D` float64 numbers.

    Results do not depend on how rows are cut into batches and parts, save for rounding (and for the sample
    that is drawn).

    Args:
        num_classes: C.
        max_rows: rows kept a class, at least 16; None keeps all and is exact.
        seed: of the sample. Parts that will be merged need different seeds; processes of an initialised
            `torch.distributed` group get them by themselves, from their rank.

    Example:
        >>> features, labels = torch.eye(3), torch.tensor([0, 1, 2])
        >>> meter = CollapseMeter(num_classes=3)
        >>> meter.update(features[:2], labels[:2])
        >>> meter.update(features[2:], labels[2:])
        >>> round(meter.class_uniformity(), 4)
        1.4142
    """

    def __init__(self, num_classes: int, *, max_rows: int | None = None, seed: int = 0) -> None:
        if num_classes < 1:
            raise InputError(f"num_classes: expected at least 1, got {num_classes}")
        check_max_rows(max_rows)
        self.num_classes = num_classes
        self.max_rows = max_rows
        rank = torch.distributed.get_rank() if _in_group() else 0
        self._generator = torch.Generator().manual_seed(seed + 1_000_003 * rank)
        self._unit: UnitMoments | None = None
        self._raw: RawMoments | None = None
        self._margin_sum: Tensor | None = None
        self._kept: list[_Columns] = []

    def update(self, features: Tensor, labels: Tensor, logits: Tensor | None = None) -> None:
        """Add a batch: `features [N, D]`, `labels [N]`, and `logits [N, C]` for `nc4` and margins.

        Tensors are copied where they are kept. A batch without rows changes nothing.

        Raises:
            InputError: what does not fit, together or with what came before; non-finite rows.
        """
        if features.ndim == 2 and not len(features) and not len(labels):
            return
        check_rows(features, labels, name="features")
        check_labels(labels, self.num_classes)
        features, labels = features.detach(), labels.to(features.device).long()
        if self._unit is not None and features.shape[1] != self._unit.mean.shape[1]:
            raise InputError(
                f"features: a batch has {features.shape[1]} columns, those before had {self._unit.mean.shape[1]}"
            )
        if self._unit is not None and (logits is None) != (self._margin_sum is None):
            raise InputError("logits: give them with every batch or with none")
        part = CollapseMeter(self.num_classes, max_rows=self.max_rows)
        part._unit = UnitMoments.of(features, labels, self.num_classes)
        part._raw = RawMoments.of(features, labels, self.num_classes)
        predictions = torch.full_like(labels, -1)
        margin = torch.full(labels.shape, math.nan, dtype=torch.float64, device=labels.device)
        if logits is not None:
            check_logits(logits, labels)
            if logits.shape[1] != self.num_classes:
                raise InputError(f"logits: {logits.shape[1]} columns for {self.num_classes} classes")
            logits = logits.to(features.device)
            predictions, margin = logits.argmax(1), row_margins(logits, labels)
            part._margin_sum = torch.bincount(labels, weights=margin, minlength=self.num_classes)
        keys = random_keys(len(labels), self._generator).to(features.device)
        part._kept = [
            {
                "features": features.clone(),
                "labels": labels.clone(),
                "keys": keys,
                "predictions": predictions,
                "margins": margin,
            }
        ]
        self.merge(part)

    def merge(self, other: CollapseMeter) -> None:
        """Add what another object has seen; the other stays as it is.

        Raises:
            InputError: another number of classes, of columns, another `max_rows`, or logits in only one.
        """
        if (self.num_classes, self.max_rows) != (other.num_classes, other.max_rows):
            raise InputError(
                f"merge: {self.num_classes} classes and max_rows={self.max_rows} against "
                f"{other.num_classes} and {other.max_rows}; parts must be alike"
            )
        if other._unit is None or other._raw is None:
            return
        if self._unit is None or self._raw is None:
            self._unit, self._raw, self._margin_sum = other._unit, other._raw, other._margin_sum
        else:
            if self._unit.mean.shape != other._unit.mean.shape:
                raise InputError(
                    f"merge: features of {self._unit.mean.shape[1]} columns against {other._unit.mean.shape[1]}"
                )
            if (self._margin_sum is None) != (other._margin_sum is None):
                raise InputError("merge: one part has seen logits, the other has not")
            self._unit = self._unit.merged(other._unit)
            self._raw = self._raw.merged(other._raw)
            if self._margin_sum is not None and other._margin_sum is not None:
                self._margin_sum = self._margin_sum + other._margin_sum
        self._kept = [*self._kept, *other._kept]
        limit = 2 * self.num_classes * self.max_rows if self.max_rows else None
        if limit and sum(len(some["labels"]) for some in self._kept) > limit:
            self._rows_kept()

    def gather(self, group: torch.distributed.ProcessGroup | None = None) -> CollapseMeter:
        """What all processes of the group have seen, merged in order of rank, the same on every process.

        Every process must call it, those without rows too. Outside `torch.distributed` it is a plain copy.
        """
        parts: list[dict[str, Tensor]] = [self.state_dict()]
        if _in_group():
            mine = {name: value.cpu() for name, value in parts[0].items()}
            parts = [{} for _ in range(torch.distributed.get_world_size(group))]
            torch.distributed.all_gather_object(parts, mine, group=group)
        whole = CollapseMeter(self.num_classes, max_rows=self.max_rows)
        device = self._unit.mean.device if self._unit is not None else torch.device("cpu")
        for state in parts:
            part = CollapseMeter(self.num_classes, max_rows=self.max_rows)
            part.load_state_dict({name: value.to(device) for name, value in state.items()})
            whole.merge(part)
        return whole

    def state_dict(self) -> dict[str, Tensor]:
        """What has been seen, as plain tensors; empty before the first row."""
        if self._unit is None or self._raw is None:
            return {}
        state = {f"unit.{name}": value for name, value in vars(self._unit).items()}
        state |= {f"raw.{name}": value for name, value in vars(self._raw).items()}
        state |= {f"rows.{name}": value for name, value in self._rows_kept().items()}
        return state | ({} if self._margin_sum is None else {"margin_sum": self._margin_sum})

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over a state; what had been seen is forgotten.

        Raises:
            InputError: a state of another number of classes.
        """

        def those(prefix: str) -> dict[str, Tensor]:
            return {
                name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
            }

        if state and len(state["unit.counts"]) != self.num_classes:
            raise InputError(f"state: {len(state['unit.counts'])} classes, expected {self.num_classes}")
        self._unit = UnitMoments(**those("unit.")) if state else None
        self._raw = RawMoments(**those("raw.")) if state else None
        self._kept = [those("rows.")] if state else []
        self._margin_sum = state.get("margin_sum")

    @property
    def counts(self) -> Tensor:
        """`[C]`, rows seen of each class."""
        return (
            self._unit.counts if self._unit is not None else torch.zeros(self.num_classes, dtype=torch.long)
        )

    @property
    def has_logits(self) -> bool:
        """Whether logits came with the rows, so that `nc4` and `margins` can be told."""
        return self._margin_sum is not None

    def alignment(self) -> Estimate:
        """See `midmix.measures.alignment`."""
        return alignment_of(self._rows())

    def alignment_wi(self, alpha: float = 2.0) -> Estimate:
        """See `midmix.measures.alignment_wi`."""
        return squared_alignment_of(self._units()) if alpha == 2 else alignment_wi_of(self._rows(), alpha)

    def uniformity_wi(self, t: float = 2.0) -> Estimate:
        """See `midmix.measures.uniformity_wi`."""
        return uniformity_wi_of(self._rows(), t)

    def class_uniformity(self) -> Estimate:
        """See `midmix.measures.class_uniformity`."""
        return class_uniformity_of(self._units())

    def neighborhood_uniformity(self, k: int = 1) -> Estimate:
        """See `midmix.measures.neighborhood_uniformity`."""
        return neighborhood_uniformity_of(self._units(), k)

    def centre_distances(self) -> Tensor:
        """See `midmix.measures.centre_distances`."""
        return centre_distances_of(self._units())

    def nc1(self) -> float:
        """See `midmix.measures.nc1`."""
        return nc1_of(self._raws())

    def nc2(self) -> NC2:
        """See `midmix.measures.nc2`."""
        return nc2_of(self._raws())

    def nc3(self, weight: Tensor) -> float:
        """See `midmix.measures.nc3`."""
        return nc3_of(self._raws(), weight)

    def nc4(self) -> Estimate:
        """See `midmix.measures.nc4`."""
        self._need_logits("nc4")
        kept, sample = self._rows_kept(), self._rows().overall()
        kept = kept if sample is None else _at(kept, sample)
        agrees = nearest_mean_agrees(self._raws(), kept["features"], kept["predictions"])
        return nc4_of(agrees, kept["labels"], self.counts)

    def margins(self, levels: tuple[float, ...] = LEVELS) -> Margins:
        """See `midmix.measures.margins`."""
        sums = self._need_logits("margins")
        kept = self._rows_kept()
        quantiles = margin_quantiles(kept["margins"], kept["labels"], self.num_classes, levels)
        return Margins(self.counts, sums / self.counts, levels, quantiles)

    def _rows(self) -> Rows:
        kept = self._rows_kept()
        keys = kept["keys"] if self.max_rows is not None else None
        return Rows(kept["features"], kept["labels"], self.counts, keys, self.max_rows)

    def _rows_kept(self) -> _Columns:
        """All that is kept, in one piece, and with `max_rows` no more than that of each class."""
        if not self._kept:
            raise InputError("no rows yet: update() comes before any measure")
        kept = self._kept[0]
        if len(self._kept) > 1:
            kept = {name: torch.cat([some[name] for some in self._kept]) for name in kept}
        if self.max_rows is not None:
            by_class = class_indices(kept["labels"], kept["keys"], self.num_classes)
            kept = _at(kept, torch.cat([index[: self.max_rows] for index in by_class]))
        self._kept = [kept]
        return kept

    def _units(self) -> UnitMoments:
        if self._unit is None:
            raise InputError("no rows yet: update() comes before any measure")
        return self._unit

    def _raws(self) -> RawMoments:
        if self._raw is None:
            raise InputError("no rows yet: update() comes before any measure")
        return self._raw

    def _need_logits(self, measure: str) -> Tensor:
        if self._margin_sum is None:
            raise InputError(f"{measure}: needs logits; give them to update() beside features and labels")
        return self._margin_sum


def _at(columns: _Columns, index: Tensor) -> _Columns:
    return {name: column[index] for name, column in columns.items()}


def _in_group() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
