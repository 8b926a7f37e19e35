"""Sources that come with the installed libraries and need no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from midmix.data.assemble import assemble
from midmix.data.dataset import LabelColumn, RawSource, RawSplit
from midmix.data.options import Options
from midmix.data.readers.reader import READERS, Place, Reader
from midmix.errors import InputError


def digits() -> RawSource:
    """scikit-learn's 1,797 handwritten digits: 64 pixels as features in [0, 1], classes "0" to "9".

    Always the same test split, stratified, 40 % of the rows: so the largest class of a long tail has about 100.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    features = torch.from_numpy((bunch.data / 16).astype(np.float32))
    names = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
    labels = LabelColumn(bunch.target.astype(np.int64))
    return RawSource(RawSplit("digits", features, labels, names), test_fraction=0.4)


BUILTIN: dict[str, Callable[[], RawSource]] = {"digits": digits}

GROUPS = {
    "digits": {
        **dict.fromkeys(("0", "6", "8", "9"), "round"),  # a closed loop
        **dict.fromkeys(("1", "4", "7"), "straight"),  # strokes without a curve
        **dict.fromkeys(("2", "3", "5"), "open"),  # curves that stay open
    }
}
"""The groups of a built-in set's classes, by the shape of what is drawn."""


@READERS.register(name="builtin")
class Builtin(Reader):
    """Sets by their name."""

    order = 0
    what = ", ".join(BUILTIN)
    names = tuple(BUILTIN)

    def takes(self, place: Place) -> bool:
        """Whether it is one of the names."""
        return place.name in BUILTIN

    def read(self, place: Place, options: Options) -> RawSource:
        """The set, which takes no options."""
        if options.scaled_later:
            scaling = {name: getattr(Options, name) for name in ("image_size", "interpolation", "crop")}
            options = replace(options, scaled_later=False, **scaling)
        if replace(options, prepare=True, known=None, lazy=False) != Options():
            raise InputError(
                f"{place.name}: is always the same; leave out options on columns, images and the test split"
            )
        return BUILTIN[place.name]()

    def read_inputs(self, place: Place, options: Options, shape: tuple[int, ...]) -> Tensor:
        """Its test rows."""
        inputs = assemble(place.name, self.read(place, Options()), Options()).test.inputs
        assert isinstance(inputs, Tensor)
        return inputs
