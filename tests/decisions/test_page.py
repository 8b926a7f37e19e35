"""What docs/decisions.md shows is what comes out."""

from __future__ import annotations

import doctest
from pathlib import Path


def test_the_examples_of_the_page_run():
    page = Path(__file__).parents[2] / "docs" / "decisions.md"
    found = doctest.testfile(str(page), module_relative=False)
    assert found.attempted >= 8
    assert found.failed == 0
