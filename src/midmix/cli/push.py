"""`midmix push`: a trained model to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from midmix.cli.console import console
from midmix.cli.flags import Config
from midmix.deploy import load
from midmix.errors import InputError


def push(
    run: Path,
    name: str,
    /,
    *,
    private: Annotated[bool, Parameter(negative=())] = False,
    config: Config = None,
) -> None:
    """Share a trained model on the Hugging Face Hub: its record, its weights and its card, and no code.

    The record names the source file, its columns and its classes. Log in with `hf auth login` before.

    Parameters
    ----------
    run
        Folder of a finished run: that of `midmix train`, or `DIR/runs/NAME` of `midmix compare`.
    name
        Of the repository, `owner/name`; it is made where it is not there.
    private
        Make it a private one.
    """
    owner, slash, rest = name.partition("/")
    if not (owner and slash and rest) or "/" in rest:
        raise InputError(f"{name}: is no name of a repository; give it as owner/name")
    model = load(run)
    try:
        address = model.push_to_hub(name, private=private or None)
    except (OSError, ValueError) as error:  # of the Hub's own: no login, a name that cannot be, no connection
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        raise InputError(
            f"{name}: cannot be pushed ({reason}); is `hf auth login` done, and the name yours?"
        ) from error
    console.print(f"Pushed: {address}", highlight=False, soft_wrap=True)
