"""Sources that come with the installed libraries and need no network."""

from __future__ import annotations

import numpy as np
import torch

from midmix.data.options import Options
from midmix.data.part import LabelColumn, Part


def digits() -> tuple[Part, None, Options]:
    """scikit-learn's 1,797 handwritten digits: 64 pixels as features in [0, 1], classes "0" to "9".

    Always the same test split, stratified, 40 % of the rows: so the largest class of a long tail has about 100.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    features = torch.from_numpy((bunch.data / 16).astype(np.float32))
    names = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
    labels = LabelColumn(bunch.target.astype(np.int64))
    return Part("digits", features, labels, names), None, Options(test_fraction=0.4)


BUILTIN = {"digits": digits}

GROUPS = {
    "digits": {
        **dict.fromkeys(("0", "6", "8", "9"), "round"),  # a closed loop
        **dict.fromkeys(("1", "4", "7"), "straight"),  # strokes without a curve
        **dict.fromkeys(("2", "3", "5"), "open"),  # curves that stay open
    }
}
"""The groups of a built-in set's classes, by the shape of what is drawn."""
