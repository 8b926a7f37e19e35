"""Predictions by several processes, each of a part of the rows; every process ends with all of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, gather, gather_object
from torch import Tensor, nn

from midmix.data import Labelled
from midmix.errors import InputError
from midmix.training.predict import Predictions, accuracy_of, predict, rows_at_once

Found = TypeVar("Found")
_BYTES = 2**26
"""Of each process's rows that are gathered at once, on the device."""


def predict_shared(
    accelerator: Accelerator, model: nn.Module, data: Labelled, *, classifier: str | None = None
) -> Predictions:
    """As `predict`, by all processes together: each runs whole batches of its own, and every row is run once.

    The batches are those of one process, so that the numbers are, to the bit, on the same processors and threads.
    All processes call it with the same rows and a model of the same weights.

    Raises:
        InputError: as `predict` does, on every process where it is on one.
    """
    if accelerator.num_processes == 1:
        return predict(model, data, classifier=classifier)
    bounds = _bounds(model, data, accelerator.num_processes)
    found = _together(
        lambda: predict(model, _part(data, bounds, accelerator.process_index), classifier=classifier)
    )
    sizes = [last - first for first, last in bounds]
    own = sizes[accelerator.process_index]  # none of the row that a process without a part has run
    return Predictions(
        _gathered(found.logits[:own], sizes, accelerator.device),
        _gathered(found.features[:own], sizes, accelerator.device),
        data.labels.cpu(),
    )


def accuracy_shared(accelerator: Accelerator, model: nn.Module, data: Labelled) -> float:
    """As `accuracy_of`, by all processes together; what is gathered is a number of hits from each."""
    if accelerator.num_processes == 1:
        return accuracy_of(model, data)
    first, last = _bounds(model, data, accelerator.num_processes)[accelerator.process_index]
    part = data.select(torch.arange(first, last))
    share = _together(lambda: accuracy_of(model, part) if len(part) else 0.0)
    hits = gather(torch.tensor([share * len(part)], dtype=torch.float64, device=accelerator.device))
    return float(hits.cpu().round().sum()) / len(data) if bool(hits.isfinite().all()) else float("nan")


def check_whole(kind: DistributedType) -> None:
    """Sees that each process has all of the weights, as the training loop keeps them.

    Raises:
        InputError: where Accelerate shards them.
    """
    if kind in (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM):
        raise InputError(
            f"accelerate: {kind.value} shards the weights, and runs keep whole ones on every process; choose several "
            "processes without it, or a loop of your own (docs/distributed.md)"
        )


def _bounds(model: nn.Module, data: Labelled, processes: int) -> list[tuple[int, int]]:
    """The first row of each process and the one after its last: whole batches, spread evenly."""
    at_once = rows_at_once(model, data.inputs)
    batches = -(-len(data) // at_once)
    places = [min(batches * rank // processes * at_once, len(data)) for rank in range(processes + 1)]
    return list(pairwise(places))


def _part(data: Labelled, bounds: list[tuple[int, int]], rank: int) -> Labelled:
    """A process's rows; of one that has none the first row, by which it knows the widths."""
    first, last = bounds[rank]
    return data.select(torch.arange(first, last) if last > first else torch.arange(1))


def _together(do: Callable[[], Found]) -> Found:
    """What a process finds, unless another of them cannot: then none of them waits for it."""
    found, problem = None, None
    try:
        found = do()
    except InputError as error:
        problem = str(error)
    problems = [text for text in gather_object([problem]) if text is not None]
    if problems:
        raise InputError(problems[0])
    assert found is not None
    return found


def _gathered(part: Tensor, sizes: list[int], device: torch.device) -> Tensor:
    """The rows of all processes, in their order, on the CPU; of `part [n, D]` each has as many as `sizes` says."""
    width, most = part.shape[1], max(sizes)
    found = part.new_empty(sum(sizes), width)
    starts = [sum(sizes[:rank]) for rank in range(len(sizes))]
    step = max(1, _BYTES // (4 * max(width, 1)))
    for first in range(0, most, step):
        rows = min(step, most - first)
        piece = part.new_zeros(rows, width)
        ours = part[first : first + rows]
        piece[: len(ours)] = ours
        for rank, theirs in enumerate(gather(piece.to(device)).cpu().split(rows)):
            count = max(0, min(rows, sizes[rank] - first))
            found[starts[rank] + first : starts[rank] + first + count] = theirs[:count]
    return found
