"""Every entry that has a name, what its values are held against, and the largest error found there.

    MIDMIX_DATA=… python benchmarks/zoo.py > docs/zoo.md        # two minutes

Runs the tests that hold an entry against values which published code gave, and takes from them the largest error,
relative above magnitude 1 and absolute below. Without these values the errors are left out.
"""

from __future__ import annotations

import contextlib
import inspect
import io
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from midmix.cli.methods import KINDS, PAPER, shown_options

PUBLISHED = {
    "cutmix": "mixing/test_mask.py::test_boxes_and_their_realised_share_are_the_authors",
    "resize-mix": "mixing/test_mask.py::test_resize_mix_has_the_published_box_where_it_asks_for_the_same_share",
    "mixup": "mixing/test_frequency.py::test_mixups_loss_is_the_published_one",
    "remix": "mixing/test_frequency.py::test_remix_labels_are_both_published_codes",
    "mamix": "mixing/test_frequency.py::test_mamix_labels_are_the_authors",
    "unimix": "mixing/test_frequency.py::test_unimix_partners_and_shares_are_the_authors",
    "cmo": "mixing/test_frequency.py::test_cmo_foregrounds_are_the_authors",
    "regmixup": "mixing/test_frequency.py::test_regmixup_is_the_authors_loss",
    "focal": "losses/test_reference.py::test_rows_and_slopes_are_those_of_published_code[focal_softmax]",
    "balanced_softmax": "losses/test_reference.py::test_rows_and_slopes_are_those_of_published_code[balanced_softmax]",
    "logit_adjustment (loss)": (
        "losses/test_reference.py::test_rows_and_slopes_are_those_of_published_code[logit_adjust]"
    ),
    "cdt": "losses/test_reference.py::test_rows_and_slopes_are_those_of_published_code[cdt]",
    "vs": "losses/test_reference.py::test_rows_and_slopes_are_those_of_published_code[vs]",
    "lade": "losses/test_reference.py::test_lade_is_that_of_published_code",
    "ldam": "losses/test_reference.py::test_rows_and_slopes_are_those_of_published_code[ldam]",
    "drw": "losses/test_reference.py::test_rows_and_slopes_are_those_of_published_code[ldam_drw]",
    "gcl": "losses/test_reference.py::test_rows_and_slopes_are_those_of_published_code[gcl]",
    "seesaw": "losses/test_reference.py::test_rows_and_slopes_are_those_of_published_code[seesaw]",
    "equalization": "losses/test_reference.py::test_rows_and_slopes_are_those_of_published_code[softmax_eql]",
    "label_aware_smoothing": (
        "losses/test_reference.py::test_rows_and_slopes_are_those_of_published_code[label_aware_smoothing]"
    ),
    "class_weighted": "losses/test_reference.py::test_rows_and_slopes_are_those_of_published_code[cost_sensitive_ce]",
    "effective_number": "losses/test_reference.py::test_rows_and_slopes_are_those_of_published_code[class_balanced_ce]",
    "influence_balanced": "losses/test_reference.py::test_rows_and_slopes_are_those_of_published_code[ib]",
    "supcon": "losses/test_contrastive.py::test_supervised_contrast_is_that_of_published_code",
    "bcl": "losses/test_contrastive.py::test_balanced_contrast_is_that_of_published_code",
    "proco": "losses/test_contrastive.py::test_expected_contrast_is_the_published_formula",
    "square_root": "methods/test_orders.py::test_shares_are_those_of_published_code[sampler_root]",
    "power": "methods/test_orders.py::test_shares_are_those_of_published_code[cmo_sampler]",
    "class_balanced": "methods/test_orders.py::test_shares_are_those_of_published_code[sampler_class_aware]",
    "m_per_class": "methods/test_orders.py::test_shares_are_those_of_published_code[sampler_class_aware]",
    "effective_share": "methods/test_orders.py::test_shares_are_those_of_published_code[sampler_effective_number]",
    "repeat_factor": "methods/test_orders.py::test_shares_are_those_of_published_code[sampler_repeat_factor]",
    "progressive": "methods/test_orders.py::test_progressive_shares_are_those_of_published_code",
    "cosine": "methods/test_heads.py::test_cosines_are_published",
    "ncm": "methods/test_stages.py::test_ncm_is_published",
    "lws": "methods/test_stages.py::test_the_forms_of_lws_and_marc_are_published",
    "marc": "methods/test_stages.py::test_the_forms_of_lws_and_marc_are_published",
    "tau_norm": "methods/test_stages.py::test_tau_norm_is_published",
    "logit_adjustment (stage)": "methods/test_stages.py::test_logit_adjustment_is_published",
}
"""Entry → the test against values that published code gave, and which of its cases."""
OTHERWISE = {
    "erm": ("nothing is mixed", "mixing/test_laws.py::test_weight_one_is_the_identity"),
    "manifold-mixup": (
        "mixing at the input",
        "mixing/test_laws.py::test_mixing_a_hidden_layer_at_the_input_equals_mixing_the_input",
    ),
    "am-mixup": (
        "the law of its partners",
        "mixing/test_pairing.py::test_partners_are_drawn_with_the_chances_of_the_definition",
    ),
    "balanced-am-mixup": (
        "the law of its partners",
        "mixing/test_pairing.py::test_partners_are_drawn_with_the_chances_of_the_definition",
    ),
    "balanced-midpoint": (
        "the law of its partners",
        "mixing/test_pairing.py::test_partners_are_drawn_with_the_chances_of_the_definition",
    ),
    "saliency-mix": (
        "a loop over rows",
        "mixing/test_mask.py::test_the_salient_box_lies_around_the_partners_most_salient_pixel",
    ),
    "otmix": ("a loop", "mixing/test_frequency.py::test_transport_has_its_masses_and_equals_a_loop"),
    "cp-mix": (
        "the law of its partners",
        "mixing/test_frequency.py::test_confused_partners_are_as_often_of_a_class_as_it_is_taken_for",
    ),
    "h2t": (
        "the law of its owners",
        "mixing/test_frequency.py::test_h2t_rows_are_owned_by_classes_in_equal_parts",
    ),
    "cross_entropy": ("torch's", "losses/test_formulas.py::test_what_is_deferred_is_cross_entropy_before"),
    "poly1": ("a loop over rows", "losses/test_formulas.py::test_poly1"),
    "asymmetric": ("a loop over classes", "losses/test_formulas.py::test_asymmetric"),
    "label_smoothing": ("torch's", "losses/test_formulas.py::test_label_smoothing_is_torch_s"),
    "auc_margin": ("a loop over classes", "losses/test_ranking.py::test_auc_margin_is_a_loop_over_classes"),
    "average_precision": (
        "a loop over rows",
        "losses/test_ranking.py::test_average_precision_is_a_loop_over_rows",
    ),
    "ride": ("a loop over experts", "losses/test_experts.py::test_it_is_a_loop_over_experts"),
    "shuffled": ("a loop", "methods/test_orders.py::test_shares_are_those_of_a_plain_loop"),
    "experts": ("a loop over experts", "losses/test_experts.py::test_it_is_a_loop_over_experts"),
    "crt": (
        "the optimum by another optimizer",
        "methods/test_stages.py::test_retraining_reaches_the_optimum_of_class_balanced_cross_entropy",
    ),
    "temperature": (
        "a grid",
        "methods/test_stages.py::test_temperature_is_the_likeliest_and_changes_no_decision",
    ),
    "discriminant (stage)": ("a loop over rows", "methods/test_discriminant.py::test_as_a_loop_over_rows"),
    "discriminant (baseline)": ("a loop over rows", "methods/test_discriminant.py::test_as_a_loop_over_rows"),
    "logistic": (
        "its objective's slope",
        "methods/test_baselines.py::test_logistic_is_where_its_objective_has_no_slope",
    ),
    "ridge": ("normal equations", "methods/test_baselines.py::test_ridge_is_the_weighted_normal_equations"),
    "lda": (
        "the Gaussian posterior",
        "methods/test_baselines.py::test_lda_is_the_gaussian_posterior_with_a_uniform_prior",
    ),
    "hist-gradient-boosting": ("scikit-learn's own", "methods/test_baselines.py::test_every_baseline"),
}
"""Entry → what it is held against where no published values are, and the test."""
HEAD = """# Every entry, and what it is held against

`python benchmarks/zoo.py`, with the values that published code gave (float64, twelve digits). The error is the largest
over all of an entry's values and slopes, relative above magnitude 1 and absolute below; λ of mixes is in float32. Where
code and paper differ, the paper is followed and the docstring says so; `lade` and the stage `logit_adjustment` differ
by what the code adds inside logarithms. `midmix methods NAME` gives formula, shapes, errors and an example of each.
"""


