"""The outputs of published code that these tests compare with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Family = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def published(midmix_data: Path) -> Family:
    """Gives all entries of a family: inputs, parameters and outputs of published code, float64, twelve digits."""
    file = midmix_data.parent / "reference" / "values.json"
    if not file.is_file():
        pytest.skip(f"no reference values in {file}")
    values: dict[str, Any] = json.loads(file.read_text())

    def family(name: str) -> list[dict[str, Any]]:
        found = [entry for key, entry in values.items() if key.split("/")[0] == name]
        assert found, f"no reference values of {name}"
        return found

    return family
