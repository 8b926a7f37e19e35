"""The verdict of a transfer: from which method's features the members of groups are told apart best."""

from __future__ import annotations

from collections.abc import Sequence

from midmix.methods import Method
from midmix.reports.lines import baseline_of
from midmix.reports.pairs import pairs_of
from midmix.reports.transferred import BOUNDS, TRANSFER_COLUMNS, Transferred
from midmix.reports.verdict import Finding, Next, Verdict, verdict_with

TRANSFER_AIMS = {
    "accuracy": "Linear probe",
    "knn_accuracy": "Nearest neighbours",
    "finetuned_accuracy": "Fine-tuning",
    "nll": "Likelihood of the linear probe",
    "coarse_accuracy": "The groups themselves",
}
"""Measure → what one aims at with it, in the order of the page."""
MOST_SEEDS = 100
"""More seeds than this are no advice."""


def transfer_verdict(found: Transferred, again: Sequence[str] = ()) -> Verdict:
    """Which method for which aim, as `verdict_of` has it for a comparison; the bounds take no part.

    Args:
        found: as `read_transfer` reads it.
        again: the command that went before, without methods, seeds and its folder; made of the record where it is
            not known.
    """
    results = found.results[~found.results["method"].isin(BOUNDS)]
    baseline = baseline_of(results, None)
    columns = found.known([column for column in TRANSFER_COLUMNS if column.name in TRANSFER_AIMS])
    every = pairs_of(results, columns, tested=found.tested, baseline=baseline)
    repeat = list(again) or ["midmix", "transfer", str(found.comparison.about.get("source", "SOURCE"))]

    def steps(findings: Sequence[Finding], lines: Sequence[str]) -> list[Next]:
        won: dict[str, list[str]] = {}
        for one in findings:
            if one.wins:
                won.setdefault(one.line, []).append(one.aim.lower())
        if won:
            return [
                Next(
                    f"{line}'s encoders are kept (best for {', '.join(aims)}); what one of them knows:",
                    analyze(line),
                )
                for line, aims in won.items()
            ]
        seeds = next((one.seeds for one in findings if one.seeds), None)
        if findings and seeds is not None and seeds <= MOST_SEEDS:
            command = [*repeat, "--methods", ",".join(lines), "--seeds", str(seeds)]
            why = f"To decide {next(one.aim.lower() for one in findings if one.seeds)}, with what is there kept:"
            return [Next(why, [*command, "--out", str(found.comparison.folder)])]
        line = baseline if baseline in lines else lines[0]
        return [Next(f"No line is shown to beat {line}; what its encoder knows:", analyze(line))]

    def analyze(line: str) -> list[str]:
        seed = int(results.loc[results["method"] == line, "seed"].min())
        run = found.comparison.folder / "runs" / f"{Method.read(line).slug}-seed{seed}"
        return ["midmix", "analyze", str(run)]

    return verdict_with(every, TRANSFER_AIMS, steps)
