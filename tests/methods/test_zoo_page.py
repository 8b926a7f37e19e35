"""The page of all entries has each of them, with what it is held against."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("zoo_page", ROOT / "benchmarks" / "zoo.py")
assert _spec is not None
assert _spec.loader is not None
_zoo = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_zoo)


def without_errors(text: str) -> list[str]:
    """The page's lines, errors left out, which take values that not every clone has."""
    lines = [line.partition("; the largest error")[0].rstrip(".").split("|") for line in text.splitlines()]
    return ["|".join(parts[:5] + parts[6:]) if len(parts) > 6 else "|".join(parts) for parts in lines]


def test_the_page_is_what_its_program_writes():
    written = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8")
    assert without_errors(written) == without_errors(_zoo.page({})), (
        "run: python benchmarks/zoo.py > docs/zoo.md"
    )


def test_every_entry_is_held_against_something_by_a_test_that_exists():
    for kind, name, _, _, against, test in _zoo.rows():
        assert against, f"{kind} {name}: say in benchmarks/zoo.py what holds it"
        file, _, function = test.partition("[")[0].partition("::")
        assert f"def {function}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), (kind, name)
