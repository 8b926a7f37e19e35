"""`midmix train`: one run."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from midmix.cli.console import console, note, note_trained, settings_for
from midmix.cli.flags import Config, Out, SourceFlags, SplitFlags, Track, TrainingFlags, Whole
from midmix.cli.measured import measured
from midmix.cli.progress import progress_of_runs
from midmix.cli.sources import open_source
from midmix.methods import Method
from midmix.studies import Progress, claimed
from midmix.studies.interruption import interruptible
from midmix.training import Callback, Run, check_run, read_predictions, train_run
from midmix.training.run_folder import MODEL
from midmix.training.tracking import Tracking


def train(
    source: str,
    /,
    *,
    method: str = "erm+balanced_softmax",
    seed: Whole = 0,
    out: Out = Path("run"),
    track: Track = None,
    config: Config = None,
    reading: SourceFlags = SourceFlags(),  # noqa: B008  (frozen)
    split: SplitFlags = SplitFlags(),  # noqa: B008
    training: TrainingFlags = TrainingFlags(),  # noqa: B008
) -> None:
    """Train one method with one seed, and keep the model.

    Writes `model.safetensors`, `run.json`, `history.parquet` and `test.npz` into the output folder. Repeat the
    command to go on where it was interrupted.

    Parameters
    ----------
    source
        As for `midmix compare`.
    method
        `METHOD[:option=value…][+loss…][ >> stage]`; `midmix methods` lists them.
    seed
        Of the split, the initial weights and all draws.
    """
    check_run(out)
    tracking = Tracking.read(track, out)
    line = Method.parse(method)
    loaded, given = open_source(source, reading.options(), training.options(), split.splits)
    settings = settings_for(loaded, given)
    run = Run(line, seed, settings, **split.options())
    with claimed(out) as claim, interruptible() as stop, progress_of_runs(out) as watch:
        callback = Callback(
            on_step=lambda moment: watch(Progress(run.name, 0, 1, moment)),
            say=note,
            stop=stop.is_set,
            still_ours=claim.check,
        )
        record = train_run(run, loaded, out, callback=callback, tracking=tracking)
    predictions = read_predictions(out, features=False)
    console.print(
        measured(predictions, record, f"{line}, seed {seed}, test split of {loaded.name}, last epoch")
    )
    note_trained(record)
    for finding in record.get("health") or ():
        console.print(
            Text(f"{finding['heading']}: ", style="yellow").append(
                f"{finding['seen']}. To do: {finding['remedy']}.", style="default"
            ),
            highlight=False,
        )
        if finding.get("change"):
            from midmix.reports.commands import Command  # matplotlib takes a second
            from midmix.reports.health import repeated

            console.print(Command(repeated(record, finding)), highlight=False, crop=False)
    kept = (
        f"Model: {out / MODEL}"
        if (out / MODEL).is_file()
        else f"Results, and no model, which {line} has none to keep of: {out}"
    )
    console.print(kept, highlight=False, soft_wrap=True)
