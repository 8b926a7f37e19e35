"""`midmix compare`: the main job."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Literal

from midmix.cli.console import console, note, note_trained, settings_for
from midmix.cli.flags import (
    Config,
    Out,
    RunningFlags,
    SourceFlags,
    SplitFlags,
    Track,
    TrainingFlags,
    Whole,
    check_projection,
)
from midmix.cli.progress import part_done, progress_of_runs
from midmix.cli.sources import open_source
from midmix.errors import InputError, RunsFailedError, unknown
from midmix.methods import Method, default_lines, missing_controls, parse_methods, with_controls
from midmix.methods.controls import RECOMMENDED
from midmix.studies import check_comparison
from midmix.studies import compare as run_comparison
from midmix.training.tracking import Tracking


def compare(
    source: str,
    /,
    *,
    methods: str | None = None,
    controls: bool | None = None,
    seeds: Whole = 3,
    out: Out = Path("comparison"),
    search: Whole = 0,
    track: Track = None,
    baseline: str | None = None,
    projection: Literal["pca", "umap"] = "pca",
    config: Config = None,
    reading: SourceFlags = SourceFlags(),  # noqa: B008  (frozen)
    split: SplitFlags = SplitFlags(),  # noqa: B008
    training: TrainingFlags = TrainingFlags(),  # noqa: B008
    running: RunningFlags = RunningFlags(),  # noqa: B008
) -> None:
    """Train several methods on a source with several seeds, and write a table and a report.

    Writes `results.parquet` (a row a method, seed and epoch choice), `tables.md`, `report.html` (one page that needs
    nothing else) with its `figures/`, and `runs/` into the output folder. Repeat the command to go on where it was
    interrupted; add methods or seeds and only what is new is run.

    Parameters
    ----------
    source
        `digits` (built in), a folder of images (`class/…` or `train/class/…`), a Parquet, CSV or NPZ file, or a
        data set on the Hugging Face Hub (`owner/name`).
    methods
        Separated by commas, each `METHOD[:option=value…][+loss…][ >> stage]`, such as
        `balanced-am-mixup:clean_weight=1+balanced_softmax`; `midmix methods` lists the parts. [default:
        cross-entropy, mixup and AM-mixup, each with balanced softmax too, and balanced AM-mixup with it]
    controls
        Add what each method must stand beside: its loss unmixed, its loss with mixup, its pairs at λ = 1, and where
        rows are features the baselines that are no networks. [default: --controls where --methods is not given]
    seeds
        How many seeds, 0 and up. The same seed is the same split and the same initial weights for each method.
    search
        Tune every line by so many draws over learning rate, weight decay, epochs and the method's own options, on
        cross-validated training rows; needs the extra `midmix[search]`. [default: nothing is tuned]
    baseline
        The one of these methods that the others are compared with, written as in `--methods`. [default: erm]
    projection
        Of the features to two dimensions, in the report; `umap` needs the extra `midmix[umap]`.
    """
    check_projection(projection)
    check_comparison(out)
    tracking = Tracking.read(track, out)
    given = None if methods is None else parse_methods([text for text in methods.split(",") if text.strip()])
    loaded, given_settings = open_source(source, reading.options(), training.options(), split.splits)
    kind = loaded.train.kind
    lines = default_lines(kind) if given is None else given
    if given is not None and controls:
        lines = with_controls(given, kind)
    elif given is None and controls is False:
        lines = parse_methods(RECOMMENDED)
    elif given is not None and controls is None and (lacking := missing_controls(given, kind)):
        note(f"controls that are not among the lines: {', '.join(map(str, lacking))}; --controls adds them")
    if baseline is not None:
        texts = [str(line) for line in lines]
        with suppress(InputError):  # one that does not parse is not among them either
            baseline = str(Method.parse(baseline))
        if baseline not in texts:
            raise unknown("baseline", baseline, texts)  # before anything is trained
    settings = settings_for(loaded, given_settings)
    failed: RunsFailedError | None = None
    with progress_of_runs(out) as watch, running.open(out) as where:
        try:
            found = run_comparison(
                loaded,
                lines,
                out,
                settings,
                seeds=seeds,
                search=search,
                watch=watch,
                say=note,
                tracking=tracking,
                **where,
                **split.options(),
            )
        except RunsFailedError as error:  # the others have their report all the same
            failed = error
    if failed is None and part_done(found, [str(line) for line in lines], seeds, where["part"]):
        return
    from midmix.reports import (  # after the runs: matplotlib takes a second
        flags_of,
        health_of,
        read_comparison,
        summarise,
        terminal_health,
        terminal_table,
        terminal_verdict,
        tested_runs,
        text_table,
        tuned_commands,
        tuning_of,
        write_report,
        write_tables,
    )

    comparison = read_comparison(out, baseline)
    results, tested = comparison.results, tested_runs(comparison)
    console.print(terminal_table(results, tested=tested, baseline=baseline))
    records = [run.about for run in comparison.runs]
    note_trained(next((record for record in records if record.get("trained_parameters")), records[0]))
    console.print(tuning_of(records), style="dim", highlight=False)
    if signs := health_of(comparison).signs:
        console.print(terminal_health(signs), highlight=False)
    write_tables(out, baseline=baseline)
    if tracking.names:
        summary = summarise(results, baseline=baseline, tested=tested)
        tracking.tables("comparison", {"results": text_table(summary)}, note)
    page = write_report(out, projection=projection, baseline=baseline)
    console.print(f"Report: {page}\n", highlight=False, soft_wrap=True)
    flags = flags_of(comparison.about)
    console.print(
        terminal_verdict(
            results,
            tested=tested,
            baseline=baseline,
            source=source,
            flags=flags,
            tuned=tuned_commands(records),
        ),
        highlight=False,
        crop=False,  # a long path in the command stays in one piece
    )
    if failed is not None:
        raise failed
