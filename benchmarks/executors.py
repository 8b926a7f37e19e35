"""Many small runs by several executors: their time, their bits, and what becomes of them where workers and hosts die.

    python benchmarks/executors.py time             64 runs by Dask with two workers / two processes of joblib's loky
    python benchmarks/executors.py together         64 runs by Dask and by submitit at once, in one folder
    python benchmarks/executors.py kills --kills 50 the same with random kills of workers, and of a whole host

`time` takes both in turns, with the start of the launcher and of its workers, and prints ratios of wall-clock and of
processor time. The other two compare every run's weights with those of runs that one process does one after another,
and count from a log that every beginning and every end of a run is written to. A second host is a process table of
its own with another host name (`unshare`, as root on Linux): its processes cannot be asked for, its leases run out.
Exit code 1 where a run is lost, done twice or has other bits; with --check also where `time` misses its target.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from midmix.data import load
from midmix.methods import parse_methods
from midmix.studies import RunnerOptions, open_executor, run_all
from midmix.studies.claims import living
from midmix.studies.compare import Classify
from midmix.studies.task import Attempt
from midmix.training import Run, Settings

METHODS = (
    "erm", "mixup", "am-mixup", "balanced-am-mixup", "erm+balanced_softmax", "mixup+balanced_softmax", "erm+ldam",
    "balanced-am-mixup:clean_weight=1+balanced_softmax",
)  # fmt: skip
SEEDS, LEASE, TARGET = 8, 10.0, 1.15
HOST = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--uts")
LOG = "log"


@dataclass(frozen=True)
class Logged(Classify):
    """Trains, and writes beginnings and ends into one file, a line each."""

    log: Path = Path()
    host: str = ""

    def carry_out(self, run: Run, folder: Path, attempt: Attempt) -> None:
        self._write("begin", run)
        try:
            super().carry_out(run, folder, attempt)
        except BaseException as reason:
            self._write("left", run, type(reason).__name__)
            raise
        self._write("end", run)

    def _write(self, what: str, run: Run, why: str = "") -> None:
        said = {
            "what": what,
            "run": run.name,
            "host": self.host,
            "pid": os.getpid(),
            "at": time.time(),
            "why": why,
        }
        line = json.dumps(said) + "\n"
        number = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(number, line.encode())  # one call, so that lines of several processes stay whole
        os.close(number)


def launch(out: Path, text: str, jobs: int, epochs: int, host: str) -> None:
    """What a launcher's process does."""
    torch.set_num_threads(1)
    settings = Settings(network="mlp-16", epochs=epochs, evaluate_every=epochs)
    runs = [
        Run(line, seed, settings, imbalance=50, ranks="drawn", splits="drawn")
        for seed in range(SEEDS)
        for line in parse_methods(METHODS)
    ]
    task = Logged(load("digits"), log=out.with_name(f"{out.name}-{LOG}"), host=host)
    with open_executor(text, jobs, out) as opened:
        options = RunnerOptions(
            opened.jobs, say=lambda line: None, checkpoint_seconds=0.2, executor=opened.executor, lease=LEASE
        )
        run_all(task, runs, out, options)


def begin(out: Path, text: str, jobs: int, epochs: int, *, host: str = "") -> subprocess.Popen[str]:
    """A launcher in a process of its own; with a host's name on a host of its own."""
    command = [sys.executable, __file__, "launch", "--out", str(out), "--executor", text]
    command += ["--jobs", str(jobs), "--epochs", str(epochs), "--host", host]
    if host:
        command = [*HOST, "sh", "-c", 'hostname "$0"; exec "$@"', host, *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )  # fmt: skip


def end(launcher: subprocess.Popen[str]) -> int:
    """Waits for a launcher; what it says of a failure is shown."""
    _, said = launcher.communicate()
    if launcher.returncode:
        print("\n".join(f"    {line}" for line in said.splitlines()[-3:]), flush=True)
    return launcher.returncode


def weights(out: Path) -> dict[str, bytes]:
    """Those of each finished run."""
    return {
        path.parent.name: path.with_name("model.safetensors").read_bytes()
        for path in out.glob("runs/*/run.json")
    }


def judged(out: Path, expected: dict[str, bytes], killed: Callable[[str, int], bool]) -> dict[str, int]:
    """How many runs were lost, done twice or of other bits, each of which should be 0, and begun anew otherwise.

    The last are those whose former owner this program did not kill: it ended by itself, or its lease ran out on a
    machine too busy for a heartbeat, and it is then to leave them without writing. Their lines are printed.
    """
    found, under_way, ends = weights(out), dict[str, tuple[str, int]](), Counter[str]()
    lines = [json.loads(line) for line in out.with_name(f"{out.name}-{LOG}").read_text().splitlines()]
    again, taken = set[str](), set[str]()
    for said in lines:
        name, who = said["run"], (said["host"], said["pid"])
        if said["what"] == "begin":
            before = under_way.get(name)
            if ends[name]:
                again.add(name)
            elif before is not None and not killed(*before):
                taken.add(name)
            under_way[name] = who
        elif under_way.get(name) == who:
            under_way.pop(name)
        ends[name] += said["what"] == "end"
    again |= {name for name, count in ends.items() if count > 1}
    for said in lines:
        if said["run"] in again | taken:
            print(f"    {said}", flush=True)
    return {
        "lost": len(expected.keys() - found.keys()),
        "done twice": len(again),
        "of other bits": sum(found.get(name, weights) != weights for name, weights in expected.items()),
        "begun anew otherwise": len(taken),
    }


