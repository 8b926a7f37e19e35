"""One training loop for every mix, criterion and network, and comparisons made of its runs."""

from midmix.training.compare import collect, compare
from midmix.training.evaluate import Answers, answer, predict_logits
from midmix.training.fit import Fit, Moment
from midmix.training.line import Line, parse_lines
from midmix.training.run import (
    Run,
    Watching,
    check_run,
    finished,
    load_model,
    read_answers,
    read_features,
    train_run,
)
from midmix.training.sampler import ClassBalancedSampler
from midmix.training.settings import Settings
from midmix.training.split import Split, draw_split
from midmix.training.transfer import transfer
from midmix.training.work import Progress, check_comparison

__all__ = [
    "Answers",
    "ClassBalancedSampler",
    "Fit",
    "Line",
    "Moment",
    "Progress",
    "Run",
    "Settings",
    "Split",
    "Watching",
    "answer",
    "check_comparison",
    "check_run",
    "collect",
    "compare",
    "draw_split",
    "finished",
    "load_model",
    "parse_lines",
    "predict_logits",
    "read_answers",
    "read_features",
    "train_run",
    "transfer",
]
