"""Executors that are real: Dask with a worker killed, submitit's clusters, another host that dies."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from midmix.data import load, load_grouped
from midmix.errors import InputError
from midmix.methods import parse_methods
from midmix.studies import compare, open_executor
from midmix.studies.accelerators import place_on
from midmix.studies.named import NamedSource
from midmix.studies.packed import pack, unpack
from midmix.training import Settings
from midmix.training.identity import rows_digest

LIMIT = 120
LINES, LONG, SEEDS = ("erm", "am-mixup"), 200, 2
PROGRAM = """
import sys
from pathlib import Path
from midmix.data import load
from midmix.studies import compare, open_executor
from midmix.studies.compare import Classify
from midmix.methods import parse_methods
from midmix.studies.options import RunnerOptions
from midmix.studies.runner import run_all
from midmix.training import Run, Settings
out, text, lines, jobs, epochs, lease = Path(sys.argv[1]), *sys.argv[2:4], *map(int, sys.argv[4:7])
settings = Settings(network="mlp-8", epochs=epochs, evaluate_every=epochs)
runs = [Run(line, seed, settings, splits="drawn") for seed in range(2) for line in parse_methods(lines.split(","))]
with open_executor(text, jobs, out) as opened:
    task = Classify(load("digits"))
    run_all(task, runs, out, RunnerOptions(
        opened.jobs, executor=opened.executor, lease=lease, checkpoint_seconds=0.2))
"""
SHARED_CACHE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--uts"]
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def begin(
    out: Path,
    text: str,
    *,
    epochs: int = 3,
    lease: int = 120,
    jobs: int = 2,
    lines: str = "erm",
    host: tuple[str, ...] = (),
) -> subprocess.Popen[str]:
    """Does the runs with an executor, in a process of its own, or with one of another host's."""
    command = [
        *host,
        sys.executable,
        "-c",
        PROGRAM,
        str(out),
        text,
        lines,
        str(jobs),
        str(epochs),
        str(lease),
    ]
    return subprocess.Popen(
        command, stdout=-1, stderr=-1, text=True, start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )  # fmt: skip


def finish(*processes: subprocess.Popen[str]) -> None:
    """Sees that they end well, and leaves nothing of them behind."""
    try:
        for process in processes:
            _, said = process.communicate(timeout=LIMIT)
            assert process.returncode == 0, said[-3000:]
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()


def until(what, seconds: float = LIMIT) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def models(out: Path) -> dict[str, bytes]:
    """The weights of each run."""
    return {path.parent.name: path.read_bytes() for path in sorted(out.glob("runs/*/model.safetensors"))}


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, bytes]:
    """The weights as this process makes them, one after the other."""
    out = tmp_path_factory.mktemp("alone") / "out"
    settings = Settings(network="mlp-8", epochs=3, evaluate_every=3)
    compare(load("digits"), parse_methods(LINES), out, settings, seeds=SEEDS, jobs=1)
    return models(out)


@pytest.fixture(scope="module")
def expected_long(tmp_path_factory) -> dict[str, bytes]:
    """The same of runs that last long enough to be killed."""
    out = tmp_path_factory.mktemp("alone") / "out"
    settings = Settings(network="mlp-8", epochs=LONG, evaluate_every=LONG)
    compare(load("digits"), parse_methods(["erm"]), out, settings, seeds=SEEDS, jobs=1)
    return models(out)


@pytest.mark.parametrize(
    ("text", "lines"),
    [("slurm:cluster=local,timeout_min=5", "erm"), ("slurm:cluster=debug", ",".join(LINES))],
)
def test_submitit_makes_the_runs_that_one_process_makes(text, lines, expected, tmp_path):
    finish(begin(tmp_path / "out", text, lines=lines))
    assert models(tmp_path / "out") == {
        name: weights for name, weights in expected.items() if name.split("-seed")[0] in lines.split(",")
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"comparison.json", "runs"}


def test_of_threads_in_one_process_one_trains(expected, tmp_path):
    settings = Settings(network="mlp-8", epochs=3, evaluate_every=3)
    with ThreadPoolExecutor(2) as threads:
        compare(
            load("digits"), parse_methods(LINES), tmp_path, settings, seeds=SEEDS, jobs=2, executor=threads
        )
    assert models(tmp_path) == expected


@linux
def test_two_executors_share_a_folder_and_a_worker_of_dask_that_is_killed_loses_nothing(
    expected_long, tmp_path
):
    out = tmp_path / "out"
    by_dask = begin(out, "dask", epochs=LONG)
    kept = out / "runs" / "erm-seed0"
    until(lambda: any(kept.glob("checkpoints/step-*.pt")))
    os.kill(json.loads((kept / "claim.json").read_text())["pid"], signal.SIGKILL)
    finish(by_dask, begin(out, "local", epochs=LONG, jobs=1))
    assert models(out) == expected_long