def measure_time(folder: Path, epochs: int, repeats: int, *, check: bool) -> bool:
    """Ratios of the two executors' times, taken in turns."""
    taken: dict[str, list[tuple[float, float]]] = {"dask": [], "local": []}
    for number in range(repeats):
        for text in ("dask", "local") if number % 2 else ("local", "dask"):
            out = folder / f"{text}-{number}"
            began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            if end(begin(out, text, 2, epochs)):
                return False
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            taken[text].append((time.perf_counter() - began, cpu))
            print(f"{text}: {taken[text][-1][0]:.1f} s, {cpu:.1f} s of processors", flush=True)
    ratios = [
        [ours[place] / theirs[place] for ours, theirs in zip(taken["dask"], taken["local"], strict=True)]
        for place in (0, 1)
    ]
    print(
        f"\n| 64 runs of {epochs} epochs, Dask's two workers / two processes | median | all |\n|---|---|---|"
    )
    for name, values in zip(("wall clock", "processor time"), ratios, strict=True):
        shown = ", ".join(f"{value:.2f}" for value in values)
        print(f"| {name} | {statistics.median(values):.3f} | {shown} |")
    same = weights(folder / "dask-0") == weights(folder / "local-0")
    print(f"\nthe same bits: {same}; target {TARGET}")
    return same and (not check or statistics.median(ratios[0]) <= TARGET)


def reference(folder: Path, epochs: int) -> dict[str, bytes]:
    """The weights of all runs, done one after another."""
    if end(begin(folder / "alone", "local", 1, epochs)):
        raise RuntimeError("the runs cannot be done one after another")
    return weights(folder / "alone")


def together(folder: Path, epochs: int) -> bool:
    """Two executors in one folder."""
    expected = reference(folder, epochs)
    both = [begin(folder / "out", text, 2, epochs) for text in ("dask", "slurm:cluster=debug")]
    ended = [end(launcher) for launcher in both]
    found = judged(folder / "out", expected, lambda host, pid: False)
    shares = Counter(json.loads(line)["pid"] for line in (folder / f"out-{LOG}").read_text().splitlines())
    print(
        f"{len(expected)} runs over Dask and submitit at once, by {len(shares)} processes: {found}, exits {ended}"
    )
    return not any(found.values()) and not any(ended)


def kill_at_random(folder: Path, epochs: int, kills: int, draw: random.Random) -> bool:
    """Kills workers and a host until so many kills are dealt, in as many rounds of all runs as that takes."""
    expected, total, dealt, again = reference(folder, epochs), Counter[str](), Counter[str](), 0
    for number in range(kills):
        if dealt.total() >= kills:
            break
        out = folder / f"round-{number}"
        dead: set[tuple[str, int]] = set()
        gone: set[str] = set()
        here, there, hosts = begin(out, "dask", 2, epochs), begin(out, "local", 2, epochs, host="host-0"), 1
        while here.poll() is None or there.poll() is None:
            time.sleep(draw.uniform(0.2, 2.5))
            if here.poll():  # a launcher that a death has ended is started again, as a person would
                end(here)
                here, dealt["launchers started again"] = (
                    begin(out, "dask", 2, epochs),
                    dealt["launchers started again"],
                )
            if dealt.total() >= kills:
                continue
            claims = [living(path) for path in out.glob("runs/*/claim.json")]
            owners = [owner for owner in claims if owner is not None]
            ours = [owner for owner in owners if owner.here and owner.pid != here.pid]
            theirs = any(not owner.here for owner in owners)
            if theirs and there.poll() is None and draw.random() < 0.25:
                os.killpg(there.pid, signal.SIGKILL)
                there.wait()
                gone.add(f"host-{hosts - 1}")
                dealt["hosts"] += 1
                there, hosts = begin(out, "local", 2, epochs, host=f"host-{hosts}"), hosts + 1
            elif ours:
                chosen = draw.choice(ours)
                dead.add(("", chosen.pid))
                os.kill(chosen.pid, signal.SIGKILL)
                dealt["workers"] += 1
        ended = [end(here), end(there)]
        found = judged(out, expected, lambda host, pid: (host, pid) in dead or host in gone)  # noqa: B023
        total.update(found)
        total["launchers that failed"] += sum(map(bool, ended))
        print(f"round {number + 1}: kills so far {dict(dealt)}, {found}, exits {ended}", flush=True)
    rows = {**total, **{f"{name} killed": count for name, count in dealt.items()}}
    rows["launchers started again"] = again
    print(f"\n| {' | '.join(rows)} |\n{'|---' * len(rows)}|\n| {' | '.join(map(str, rows.values()))} |")
    return not any(count for name, count in total.items() if name != "begun anew otherwise")


def main() -> int:
    """Prints what was found; exit code 1 where it is not what it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", default="time", choices=("time", "together", "kills", "launch"))
    parser.add_argument("--epochs", type=int, default=40, help="of each run (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=1, help="of `time` (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit code 1 where a target is missed")
    parser.add_argument("--kills", type=int, default=50, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="of the kills (default: drawn)")
    parser.add_argument("--out", type=Path, help="of `launch`")
    parser.add_argument("--executor", default="local", help="of `launch`")
    parser.add_argument("--jobs", type=int, default=2, help="of `launch`")
    parser.add_argument("--host", default="", help="of `launch`: what it is called in the log")
    given = parser.parse_args()
    if given.what == "launch":
        launch(given.out, given.executor, given.jobs, given.epochs, given.host)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.what == "time":
            return 0 if measure_time(folder, given.epochs, given.repeats, check=given.check) else 1
        if given.what == "together":
            return 0 if together(folder, given.epochs) else 1
        seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
        print(f"seed {seed}", flush=True)
        return 0 if kill_at_random(folder, given.epochs, given.kills, random.Random(seed)) else 1


if __name__ == "__main__":
    sys.exit(main())
