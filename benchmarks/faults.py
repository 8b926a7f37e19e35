"""Bad inputs, damaged files, kills, signals and shortages by the hundred: what becomes of each.

    python benchmarks/faults.py --seed 0

Each bad input is tried in a process of its own, forked from one that has imported everything; kills, signals, two
launchers and shortages of room and files are tried on real processes. Printed is, by group, how many ended as they
should, in one clear line, in a traceback, in silence with a wrong result, in a hang, with orphaned processes, or in
the loss of what was there. Exit code 1 where any did but the first two. The seed repeats the moments of the kills as
far as the machine does.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.faults import attempts, cases, processes, stock
from tests.faults.outcomes import Outcome, Tally


def main() -> int:
    """Prints each fault that ended badly, and the table, in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="regular expression of 'group / name' (default: all)")
    parser.add_argument(
        "--scale", type=int, default=1, help="how often each kill is tried (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, help="of the moments (default: drawn)")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    draw, tally, started = random.Random(seed), Tally(), time.monotonic()

    def note(outcome: Outcome) -> None:
        tally.outcomes.append(outcome)
        if not outcome.kind.good:
            print(outcome, flush=True)

    stock.warm()
    with tempfile.TemporaryDirectory(prefix="midmix-faults-") as name:
        try:
            for number, case in enumerate(cases.all_of_them()):
                if re.search(given.only, f"{case.group} / {case.name}"):
                    note(attempts.attempt(case, Path(name) / f"case-{number}"))
        finally:
            stock.clean()
        for number, (group, title, fault) in enumerate(processes.faults(given.scale)):
            if re.search(given.only, f"{group} / {title}"):
                note(processes.attempt(group, title, fault, Path(name) / f"process-{number}", draw))
    print(f"\n{tally.table()}\n\n{time.monotonic() - started:.0f} s")
    return 1 if tally.bad else 0


if __name__ == "__main__":
    sys.exit(main())
