"""What a model is, on what it was trained and how good it is, as one page of Markdown."""

from __future__ import annotations

import math
from pathlib import Path

from midmix.decisions import for_own_prior
from midmix.errors import InputError
from midmix.measures import classification
from midmix.training import finished, read_predictions, trained_prior
from midmix.training.run_folder import TEST, check_trained


def model_card(folder: Path) -> str:
    """The card of a finished run; names of the user's are escaped.

    Raises:
        InputError: there is no finished run.
    """
    record = finished(folder)
    if record is None:
        raise InputError(f"{folder}: holds no finished run; name a run's folder")
    check_trained(record, folder)
    lines = [
        f"# {_cell(record['method'])} on {_cell(Path(record['source']).name)}",
        "",
        f"Trained with [midmix](https://arxiv.org/abs/2401.14696) {record['versions'].get('midmix', '')}: network "
        f"`{record['network']}`, {record['parameters']:,} parameters, seed {record['seed']}.",
        "",
        f"It takes rows of shape {record['shape']} and gives logits of {len(record['classes'])} classes.",
    ]
    if (folder / TEST).is_file():
        tested = read_predictions(folder)
        trained = trained_prior(record)
        log_p = None if trained is None else for_own_prior(trained, tested.logits, tested.labels)
        found = classification(tested.logits, tested.labels, record["class_counts"], log_probabilities=log_p)
        totals = {
            "accuracy %": 100 * found.accuracy,
            "balanced accuracy %": 100 * found.balanced_accuracy,
            "macro F1 %": 100 * found.macro_f1,
            "NLL (nats)": found.nll if record["probabilities"] else math.nan,
            "ECE %": 100 * found.ece if record["probabilities"] else math.nan,
        }
        lines += [
            "",
            f"## On {len(tested.labels):,} test rows, last epoch",
            "",
            f"| {' | '.join(totals)} |",
            "|" + "---|" * len(totals),
            "| "
            + " | ".join("–" if math.isnan(value) else f"{value:.3g}" for value in totals.values())
            + " |",
            "",
            "| class | training rows | accuracy % |",
            "|---|---|---|",
            *(
                f"| {_cell(name)} | {count:,} | {'–' if math.isnan(share) else f'{100 * share:.1f}'} |"
                for name, count, share in zip(
                    record["classes"], record["class_counts"], found.per_class.tolist(), strict=True
                )
            ),
        ]
    if record["columns"]:
        lines += ["", f"Columns: {', '.join(_cell(name) for name in record['columns'][:50])}."]
    lines += [
        "",
        "Test rows are of the same source as the training rows; elsewhere it may be worse.",
        "",
    ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Text in which nothing is markup."""
    flat = " ".join(str(text).split())
    for sign, shown in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        flat = flat.replace(sign, shown)
    return "".join(f"\\{sign}" if sign in "\\|`*_[]#" else sign for sign in flat)
