"""One training loop for every mix, criterion and network: one run."""

from midmix.training.evaluate import Answers, answer, predict_logits
from midmix.training.fit import Fit, Moment
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

__all__ = [
    "Answers",
    "ClassBalancedSampler",
    "Fit",
    "Moment",
    "Run",
    "Settings",
    "Split",
    "Watching",
    "answer",
    "check_run",
    "draw_split",
    "finished",
    "load_model",
    "predict_logits",
    "read_answers",
    "read_features",
    "train_run",
]
