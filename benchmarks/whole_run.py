"""What a whole run of an image network costs beside its bare training steps.

    python benchmarks/whole_run.py --threads 1        # some minutes

Prints Markdown. ResNet-8 on random images of 32x32, as many training rows beside test rows as CIFAR-10-LT at ratio 100
has (12,406 and 10,000, or `--share` of both), every epoch evaluated; processor time, so that other work on the machine
counts little. The run is `Fit`'s, evaluations and the two looks at all training rows included; the bare steps are
forward, loss, backward and update over batches that lie ready. Each repetition takes both in turn; the ratio is the
median.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
import torch.nn.functional as F

from midmix.data import Labelled
from midmix.methods import Method
from midmix.models import build, fit_normalization
from midmix.training import Fit, Settings, Split
from midmix.training.schedule import make_optimizer, make_schedule

TRAIN, TEST, CLASSES = 12_406, 10_000, 10


def images(share: float) -> Split:
    """A split of random images."""
    generator = torch.Generator().manual_seed(0)
    names = tuple("0123456789")

    def part(rows: int) -> Labelled:
        pixels = torch.randint(0, 256, (rows, 3, 32, 32), generator=generator, dtype=torch.uint8)
        return Labelled(pixels, torch.arange(rows) % CLASSES, names)

    return Split(part(round(share * TRAIN)), part(round(share * TEST)), None, "random")


def whole(split: Split, method: str, settings: Settings) -> float:
    """Processor seconds of a run."""
    chosen = Method.parse(method)
    model = fit_normalization(build("resnet-8", (3, 32, 32), CLASSES, seed=0), split.train.inputs)
    mix = chosen.make_mix(CLASSES, split.train.counts())
    fit = Fit(model, mix, chosen.make_loss(), split, settings, seed=0)
    started = time.process_time()
    fit.run()
    return time.process_time() - started


def bare(split: Split, settings: Settings, steps: int) -> float:
    """Processor seconds of a bare step."""
    model = fit_normalization(build("resnet-8", (3, 32, 32), CLASSES, seed=0), split.train.inputs)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, settings)
    schedule = make_schedule(optimizer, settings, steps)
    inputs = split.train.inputs
    assert isinstance(inputs, torch.Tensor)
    x = (inputs[: settings.batch_size].float() / 255).contiguous(memory_format=torch.channels_last)
    y = split.train.labels[: settings.batch_size]
    started = 0.0
    for step in range(steps + 3):
        if step == 3:
            started = time.process_time()
        torch.autograd.backward(F.cross_entropy(model(x), y))
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return (time.process_time() - started) / steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=0.25, help="of the rows (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=10, help="of the run (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="processor threads (default: %(default)s)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    split = images(given.share)
    settings = Settings(
        network="resnet-8",
        epochs=given.epochs,
        batch_size=128,
        augment="none",
        evaluate_every=1,
        warmup_epochs=0,
    )
    steps = -(-len(split.train) // settings.batch_size)
    print(
        f"n = {given.repetitions} runs of {given.epochs} epochs of {steps} steps, torch {torch.__version__}\n"
    )
    print("| method | a run's seconds | of its bare steps | ratio |\n|---|---|---|---|")
    for method in ("erm", "am-mixup"):
        turns = []
        for _ in range(given.repetitions):
            run = whole(split, method, settings)
            turns.append((run, given.epochs * steps * bare(split, settings, 2 * steps)))
        ratio = statistics.median(run / steps for run, steps in turns)
        means = [statistics.median(times) for times in zip(*turns, strict=True)]
        print(f"| {method} | {means[0]:.1f} | {means[1]:.1f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