@linux
@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*SHARED_CACHE, "true"], capture_output=True).returncode != 0,
    reason="a second table of processes cannot be made here",
)
def test_what_a_host_that_died_had_claimed_is_taken_up_after_its_lease(expected_long, tmp_path):
    out = tmp_path / "out"
    there = begin(out, "local", epochs=LONG, lease=3, jobs=1, host=tuple(SHARED_CACHE))
    claim = out / "runs" / "erm-seed0" / "claim.json"
    until(lambda: any(claim.parent.glob("checkpoints/step-*.pt")))
    os.killpg(there.pid, signal.SIGKILL)
    there.communicate()
    assert claim.exists(), "nobody was left to give it up"
    finish(begin(out, "local", epochs=LONG, lease=3, jobs=1))
    assert models(out) == expected_long


def test_workers_are_sent_a_name_and_a_digest_and_no_rows(tmp_path):
    for source in (load("digits"), load_grouped("digits")):
        packed = pack(source, tmp_path / "tensors", by_name=True)
        assert len(packed) < 3000
        assert (tmp_path / "tensors").stat().st_size < 100
        again = unpack(packed, tmp_path / "tensors")
        assert type(again) is type(source)
        ours, theirs = (getattr(one, "source", one) for one in (source, again))
        assert rows_digest(ours.train) == rows_digest(theirs.train)


def test_a_worker_that_reads_other_rows_says_so(tmp_path):
    path = tmp_path / "rows.csv"
    table = pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40.0) ** 2, "label": ["x", "y"] * 20})
    table.to_csv(path, index=False)
    named = NamedSource.of(load(path))
    assert named is not None
    assert pickle.loads(pickle.dumps(named)).read().name  # noqa: S301  (our own)
    table.assign(a=table["a"] + 1).to_csv(path, index=False)
    with pytest.raises(
        InputError, match=r"is not what it is where the comparison was started \(training: 32 rows"
    ):
        named.read()
    path.unlink()
    with pytest.raises(InputError, match=r"^on "):
        named.read()


def test_rows_that_their_name_does_not_give_are_sent(tmp_path):
    source = load("digits")
    halved = type(source)(**{**vars(source), "train": source.train.select(torch.arange(0, 500))})
    again = unpack(pack(halved, tmp_path / "tensors", by_name=True), tmp_path / "tensors")
    assert len(again.train) == 500


HOLD = """
import sys
from pathlib import Path
from midmix.studies.accelerators import place_on
with place_on(["GPU-a/1", "GPU-b"], Path(sys.argv[1])) as place:
    print(place, flush=True)
    sys.stdin.readline()
"""


def test_runs_of_all_processes_are_shared_out_to_the_accelerators(tmp_path):
    others = [
        subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdin=-1, stdout=-1, text=True) for _ in "12"
    ]
    held = [int(other.stdout.readline()) for other in others if other.stdout]
    names = ["GPU-a/1", "GPU-b"]
    try:
        assert sorted(held) == [0, 1]
        with place_on(names, tmp_path) as third, place_on(names, tmp_path) as fourth:
            assert {third, fourth} == {0, 1}
        others[0].kill()
        others[0].wait()
        with place_on(names, tmp_path) as free:
            assert free == held[0], "the dead hold nothing"
    finally:
        for other in others:
            other.communicate("\n")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("slrum", "unknown executor 'slrum': did you mean slurm"),
        ("local:4", "takes nothing"),
        ("slurm:cluster=local,partitoin=gpu", "'partitoin': did you mean partition"),
        ("slurm:gpu", "'gpu' is no option; write name=value"),
        ("slurm:cluster=local,timeout_min=soon", "timeout_min"),
        ("os:cpu_count", "the function failed"),
        ("builtins:str", "made a str, no concurrent.futures.Executor"),
    ],
)
def test_an_executor_that_cannot_be_is_one_line_and_leaves_nothing(text, complaint, tmp_path):
    with pytest.raises(InputError, match=complaint), open_executor(text, 2, tmp_path / "out"):
        pass
    assert not list(tmp_path.iterdir())


def test_somebodys_own_executor(tmp_path):
    (tmp_path / "theirs.py").write_text(
        "from concurrent.futures import ThreadPoolExecutor\n\n"
        "def make(workers):\n    return ThreadPoolExecutor(workers)\n"
    )
    with open_executor(f"{tmp_path / 'theirs.py'}:make", 2, tmp_path) as opened:
        assert opened.jobs == 2
        assert opened.executor is not None
        assert opened.executor.submit(max, 2, 3).result() == 3
