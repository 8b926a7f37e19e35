"""Comparisons as real processes: two launchers, launchers and workers that are killed, workers that die at start."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from midmix.errors import InputError
from midmix.methods import Method
from midmix.training import load_model
from midmix.training.record import read_record

LIMIT = 60
FAST = ["--network", "mlp-8", "--epochs", "3", "--seeds", "2", "--methods", "erm,am-mixup"]
LONG = [
    "--network",
    "mlp-8",
    "--epochs",
    "3000",
    "--evaluate-every",
    "3000",
    "--seeds",
    "2",
    "--methods",
    "erm",
]
PROGRAM = """
import sys
from pathlib import Path
from midmix.data import load
from midmix.studies import compare
from midmix.methods import parse_methods
from midmix.training import Settings
lines, out, jobs, epochs = parse_methods(sys.argv[1].split(",")), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
settings = Settings(network="mlp-8", epochs=epochs, evaluate_every=epochs)
compare(load("digits"), lines, out, settings, seeds=2, jobs=jobs)
"""


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """A command in a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "midmix", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment},
        start_new_session=True,
    )


def program(methods: str, out: Path, jobs: int, epochs: int, **environment: str) -> subprocess.Popen[str]:
    """A comparison without its pages; a program without a guard for its workers."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, methods, str(out), str(jobs), str(epochs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        start_new_session=True,
    )


def alive(group: int) -> list[int]:
    """Processes of a group that are still there, and have not merely not been collected."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found


def until(what, seconds: float = LIMIT) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def owners(out: Path) -> list[int]:
    """Processes that do runs of a comparison."""
    found = []
    for path in (out / "runs").glob("*/claim.json"):
        try:
            found.append(json.loads(path.read_text())["pid"])
        except (OSError, ValueError):
            continue
    return found


