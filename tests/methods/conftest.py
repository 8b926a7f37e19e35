"""The outputs of published code that these tests compare with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Family = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def published(values: dict[str, Any]) -> Family:
    """Gives all entries of a family of `values`."""

    def family(name: str) -> list[dict[str, Any]]:
        found = [entry for key, entry in values.items() if key.split("/")[0] == name]
        assert found, f"no reference values of {name}"
        return found

    return family
