"""The application: its commands, and what becomes of errors."""

from __future__ import annotations

import errno
import io
import os
import shlex
import sys
from collections.abc import Sequence

import cyclopts
from cyclopts import App

from midmix import __version__
from midmix.cli.configuration import configuration
from midmix.errors import InputError, RunsFailedError
from midmix.text import printable

WRONG_INPUT, FAILED, INTERRUPTED = 2, 1, 130
OUT_OF_MEMORY = "ran out of memory; choose fewer or smaller rows, a smaller batch, or a smaller network"

app = App(
    name="midmix",
    help="Better recognition of rare classes: train, compare and measure classifiers on imbalanced data.",
    version=__version__,
    help_format="markdown",
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # else it would exit before the line is said
)
# Named by their place, so that `midmix --help` need not import torch.
COMMANDS = {
    "compare": "Train several methods with several seeds; write a table and a report.",
    "study": "Run a grid of methods, options, sets and seeds from a file; draw its curves.",
    "transfer": "Train on groups of classes with several methods; measure what the features know of the classes.",
    "train": "Train one method with one seed; keep the model.",
    "embed": "Make features of images or texts by a pretrained encoder, into a file that every command reads.",
    "refit": "Put another classifier on a finished run's encoder: retrained, rescaled, shifted or calibrated.",
    "evaluate": "Measure a trained model on labelled data.",
    "analyze": "Measure collapse and margins of features, or of a finished run.",
    "predict": "Predict the class of each image or row of features.",
    "export": "Write a trained model for other programs, checked against the original, or a card of it.",
    "push": "Share a trained model on the Hugging Face Hub.",
    "methods": "List what methods are made of: mixes, losses, orders, heads, second stages.",
}
for command, summary in COMMANDS.items():
    app.command(f"midmix.cli.{command}:{command}", help=summary)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line. Exits with 0, 2 for input that cannot be used, 1 for a failure, 130 when interrupted."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """The exit code of a command line; errors are one line on standard error."""
    # A newcomer's first sight should not be the chatter of libraries.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # hours of training must not end at a sign that a terminal does not have
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
    try:
        app.config = configuration(arguments, COMMANDS)
        app(arguments, exit_on_error=False, print_error=False)
    except RunsFailedError as error:
        return _say(str(error), FAILED)
    except (InputError, cyclopts.CycloptsError) as error:
        return _say(" ".join(str(error).split()), WRONG_INPUT)
    except RuntimeError as error:
        if type(error).__name__ in ("WorkerError", "ClaimLostError"):  # their room would import torch
            return _say(str(error), FAILED)
        if "allocate memory" in str(error) or "out of memory" in str(error):  # torch's own MemoryError
            return _say(OUT_OF_MEMORY, FAILED)
        raise
    except KeyboardInterrupt as error:
        again = shlex.join(["midmix", *arguments])
        return _say(f"{error or 'interrupted'}; the same command goes on: {again}", INTERRUPTED)
    except MemoryError:
        return _say(OUT_OF_MEMORY, FAILED)
    except OSError as error:
        place = f"{error.filename!s:.200}: " if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG):
            hint = (
                "finished runs and the last whole checkpoint are kept, and the same command goes on from them"
            )
            return _say(f"{place}cannot be written ({error.strerror}); {hint}", FAILED)
        # Of reading or of writing: the error does not say which. One without a file may be an error of ours.
        if error.errno in (errno.EACCES, errno.EPERM) or (place and error.strerror):
            return _say(
                f"{place}may not be used ({error.strerror}); see what it is, and who may use it", FAILED
            )
        raise
    return 0


def _say(text: str, code: int) -> int:
    print(f"midmix: {printable(text)}", file=sys.stderr)  # names of files may steer a terminal
    return code
