"""A share of the bad inputs, and a kill of each kind; all of them are `python benchmarks/faults.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import random, sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.faults import attempts, cases, stock
stock.warm()
chosen = [*cases.all_of_them()]
with tempfile.TemporaryDirectory() as name:
    for number, case in enumerate(random.Random(int(sys.argv[2])).sample(chosen, 40)):
        outcome = attempts.attempt(case, Path(name) / str(number))
        if not outcome.kind.good:
            print(outcome)
    stock.clean()
print(len(chosen), "cases")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_bad_inputs_end_in_one_clear_line(seed):
    # Another share with each seed. In a process of its own: what has computed before must not be forked.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ROOT), str(seed)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *bad, last = done.stdout.splitlines()
    assert bad == []
    assert int(last.split()[0]) > 500
