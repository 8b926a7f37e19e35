"""`midmix refit`: second stages on a finished run."""

from __future__ import annotations

from pathlib import Path

from midmix import data
from midmix.cli.console import console, introduce
from midmix.cli.flags import Config, Out, SourceFlags, Trust
from midmix.cli.measured import measured
from midmix.data import place_of
from midmix.errors import InputError
from midmix.training import load_model, read_predictions
from midmix.training.refit import refit_run


def refit(
    run: Path,
    stages: str,
    /,
    *,
    source: str | None = None,
    out: Out = Path("refit"),
    trust: Trust = False,
    config: Config = None,
) -> None:
    """Put another classifier on a finished run's encoder: retrained, rescaled, shifted or calibrated.

    Nothing is trained again but the classifier, on the rows that the run was trained on, drawn as then; what a stage
    chooses it chooses on the run's validation rows. Writes a run of its own: what `METHOD >> STAGES` would have come
    to.

    Parameters
    ----------
    run
        Folder of a finished run: that of `midmix train`, or `DIR/runs/NAME` of `midmix compare`.
    stages
        As behind a method's `>>`: `tau_norm:tau=auto`, `crt >> temperature`; `midmix methods` lists them.
    source
        What the run was trained on, where it lies elsewhere now. [default: where it lay]
    """
    _, record = load_model(run, trust=trust)
    known = dict(record.get("reading", {}))
    lay = known.pop("source", None)
    if source is None and lay is None:
        raise InputError(f"{run}: does not say how its rows were read; name them with --source")
    loaded = data.load(source or place_of(str(lay)), **{**SourceFlags().options(), **known})
    introduce(loaded)
    done = refit_run(run, stages, loaded, out, trust=trust)
    predictions = read_predictions(out, features=False)
    title = f"{done['method']}, seed {done['seed']}, test split of {loaded.name}, last epoch"
    console.print(measured(predictions, done, title))
    console.print(f"Model: {out / 'model.safetensors'}", highlight=False, soft_wrap=True)
