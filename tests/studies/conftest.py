"""Small data and short runs, as the tests of training have them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "fixtures_of_training", Path(__file__).parents[1] / "training" / "conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
_training = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_training)

blobs, digits, networks = _training.blobs, _training.digits, _training.networks
one_thread, pictures, short = _training.one_thread, _training.pictures, _training.short