class Errors:
    """A plugin of pytest that keeps the largest difference that each test has seen."""

    def __init__(self) -> None:
        self.found: dict[str, float] = defaultdict(float)
        self.now = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.now = item.nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == "largest error":
                self.found[report.nodeid] = float(value)  # type: ignore[arg-type]

    def see(self, ours: Any, theirs: Any) -> None:
        one, other = (np.asarray(torch.as_tensor(x).detach(), dtype=float) for x in (ours, theirs))
        if one.size:
            error = np.abs(one - other) / np.maximum(np.abs(other), 1)
            self.found[self.now] = max(self.found[self.now], float(error.max()))


class Watched:
    """What `pytest.approx` gives, which is told of what it is compared with."""

    def __init__(self, real: Any, expected: Any, errors: Errors) -> None:
        self.real, self.expected, self.errors = real, expected, errors

    def __eq__(self, actual: object) -> bool:
        self.errors.see(actual, self.expected)
        return bool(actual == self.real)

    __hash__ = None  # type: ignore[assignment]


def measure() -> dict[str, float]:
    """The largest error of each test and case."""
    errors = Errors()
    close: Callable[..., None] = torch.testing.assert_close
    approx: Callable[..., Any] = pytest.approx

    def watched_close(actual: Any, expected: Any, **options: Any) -> None:
        errors.see(actual, expected)
        close(actual, expected, **options)

    def watched_approx(expected: Any, *args: Any, **options: Any) -> Watched:
        return Watched(approx(expected, *args, **options), expected, errors)

    torch.testing.assert_close = watched_close
    pytest.approx = watched_approx  # type: ignore[assignment]
    nodes = sorted({f"tests/{node.partition('[')[0]}" for node in PUBLISHED.values()})
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            pytest.main(["-q", "-p", "no:cacheprovider", *nodes], plugins=[errors])
    finally:
        torch.testing.assert_close, pytest.approx = close, approx
    return dict(errors.found)


