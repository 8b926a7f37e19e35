"""The loop against a plain one, and what it counts, shows and stops at."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from midmix.data import Source
from midmix.errors import InputError
from midmix.methods import Method
from midmix.mixing import Plan
from midmix.mixing.context import as_loss
from midmix.mixing.recipes import CORE
from midmix.models import build, fit_normalization
from midmix.training import StepInfo
from midmix.training.history import read_history
from midmix.training.run import Run
from midmix.training.schedule import make_optimizer, make_schedule
from midmix.training.seeds import stream
from midmix.training.train import train_run


def plain_loop(source: Source, settings) -> torch.nn.Module:
    """Cross-entropy without anything else; every update is of the mean over all of its rows."""
    data = source.train
    inputs = data.inputs
    assert isinstance(inputs, Tensor)
    model = fit_normalization(build(settings.network, data.shape, 3, seed=0), inputs)
    optimizer = make_optimizer(model, settings)
    steps = math.ceil(len(data) / settings.batch_size)
    schedule = make_schedule(optimizer, settings, math.ceil(steps / settings.accumulate))
    for epoch in range(settings.epochs):
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(stream(0, 0, epoch)))
        batches = order.tensor_split(steps)
        for first in range(0, steps, settings.accumulate):
            rows = torch.cat(batches[first : first + settings.accumulate])
            optimizer.zero_grad()
            F.cross_entropy(model(inputs[rows]), data.labels[rows]).backward()
            optimizer.step()
            schedule.step()
    return model


@pytest.mark.parametrize("accumulate", [1, 2, 4, 100])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_loop_is_the_plain_one(accumulate, optimizer, blobs, short, start):
    # Six batches of 15 and 14 rows: with 4 a step the last update of an epoch has two batches only.
    settings = replace(short, epochs=3, accumulate=accumulate, optimizer=optimizer, learning_rate=0.01)
    fit = start(blobs, settings, "erm")
    fit.run()
    expected = plain_loop(blobs, settings).state_dict()
    for name, tensor in fit.model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("line", ["am-mixup", "balanced-am-mixup", "balanced-am-mixup:clean_weight=1"])
@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_ratio_sees_every_row_once_an_epoch(line, accumulate, blobs, short, start):
    fit = start(blobs, replace(short, accumulate=accumulate), line)
    seen: list[Tensor] = []
    observe = fit.mix.ratio.observe

    def watched(logits: Tensor, labels: Tensor) -> None:
        assert logits.argmax(1).shape == labels.shape
        seen.append(labels)
        observe(logits, labels)

    fit.mix.ratio.observe = watched
    fit.run()
    counts = torch.bincount(torch.cat(seen), minlength=3)
    assert counts.tolist() == (2 * blobs.train.counts()).tolist()


def test_the_ratio_follows_the_last_epoch_where_it_is_to(blobs, short, start):
    moments: list[StepInfo] = []
    fit = start(blobs, replace(short, epochs=3), "am-mixup:accuracy=epoch", watch=moments.append)
    fit.run()
    by_epoch = {epoch: {moment.ratio for moment in moments if moment.epoch == epoch} for epoch in (1, 2, 3)}
    assert by_epoch[1] == {1.0}
    assert [len(ratios) for ratios in by_epoch.values()] == [1, 1, 1]
    assert max(by_epoch[2]) < 1


@pytest.mark.parametrize("line", [*CORE, "cutmix"])
def test_the_history_has_the_mean_ratio_of_each_epoch(line, blobs, short, start):
    moments: list[StepInfo] = []
    fit = start(blobs, replace(short, epochs=3), line, watch=moments.append)
    for row in fit.run():
        ratios = [moment.ratio for moment in moments if moment.epoch == row["epoch"]]
        assert len(ratios) == fit.steps
        assert row["ratio"] == pytest.approx(sum(ratios) / len(ratios), rel=1e-6)
    if line == "erm":
        assert {row["ratio"] for row in fit.history} == {1.0}


def test_moments_count_steps_and_show_clean_accuracy(blobs, short, start):
    moments: list[StepInfo] = []
    start(blobs, short, "am-mixup", watch=moments.append).run()
    assert [(m.epoch, m.step) for m in moments] == [(e, s) for e in (1, 2) for s in range(1, 7)]
    assert {(m.epochs, m.steps) for m in moments} == {(2, 6)}
    assert all(0 <= m.train_accuracy <= 1 and m.rate > 0 for m in moments)


@pytest.mark.parametrize(
    ("bad", "where"), [(1, "step 1 (epoch 1, step 1 of 6)"), (8, "step 8 (epoch 2, step 2 of 6)")]
)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(
    bad, where, value, blobs, short, start, tmp_path
):
    fit = start(blobs, short, "erm", folder=tmp_path)
    calls = 0

    def criterion(logits: Tensor, labels: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        losses = F.cross_entropy(logits, labels, reduction="none")
        return losses * value if calls == bad else losses

    fit.loss = as_loss(criterion)
    with pytest.raises(InputError) as error:
        fit.run()
    assert f"became {value} at {where}" in str(error.value)
    assert "lower the learning rate (0.05)" in str(error.value)
    for path in tmp_path.glob("*.pt"):
        state = torch.load(path, weights_only=True)
        assert all(weights.isfinite().all() for weights in state["model"].values()), "none is saved after it"


def test_a_learning_rate_beyond_all_measure_is_told_so(blobs, short, start):
    with pytest.raises(InputError, match=r"loss: became (nan|inf) at step \d+"):
        start(blobs, replace(short, learning_rate=1e20, epochs=20, momentum=0.0), "erm").run()


def test_an_update_that_no_loss_has_seen_is_told_by_the_answers(blobs, short, start):
    settings = replace(short, epochs=2, batch_size=88, learning_rate=1e30, warmup_epochs=0)
    with pytest.raises(
        InputError, match=r"diverged.* at step 1 \(epoch 1, step 1 of 1\); lower the learning rate"
    ):
        start(blobs, settings, "erm").run()


def test_rows_that_are_decoded_train_as_rows_at_hand(pictures, short, start):
    settings = replace(short, network="resnet-8", width=4, augment="crop-flip")
    lazy = start(pictures, settings)
    inputs = pictures.train.inputs.rows
    eager = start(replace(pictures, train=replace(pictures.train, inputs=inputs)), settings)
    lazy.run()
    eager.run()
    for name, tensor in lazy.model.state_dict().items():
        assert torch.equal(tensor, eager.model.state_dict()[name]), name


def test_an_error_of_decoding_reaches_the_caller(pictures, short, start):
    fit = start(pictures, replace(short, network="resnet-8", width=4))

    def broken(index: Tensor) -> Tensor:
        raise InputError("image 3: is broken")

    broken_inputs = type(
        "Broken", (type(pictures.train.inputs),), {"__getitem__": lambda self, rows: broken(rows)}
    )
    fit.split = replace(
        fit.split, train=replace(pictures.train, inputs=broken_inputs(pictures.train.inputs.rows))
    )
    with pytest.raises(InputError, match="image 3: is broken"):
        fit.run()


def test_one_row_left_over_makes_no_batch_of_one(short, blobs, start):
    # 88 rows in batches of at most 29: four of 22, not three of 29 and one of 1.
    fit = start(blobs, replace(short, batch_size=29))
    sizes: list[int] = []
    draw = fit.mix.draw

    def watched(labels: Tensor, generator: torch.Generator, **facts: bool) -> Plan:
        sizes.append(len(labels))
        drawn: Plan = draw(labels, generator, **facts)
        return drawn

    fit.mix.draw = watched
    fit.run()
    assert sizes == [22] * 8


def test_two_seeds_share_nostream():
    streams = {stream(seed, *rest) for seed in range(100) for rest in [(0, 0), (0, 1), (1,), (2,), (1000,)]}
    assert len({stream % 2**32 for stream in streams}) == 500, "generators look at the lower half only"


def test_a_ratio_may_follow_rows_that_are_held_out(blobs, short, tmp_path):
    """λ of an epoch is that of the validation rows' accuracy after the epoch before it."""
    run = Run(Method.parse("am-mixup:accuracy=validation"), 0, replace(short, epochs=4), validation=0.3)
    train_run(run, blobs, tmp_path)
    history = read_history(tmp_path / "history.parquet")
    seen = history["validation_accuracy"].to_numpy()
    expected = [1.0, *(math.exp(-0.67 * float(value)) for value in seen[:-1])]
    assert history["ratio"].tolist() == pytest.approx(expected, rel=1e-6)
    assert min(expected) < 1


def test_a_ratio_that_follows_held_out_rows_needs_some(blobs, short, start):
    with pytest.raises(InputError, match=r"accuracy: validation, and no rows are held out; .*--validation"):
        start(blobs, short, "am-mixup:accuracy=validation")
