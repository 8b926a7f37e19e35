"""One training loop for every mix, criterion and network: one run."""

from midmix.training.callback import Callback, StepInfo
from midmix.training.embed import embedded
from midmix.training.fit import Fit
from midmix.training.load import load_model, read_features
from midmix.training.predict import Predictions, predict, predict_logits
from midmix.training.record import preparation_of, reading_of
from midmix.training.refit import refit_run
from midmix.training.rule import estimated_prior, positive_of, run_rule, trained_prior
from midmix.training.run import Run
from midmix.training.run_folder import check_run, finished, read_predictions
from midmix.training.sampler import ClassBalancedSampler
from midmix.training.settings import Settings
from midmix.training.split import Split, draw_split
from midmix.training.tracking import Tracking
from midmix.training.train import train_run

__all__ = [
    "Callback",
    "ClassBalancedSampler",
    "Fit",
    "Predictions",
    "Run",
    "Settings",
    "Split",
    "StepInfo",
    "Tracking",
    "check_run",
    "draw_split",
    "embedded",
    "estimated_prior",
    "finished",
    "load_model",
    "positive_of",
    "predict",
    "predict_logits",
    "preparation_of",
    "read_features",
    "read_predictions",
    "reading_of",
    "refit_run",
    "run_rule",
    "train_run",
    "trained_prior",
]
