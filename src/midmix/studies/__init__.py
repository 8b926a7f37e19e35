"""Many runs: comparisons, transfer from groups to their members, and what carries them out."""

from midmix.studies.claims import Claim, ClaimLostError, claimed
from midmix.studies.compare import collect, compare
from midmix.studies.grid import Grid, GridLine, GridSet, read_grid
from midmix.studies.runner import Progress, RunnerOptions, WorkerError, check_comparison, run_all
from midmix.studies.study import study
from midmix.studies.transfer import transfer

__all__ = [
    "Claim",
    "ClaimLostError",
    "Grid",
    "GridLine",
    "GridSet",
    "Progress",
    "RunnerOptions",
    "WorkerError",
    "check_comparison",
    "claimed",
    "collect",
    "compare",
    "read_grid",
    "run_all",
    "study",
    "transfer",
]
