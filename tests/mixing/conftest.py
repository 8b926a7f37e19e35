"""The profile of the property tests: a few examples by default, many under `pytest -m fuzz`."""

from __future__ import annotations

import os

import hypothesis
import pytest


def pytest_configure(config: pytest.Config) -> None:
    # `--hypothesis-profile` goes first; the suite's own conftest says what the profiles are.
    chosen = config.getoption("--hypothesis-profile", default=None)
    wanted = os.environ.get("HYPOTHESIS_PROFILE") or ("fuzz" if config.option.markexpr == "fuzz" else None)
    if chosen is None and wanted is not None:
        hypothesis.settings.load_profile(wanted)
