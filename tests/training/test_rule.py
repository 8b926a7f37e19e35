"""Which prior a run's logits answer for, and what a finished folder makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from midmix.decisions import for_own_prior
from midmix.errors import InputError
from midmix.measures import expected_calibration_error, negative_log_likelihood
from midmix.methods import Method
from midmix.training import Run, load_model, read_predictions, run_rule, train_run, trained_prior
from midmix.training.rule import read_held_out
from midmix.training.run_folder import result_rows

DATA = [60 / 88, 20 / 88, 8 / 88]
PAIRED = [
    share / 2 + (1 - share) / 4 for share in DATA
]  # half of the owners are partners, of one of two other classes


@pytest.mark.parametrize(
    ("line", "expected", "tolerance"),
    [
        ("erm", DATA, 0.01),
        ("erm+balanced_softmax", [1 / 3] * 3, 0.01),
        ("erm+balanced_softmax:tau=0.5", [share**0.5 for share in DATA], 0.01),
        ("mixup", DATA, 0.06),
        ("balanced-am-mixup", PAIRED, 0.06),
        (
            "balanced-am-mixup:clean_weight=1",
            [own + share for own, share in zip(PAIRED, DATA, strict=True)],
            0.06,
        ),
        ("erm+power:exponent=0", [1 / 3] * 3, 0.06),
        ("erm >> logit_adjustment", [1 / 3] * 3, 0.01),
        ("erm >> crt:epochs=1", [1 / 3] * 3, 0.01),
        ("logistic", [1 / 3] * 3, 0.01),
    ],
)
def test_the_prior_of_the_targets_that_were_fed_is_recorded(
    line, expected, tolerance, blobs, short, tmp_path
):
    record = train_run(Run(Method.parse(line), 0, short), blobs, tmp_path)
    trained = trained_prior(record)
    assert trained is not None
    total = sum(expected)
    assert trained.shares == pytest.approx([share / total for share in expected], abs=tolerance)


def test_results_have_likelihood_and_calibration_for_the_prior_of_the_test_rows(blobs, short, tmp_path):
    record = train_run(Run(Method.parse("erm+balanced_softmax"), 0, short), blobs, tmp_path)
    found = read_predictions(tmp_path)
    trained = trained_prior(record)
    assert trained is not None
    log_p = for_own_prior(trained, found.logits, found.labels)
    row = result_rows(tmp_path)[0]
    assert row["nll"] == pytest.approx(negative_log_likelihood(log_p, found.labels), rel=1e-6)
    assert row["ece"] == pytest.approx(expected_calibration_error(log_p, found.labels), rel=1e-6)
    assert row["probabilities_for"] == "for the prior of the test rows"
    assert row["accuracy"] == float((found.logits.argmax(1) == found.labels).double().mean())


def test_held_out_rows_are_kept_and_calibrations_are_fitted_on_them(blobs, short, tmp_path):
    run = Run(Method.parse("erm"), 0, replace(short, epochs=8), validation=0.3)
    record = train_run(run, blobs, tmp_path)
    held_out = read_held_out(tmp_path)
    assert held_out is not None
    logits, labels = held_out
    split = run.split(blobs)
    assert split.validation is not None
    assert torch.equal(labels, split.validation.labels)
    model, _ = load_model(tmp_path)
    torch.testing.assert_close(model(split.validation.inputs), logits)
    plain, fitted = (run_rule(tmp_path, record, calibrate=how) for how in ("none", "bias"))
    losses = [negative_log_likelihood(rule.log_probabilities(logits), labels) for rule in (plain, fitted)]
    assert losses[1] <= losses[0]
    assert run_rule(tmp_path, record, aim="f1").thresholds is not None


def test_a_prior_that_is_not_known_needs_a_fitted_bias(blobs, short, tmp_path):
    record = train_run(Run(Method.parse("erm >> tau_norm"), 0, short, validation=0.3), blobs, tmp_path)
    assert record["logit_prior"] is None
    logits = read_predictions(tmp_path).logits
    probabilities = run_rule(tmp_path, record).probabilities(logits)
    torch.testing.assert_close(probabilities, logits.double().softmax(1))
    with pytest.raises(InputError, match="is not known"):
        run_rule(tmp_path, record, prior="uniform")
    assert run_rule(tmp_path, record, prior="uniform", calibrate="bias").calibration.bias is not None
