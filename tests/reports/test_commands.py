"""Commands to paste: a shell reads back what was meant, and the command line takes them."""

import shlex
import subprocess

import pytest

from midmix.cli.flags import SourceFlags, SplitFlags, TrainingFlags
from midmix.reports.commands import flags_of, paste, source_of, train_command
from midmix.training import Settings

HOSTILE = "$(touch here); `id` \"'\n& <b>"


@pytest.mark.parametrize("width", [None, 20, 60, 200])
def test_a_shell_reads_every_argument_as_it_was(width):
    arguments = ["printf", "%s|", HOSTILE, "--method", "am-mixup:beta=0.5+ldam", "", "*", "~"]
    done = subprocess.run(["sh", "-c", paste(arguments, width)], capture_output=True, text=True, check=True)
    assert done.stdout == "".join(f"{argument}|" for argument in arguments[2:])


def test_no_line_is_wider_than_asked_where_its_parts_are_not():
    command = train_command("digits", "am-mixup", ["--imbalance", "50", "--epochs", "30", "--width", "64"])
    lines = paste(command, 40).splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 40
    assert shlex.split(paste(command, 40).replace("\\\n", "")) == command


def test_flags_are_what_differs_from_the_defaults():
    settings = Settings.for_kind("images", epochs=7, width=32, channels_last=False, learning_rate=0.123456789)
    about = {
        "shape": [3, 32, 32],
        "reading": {
            "source": "/a b",
            "label": "kind",
            "features": ["x", "y"],
            "skip_broken": True,
            "seed": 0,
        },
        "imbalance": None,
        "profile": "step",
        "validation": 0.1,
        "settings": settings.as_dict(),
    }
    assert source_of(about) == "/a b"
    assert shlex.join(flags_of(about)) == (
        "--label kind --features x,y --skip-broken --validation 0.1 --width 32 --epochs 7 "
        "--learning-rate 0.123456789 --no-channels-last"
    )
    assert flags_of({"shape": [3, 32, 32], "settings": Settings.for_kind("images").as_dict()}) == []


def test_the_network_of_many_features_is_always_named():
    for network, flags in (("linear", ["--network", "linear"]), ("mlp", ["--network", "mlp"])):
        settings = Settings.for_kind("features", network=network).as_dict()
        assert flags_of({"shape": [256], "settings": settings}) == flags
    settings = Settings.for_kind("features", network="linear", epochs=3).as_dict()
    assert flags_of({"shape": [4], "settings": settings}) == ["--network", "linear", "--epochs", "3"]


def test_every_flag_is_one_of_the_command_line():
    settings = Settings(
        network="mlp-8", width=4, epochs=2, batch_size=4, optimizer="adamw", learning_rate=1.0, momentum=0.1,
        weight_decay=0.1, warmup_epochs=2, accumulate=2, augment="crop-flip", precision="bf16", compile=True,
        evaluate_every=2, weights="none", tune="head",
    )  # fmt: skip
    reading = {"label": "a", "features": ["b"], "image": "c", "test_fraction": 0.3, "image_size": 8,
               "skip_broken": True, "keep": ["d"], "exclude": ["e"], "prepare": True,
               "text": ["f"], "list": "/g", "list_test": "/h", "root": "/i"}  # fmt: skip
    about = {"reading": reading, "imbalance": 2.0, "profile": "step", "ranks": "fixed", "splits": "fixed",
             "validation": 0.2, "settings": settings.as_dict()}  # fmt: skip
    names = {part[2:].replace("-", "_") for part in flags_of(about) if part.startswith("--")}
    known = {*SourceFlags().options(), *SplitFlags().options(), *TrainingFlags().options()}
    assert names == known - {"channels_last", "workers"}  # numbers do not depend on who decodes
