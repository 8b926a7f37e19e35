"""Features of an encoder, told from columns of a table by what is measured."""

from __future__ import annotations

import torch

from midmix.data.dataset import Labelled
from midmix.data.mapped import MappedRows

FEWEST = 128
"""Columns that an encoder's features have at least."""
_ROWS = 512
"""So many training rows, evenly spread, are looked at."""
_SPREAD = 100.0
"""How many times as wide the columns at nine tenths may be as those at one tenth."""


def from_encoder(data: Labelled) -> bool:
    """Whether rows look as a pretrained encoder makes them: hundreds of measured columns that are alike in scale.

    There are 128 columns or more; in most of them nearly every row has a value of its own, which neither counts, pixels
    nor categories as columns of 0 and 1 have; and of the columns' standard deviations the 90th percentile is at most a
    hundred times the 10th, which amounts, ages and lengths together are not.

    Example:
        >>> draws = torch.Generator().manual_seed(0)
        >>> rows, labels = torch.randn(300, 256, generator=draws), torch.zeros(300).long()
        >>> from_encoder(Labelled(rows, labels, ("cat", "dog")))
        True
        >>> from_encoder(Labelled(rows[:, :30], labels, ("cat", "dog")))
        False
        >>> from_encoder(Labelled((rows > 0).float(), labels, ("cat", "dog")))
        False
    """
    if (
        not isinstance(data.inputs, torch.Tensor | MappedRows)
        or len(data.shape) != 1
        or data.shape[0] < FEWEST
    ):
        return False
    if len(data) < 2:
        return False
    places = torch.linspace(0, len(data) - 1, min(len(data), _ROWS)).round().long()
    rows = data.inputs[places].double()
    ordered = rows.sort(0).values
    different = 1 + (ordered[1:] != ordered[:-1]).sum(0)
    spreads = rows.std(0)
    low, high = spreads.quantile(torch.tensor([0.1, 0.9], dtype=torch.float64)).tolist()
    return bool(different.double().median() > 0.5 * len(rows)) and 0 < high <= _SPREAD * low