def end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        if alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def test_two_launchers_of_one_comparison_share_the_work(tmp_path):
    out = tmp_path / "out"
    both = [program("erm,am-mixup", out, 1, 40) for _ in range(2)]
    try:
        said = [process.communicate(timeout=LIMIT) for process in both]
        assert [process.returncode for process in both] == [0, 0], said
    finally:
        end(*both)
    table = pd.read_parquet(out / "results.parquet")
    assert len(table) == 2 * 2 * 2
    alone = program("erm,am-mixup", tmp_path / "alone", 1, 40)
    alone.communicate(timeout=LIMIT)
    expected = pd.read_parquet(tmp_path / "alone" / "results.parquet")
    pd.testing.assert_frame_equal(table.drop(columns="seconds"), expected.drop(columns="seconds"))
    assert sorted(path.name for path in out.iterdir()) == ["comparison.json", "results.parquet", "runs"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_another_comparison_is_refused_while_the_first_has_not_written_a_run(jobs, tmp_path):
    out = tmp_path / "out"
    first = start("compare", "digits", *LONG, "--out", out, "--jobs", jobs)
    try:
        until(lambda: (out / "launchers").is_dir())
        second = start("compare", "digits", *FAST, "--out", out, "--jobs", 1)
        _, said = second.communicate(timeout=LIMIT)
        assert second.returncode == 2, said
        assert [line for line in said.splitlines() if line.startswith("midmix: ")][-1].count(
            "holds another"
        ) == 1
        assert "Traceback" not in said
        assert json.loads((out / "comparison.json").read_text())["epochs"] == 3000
    finally:
        end(first)


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_workers_end_with_their_launcher(number, tmp_path, seed):
    out, draw = tmp_path / "out", random.Random(seed)
    launcher = program("erm,am-mixup", out, 2, 3000)
    try:
        until(lambda: len(owners(out)) == 2)
        time.sleep(draw.uniform(0, 0.3))
        launcher.send_signal(number)
        launcher.wait(LIMIT)
        until(lambda: not alive(launcher.pid), 10)
    finally:
        end(launcher)
    again = program("erm,am-mixup", out, 2, 3000)
    try:
        until(lambda: len(owners(out)) == 2 and set(owners(out)) <= set(alive(again.pid)))
    finally:
        end(again)


@linux
def test_a_worker_that_is_killed_is_named_and_the_others_go_on(tmp_path):
    out = tmp_path / "out"
    launcher = start("compare", "digits", "--network", "mlp-8", "--epochs", 200, "--evaluate-every", 200,
                     "--seeds", 2, "--methods", "erm", "--out", out, "--jobs", 2)  # fmt: skip
    try:
        claim = out / "runs" / "erm-seed0" / "claim.json"
        until(claim.exists)
        os.kill(json.loads(claim.read_text())["pid"], signal.SIGKILL)
        _, said = launcher.communicate(timeout=LIMIT)
        assert launcher.returncode == 1, said
        assert "Traceback" not in said
        (line,) = [line for line in said.splitlines() if line.startswith("midmix: ")]
        assert "erm-seed0" in line
        assert "erm-seed1" not in line
        assert (out / "runs" / "erm-seed1" / "run.json").is_file()
        until(lambda: not alive(launcher.pid), 10)
    finally:
        end(launcher)


@pytest.mark.parametrize(
    "fault", ["import sys; sys.exit(3)", "import os; os._exit(3)", "raise ImportError('no')"]
)
def test_a_worker_that_dies_while_it_starts_is_one_line(fault, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(f"import os\nif 'IN_WORKER' in os.environ:\n    {fault}\n")
    program = (
        "import os\nfrom midmix.cli.app import run\nos.environ['IN_WORKER'] = '1'\n"
        f"raise SystemExit(run(['compare', 'digits', *{FAST!r}, '--jobs', '2', '--out', {str(tmp_path / 'out')!r}]))"
    )
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT, check=False,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    if "raise" in fault:  # the interpreter says it and goes on without
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("midmix: ")]
    assert len(lines) == 1, done.stderr
    assert "ended while it started" in lines[0]
    assert time.monotonic() - began < 20, "ten seconds and the start of Python, on a busy machine"


@linux
def test_an_interruption_says_how_to_go_on(tmp_path):
    out = tmp_path / "out"
    for jobs in (1, 2):
        launcher = start("compare", "digits", *LONG, "--out", out, "--jobs", jobs)
        try:
            until(lambda: bool(owners(out)))
            os.killpg(launcher.pid, signal.SIGINT)
            _, said = launcher.communicate(timeout=LIMIT)
            assert launcher.returncode == 130, said
            assert "the same command goes on" in said
            assert "Traceback" not in said
            until(lambda: not alive(launcher.pid), 10)  # noqa: B023
        finally:
            end(launcher)


@linux
def test_workers_that_are_interrupted_write_a_checkpoint_first(tmp_path):
    out = tmp_path / "out"
    launcher = start("compare", "digits", *LONG, "--out", out, "--jobs", 2)
    try:
        progress = [out / "runs" / f"erm-seed{seed}" / "progress.json" for seed in (0, 1)]
        until(lambda: all(path.exists() and '"step"' in path.read_text() for path in progress))
        os.kill(launcher.pid, signal.SIGINT)
        _, said = launcher.communicate(timeout=LIMIT)
        assert launcher.returncode == 130, said
        for seed in (0, 1):  # long before the half minute between two checkpoints
            assert list((out / "runs" / f"erm-seed{seed}" / "checkpoints").glob("step-*.pt")), said
        assert not alive(launcher.pid)
    finally:
        end(launcher)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_fails_is_named_and_the_others_have_their_report(jobs, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "own.py").write_text(
        "from midmix.errors import InputError\n\n"
        "def bad(logits, labels):\n    raise InputError('own: no such logits')\n"
    )
    lines = f"erm,erm+{tmp_path / 'own.py'}:bad"
    launcher = start("compare", "digits", "--network", "mlp-8", "--epochs", 1, "--seeds", 1, "--jobs", jobs,
                     "--methods", lines, "--out", out)  # fmt: skip
    try:
        _, said = launcher.communicate(timeout=LIMIT)
        assert launcher.returncode == 1, said
        (line,) = [line for line in said.splitlines() if line.startswith("midmix: ")]
        assert "1 of 2 runs failed, the others are finished: erm+" in line
        assert "own: no such logits" in line
        assert "Traceback" not in said
        assert (out / "runs" / "erm-seed0" / "run.json").is_file()
        assert (out / "report.html").is_file()
    finally:
        end(launcher)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_diverges_ends_and_is_marked(jobs, tmp_path):
    out, broken = tmp_path / "out", "erm+ldam:scale=1e+38"  # whose first loss is infinite
    command = ["compare", "digits", "--network", "mlp-8", "--epochs", 1, "--seeds", 1, "--jobs", jobs,
               "--methods", f"erm,{broken}", "--out", out]  # fmt: skip
    launcher = start(*command)
    try:
        _, said = launcher.communicate(timeout=LIMIT)
        assert launcher.returncode == 0, said
        assert "diverged, and has ended: loss: became inf at step 1" in said
        folder = out / "runs" / Method.parse(broken).slug
        record = read_record(Path(f"{folder}-seed0"))
        assert record is not None
        assert record.diverged.startswith("loss: became inf at step 1 ")
        results = pd.read_parquet(out / "results.parquet").set_index("method")
        assert results["diverged"].to_dict() == {"erm": False, broken: True}
        assert results.loc[[broken], ["accuracy", "few", "nll"]].isna().all(axis=None)
        assert results.loc["erm", "accuracy"].notna().all()
        table = (out / "tables.md").read_text()
        assert f"| {broken} | – | – | – | – | – | – | – | 0 (1 diverged) |" in table
        page = (out / "report.html").read_text()
        assert "<small>1 diverged</small>" in page
        assert "training has diverged" in page
        with pytest.raises(InputError, match="training diverged, and left no model"):
            load_model(Path(f"{folder}-seed0"))
    finally:
        end(launcher)
