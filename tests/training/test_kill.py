"""A training process that is killed again and again ends with the weights of one that was not."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "kill.py"


def test_kills_at_random_moments_leave_no_trace_in_the_weights():
    # Twenty kills of three kinds of runs are `python benchmarks/kill.py`; here as many as a test run has time for.
    seed = random.SystemRandom().randrange(10**6)
    command = [
        sys.executable,
        str(BENCHMARK),
        "--kills=3",
        "--epochs=30",
        "--kinds=features",
        f"--seed={seed}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    print(done.stdout)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr[-2000:]}"
    assert (
        "| features | 3 | True | history.parquet, model.safetensors, run.json, test.npz, validation.npz |"
        in done.stdout
    )
