"""Two processes against one with the whole batch: real launchers, gloo, the same λ and the same weights."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate.utils import DistributedType

from midmix.errors import InputError
from midmix.models import build
from midmix.training import ClassBalancedSampler, predict
from midmix.training.shared import check_whole

PROGRAM = Path(__file__).with_name("distributed_program.py")
spec = importlib.util.spec_from_file_location("distributed_program", PROGRAM)
assert spec is not None
assert spec.loader is not None
program = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = program
spec.loader.exec_module(program)

TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc_per_node=2"]
# `--cpu` would start one process: accelerate's launcher takes MPI for several there. Told of GPUs, it takes torchrun's
# way, and the processes find the processor by ACCELERATE_USE_CPU.
ACCELERATE = [
    "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1", "--main_process_port=0",
    "--mixed_precision=no", "--dynamo_backend=no",
]  # fmt: skip


def launch(launcher: list[str], task: str, folder: Path) -> Path:
    """Runs a function of the program in two processes."""
    command = [sys.executable, "-m", *launcher, str(PROGRAM), task, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What either process ended with, of two that torchrun started."""
    folder = launch(TORCHRUN, "compare_with_one", tmp_path_factory.mktemp("two"))
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("case", program.CASES)
def test_two_processes_train_as_one_with_the_whole_batch(case, two):
    one = program.outcome(*program.fit_of(case, program.draw_as_two))
    first, second = (found[case] for found in two)
    assert len(one["ratios"]) >= 50
    if "mixup" not in case or "am-mixup" in case:  # mixup draws a λ of its own in each process
        assert first["ratios"] == second["ratios"] == one["ratios"], "to the last bit"
    if "am-mixup" in case:
        assert len(set(one["ratios"])) > 5, "λ did move"
    for name, tensor in one["weights"].items():
        assert torch.equal(first["weights"][name], second["weights"][name]), name
        torch.testing.assert_close(first["weights"][name], tensor, rtol=0, atol=1e-5, msg=name)
    for name in ("prior.targets.counts", "prior.data.counts"):
        assert torch.equal(first["mix"][name], second["mix"][name]), name
        torch.testing.assert_close(first["mix"][name], one["mix"][name], rtol=1e-5, atol=1e-3, msg=name)
    assert first["losses"] == second["losses"]
    assert first["losses"] == pytest.approx(one["losses"], rel=1e-4)
    assert first["tested"] == second["tested"] == pytest.approx(one["tested"])


def test_two_processes_share_the_rows_that_they_evaluate_and_both_have_the_bits_of_one(two):
    model, rows = build("mlp-16", (8,), 5, seed=program.SEED), program.many_rows()
    expected, few = predict(model, rows), predict(model, rows.select(torch.arange(7)))
    for found in (shared["shared"] for shared in two):
        assert torch.equal(found["logits"], expected.logits)
        assert torch.equal(found["features"], expected.features)
        assert torch.equal(found["few"], few.logits)
        assert found["accuracy"] == expected.accuracy()
        assert found["problem"] == "row 1001: broken image", "which one of them could not read"


def test_weights_sharded_over_the_processes_are_trained_as_whole_ones(two):
    first, second = (found["sharded"] for found in two)
    whole = two[0]["whole"]
    assert first["kept"] + second["kept"] == whole["kept"]
    assert max(first["kept"], second["kept"]) < 0.6 * whole["kept"]
    assert first["ratio"] == second["ratio"] == whole["ratio"]
    torch.testing.assert_close(first["logits"], whole["logits"], rtol=0, atol=1e-5)
    assert torch.equal(first["logits"], second["logits"])


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED"])
def test_the_loop_that_keeps_whole_weights_refuses_sharded_ones(kind):
    with pytest.raises(InputError, match=r"shards the weights.*loop of your own"):
        check_whole(DistributedType(kind))
    check_whole(DistributedType.MULTI_CPU)


def test_the_sampler_knows_its_process_by_itself(two):
    whole = ClassBalancedSampler(program.data().train.labels, 102, seed=program.SEED)
    whole.set_epoch(2)
    sequence = list(whole)
    assert [found["sampler"] for found in two] == [sequence[0::2], sequence[1::2]]


def test_a_batch_that_leaves_a_process_without_rows_is_refused(two):
    for found in two:
        assert "batch_size: 2 of 3 rows leaves processes without a row" in found["too few rows"]


@pytest.fixture(scope="module")
def lives(tmp_path_factory):
    """The folder of runs that `accelerate launch` started on two processes."""
    return launch(ACCELERATE, "interrupt_and_resume", tmp_path_factory.mktemp("lives"))


def test_only_the_main_process_writes_and_is_watched(lives):
    assert (lives / "of-rank0" / "run.json").exists()
    assert not (lives / "of-rank1").exists()
    assert (lives / "told-rank0").read_text() == "21"
    assert (lives / "told-rank1").read_text() == "0"


def test_an_interrupted_run_of_two_processes_resumes_exactly(lives):
    whole, resumed = (lives / name / "model.safetensors" for name in ("of-rank0", "resumed"))
    assert resumed.read_bytes() == whole.read_bytes()


def test_a_loss_that_is_nan_on_one_process_stops_both_alike(lives):
    first, second = ((lives / f"stop-rank{rank}").read_text() for rank in (0, 1))
    assert first == second
    assert "loss: became nan at step 5" in first
