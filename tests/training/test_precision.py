"""Half precision without NaN and with losses in float32; compiled steps that are not compiled again."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from midmix.errors import InputError
from midmix.losses import Loss, LossContext
from midmix.methods import Method
from midmix.mixing.recipes import CORE
from midmix.models import build
from midmix.training.fit import make_accelerator

LINES = [*CORE, "cutmix", "balanced-am-mixup:clean_weight=1+balanced_softmax"]


@pytest.mark.parametrize("line", LINES)
def test_half_precision_trains_and_its_losses_are_float32(line, pictures, short, start):
    settings = replace(
        short, network="resnet-8", width=4, precision="bf16", augment="crop-flip", epochs=3, batch_size=23
    )
    fit = start(pictures, settings, line)
    seen: list[Tensor] = []
    features: list[torch.dtype] = []
    fit.model.fc.register_forward_hook(lambda module, args, output: features.append(output.dtype))
    loss = fit.loss

    class Watched(Loss):
        def mean(self, context: LossContext) -> Tensor:
            seen.append(context.logits.detach())
            mean: Tensor = loss.mean(context)
            assert mean.dtype == torch.float32
            return mean

    fit.loss = Watched()
    history = fit.run()
    assert {logits.dtype for logits in seen} == {torch.float32}
    assert torch.bfloat16 in features, "the layers themselves do run in half precision"
    assert all(logits.isfinite().all() for logits in seen)
    assert all(0 < row["train_loss"] < 20 and 0 <= row["ratio"] <= 1 for row in history)
    assert {tensor.dtype for tensor in fit.mix.state_dict().values()} == {torch.float32}
    assert all(tensor.isfinite().all() for tensor in fit.model.state_dict().values())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("line", LINES)
def test_losses_of_wild_half_precision_logits_are_finite(dtype, line, blobs, short):
    # exp of such logits overflows float16, and so does the sum of a batch's losses.
    parsed, data = Method.parse(line), blobs.train
    model = build("mlp-16", data.shape, 3, seed=0)
    with torch.no_grad():
        model.fc.weight.mul_(30_000)
    mix = parsed.make_mix(3, data.counts()).attach(model)
    mix.observe(accuracy=0.9) if "am-" in line else None
    with torch.autocast("cpu", dtype), mix(data.labels):
        logits = model(data.inputs)
    assert logits.dtype == dtype
    assert logits.isfinite().all()
    loss = mix.loss(logits, parsed.make_loss())
    assert loss.dtype == torch.float32
    assert 100 < loss.item() < 1e6
    (loss / 1e4).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_precision_that_the_device_lacks_is_not_replaced_in_silence(blobs, short, start):
    if torch.cuda.is_available():
        pytest.skip("an accelerator has fp16")
    with pytest.raises(InputError, match="precision: fp16 cannot be had on this device"):
        start(blobs, replace(short, precision="fp16"))
    start(blobs, short).run()  # and the next run is not hindered by it


def test_one_process_can_train_in_one_precision_after_another(short):
    for precision in ("fp32", "bf16", "fp32"):
        accelerator = make_accelerator(replace(short, precision=precision))
        assert accelerator.mixed_precision == {"fp32": "no"}.get(precision, precision)


@pytest.fixture
def counter(monkeypatch):
    """Counts the graphs that torch.compile makes; what they would be turned into is not looked at here."""
    torch._dynamo.reset()
    logging.disable(logging.DEBUG)  # the compiler's log is long, and slow to keep
    made = CompileCounter()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=made))
    yield made
    logging.disable(logging.NOTSET)
    torch._dynamo.reset()


@pytest.mark.parametrize("line", [*CORE, "cutmix", "balanced-am-mixup:clean_weight=1"])
def test_a_changing_ratio_compiles_nothing_anew_and_another_batch_size_once(
    line, counter, blobs, short, start
):
    # Three hidden layers give manifold mixup three sites; batches of 15, 14 rows come in every epoch.
    settings = replace(short, network="mlp-16-16-16", compile=True, epochs=17, evaluate_every=17)
    graphs: dict[tuple[int, int], int] = {}
    ratios: list[float] = []

    def watch(moment):
        graphs[moment.epoch, moment.step] = counter.frame_count
        ratios.append(moment.ratio)

    fit = start(blobs, settings, line, watch=watch)
    fit.run()
    assert len(ratios) > 100
    fewest = 5 if line == "cutmix" else 10  # boxes in rows of six have no more shares than that
    assert len(set(ratios)) > fewest or line in ("erm", "balanced-midpoint")
    at_first = graphs[1, 1]
    if line == "manifold-mixup":  # a graph for each of its sites; that of the input is one more
        assert counter.frame_count <= 2 * 4
        assert counter.frame_count == graphs[8, 6], "none after each site was met"
    else:
        assert graphs[1, 4] == at_first, "the first four batches are of one size"
        assert counter.frame_count == graphs[1, 6] <= 2 * at_first

    plain = start(blobs, replace(settings, compile=False), line)
    plain.run()
    for name, tensor in fit.model.state_dict().items():
        torch.testing.assert_close(tensor, plain.model.state_dict()[name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # in torch's own compiler
def test_a_really_compiled_run_is_as_the_plain_one(blobs, short, start):
    compiled, plain = (
        start(blobs, replace(short, batch_size=88, compile=compile)) for compile in (True, False)
    )
    for fit in (compiled, plain):
        fit.run()
    for name, tensor in compiled.model.state_dict().items():
        torch.testing.assert_close(tensor, plain.model.state_dict()[name], rtol=1e-3, atol=1e-5, msg=name)
    logits = F.log_softmax(compiled.model(blobs.test.inputs), 1)
    torch.testing.assert_close(logits, F.log_softmax(plain.model(blobs.test.inputs), 1), rtol=1e-3, atol=1e-4)