def rows() -> list[tuple[str, str, str, str, str, str]]:
    """Kind, entry, paper, options, what it is held against, and the test."""
    found = []
    for kind, (_, registry) in KINDS.items():
        for name in sorted(registry.names()):
            make = registry.find(name)
            paper = PAPER.search(inspect.getdoc(make) or "")
            options = ", ".join(f"{o}={value}" for o, value in shown_options(kind, name, make).items())
            one = {"losses": "loss", "stages": "stage", "baselines": "baseline"}.get(kind, kind)
            entry = next(
                (key for key in (name, f"{name} ({one})") if key in PUBLISHED or key in OTHERWISE), name
            )
            against, test = (
                ("published code", PUBLISHED[entry]) if entry in PUBLISHED else OTHERWISE.get(entry, ("", ""))
            )
            found.append((kind, name, "" if paper is None else f"arXiv {paper[1]}", options, against, test))
    return found


def page(errors: dict[str, float]) -> str:
    """The page in Markdown."""
    counts = {kind: len(registry.names()) for kind, (_, registry) in KINDS.items()}
    listed = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    most = max(errors.values(), default=None)
    lines = [
        HEAD,
        f"{sum(counts.values())} entries: {listed}. Every loss goes with every mix, "
        f"{counts['losses'] * counts['mixes']} pairs (`test_every_loss_goes_with_every_recipe`); each entry and each "
        "of its options changes what a comparison finds (`test_an_entry_and_each_of_its_options_change_the_results`)"
        + ("." if most is None else f"; the largest error against published code is {most:.0e}.")
        + "\n",
    ]
    for kind in KINDS:
        ours = [row for row in rows() if row[0] == kind]
        lines.append(f"## {kind.capitalize()}: {len(ours)}\n")
        lines.append(
            "| entry | paper | options | held against | largest error | test |\n|---|---|---|---|---|---|"
        )
        for _, name, paper, options, against, test in ours:
            function, _, case = test.partition("[")
            values = [
                value
                for node, value in errors.items()
                if node.startswith(f"tests/{function}")
                and (not case or case.rstrip("]") in node.partition("[")[2].rstrip("]").split("-"))
            ]
            worst = f"{max(values):.0e}" if values else ""
            lines.append(
                f"| `{name}` | {paper} | {options} | {against} | {worst} | `{function.rpartition('::')[2]}` |"
            )
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    print(page(measure()), end="")
