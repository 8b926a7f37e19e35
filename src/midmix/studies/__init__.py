"""Many runs: comparisons, transfer from groups to their members, and what carries them out."""

from midmix.studies.claims import Claim, ClaimLostError, claimed
from midmix.studies.compare import collect, compare
from midmix.studies.executors import EXECUTORS, Opened, open_executor
from midmix.studies.grid import Grid, GridLine, GridSet, read_grid
from midmix.studies.options import Progress, RunnerOptions
from midmix.studies.runner import check_comparison, run_all
from midmix.studies.side_by_side import WorkerError
from midmix.studies.study import study
from midmix.studies.transfer import transfer

__all__ = [
    "EXECUTORS",
    "Claim",
    "ClaimLostError",
    "Grid",
    "GridLine",
    "GridSet",
    "Opened",
    "Progress",
    "RunnerOptions",
    "WorkerError",
    "check_comparison",
    "claimed",
    "collect",
    "compare",
    "open_executor",
    "read_grid",
    "run_all",
    "study",
    "transfer",
]
