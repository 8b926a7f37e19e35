"""A study's file: what it stands for, and what is said of one that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from midmix.errors import InputError
from midmix.studies import Grid, read_grid

WHOLE = """
methods: [erm, "balanced-midpoint:ratio={ratio}+{loss}", "am-mixup+{loss}"]
options: {ratio: [0.5, 0.75], loss: [balanced_softmax, cross_entropy]}
settings: {epochs: 3, network: mlp-8}
seeds: 4
measures: [balanced_accuracy, nll]
baseline: erm
oracle: "balanced-midpoint:ratio={ratio}+{loss}"
sets:
  digits: {source: digits, imbalance: [10, 50], profile: step, epochs: 5}
  other: {source: digits, label: y}
"""


def read(tmp_path: Path, text: str) -> Grid:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return read_grid(path)


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(tmp_path / "study.yaml"))
    return message


def test_every_combination_of_a_methods_own_options_is_a_line(tmp_path):
    grid = read(tmp_path, WHOLE)
    assert [str(line) for line in grid.lines] == [
        "erm",
        "balanced-midpoint:ratio=0.5+balanced_softmax",
        "balanced-midpoint:ratio=0.5",
        "balanced-midpoint:ratio=0.75+balanced_softmax",
        "balanced-midpoint:ratio=0.75",
        "am-mixup+balanced_softmax",
        "am-mixup",
    ]
    assert grid.lines[3].values == {"ratio": 0.75, "loss": "balanced_softmax"}
    assert (grid.seeds, grid.baseline, grid.measures) == (4, "erm", ("balanced_accuracy", "nll"))


def test_a_list_in_a_set_makes_a_set_for_each_value_and_a_sets_setting_precedes_the_shared_one(tmp_path):
    ten, fifty, other = read(tmp_path, WHOLE).sets
    assert (ten.name, fifty.name) == ("digits-imbalance=10", "digits-imbalance=50")
    assert ten.split == {"imbalance": 10, "profile": "step"}
    assert ten.settings == {"epochs": 5, "network": "mlp-8"}
    assert other.settings["epochs"] == 3
    assert other.reading == {"label": "y"}


def test_a_source_may_name_the_environments_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", "/data")
    (one,) = read(tmp_path, "methods: [erm]\nsets: {a: {source: $PLACE/x.csv}}").sets
    assert one.source == "/data/x.csv"
    monkeypatch.delenv("PLACE")
    assert "a variable" in complaint(tmp_path, "methods: [erm]\nsets: {a: {source: $PLACE/x.csv}}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("methods: [erm]", "sets: are missing"),
        ("sets: {a: {source: digits}}", "methods: are missing"),
        ("method: [erm]", "did you mean methods?"),
        ("- erm", "line 1 begins a list"),
        ("methods: [erm\nsets:", "line 2 is not YAML"),
        ("methods: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("methods: [ermm]\nsets: {a: {source: digits}}", "did you mean erm"),
        ("methods: [{erm: 1}]\nsets: {a: {source: digits}}", "give a list of texts"),
        ("methods: [erm, erm]\nsets: {a: {source: digits}}", "more than once"),
        ("methods: ['mixup:alpha={alhpa}']\noptions: {alpha: [1]}\nsets: {a: {source: digits}}", "did you mean alpha"),
        ("methods: [erm]\noptions: {alpha: [1]}\nsets: {a: {source: digits}}", "alpha stands in no method"),
        ("methods: ['mixup:alpha={a}']\noptions: {a: []}\nsets: {a: {source: digits}}", "options: a: give a list"),
        ("methods: [erm]\nsets: {a: {sources: digits}}", "did you mean source"),
        ("methods: [erm]\nsets: {a: {source: digits, imbalnce: 5}}", "did you mean imbalance"),
        ("methods: [erm]\nsets: {a: digits}", "set a: give what it is"),
        ("methods: [erm]\nsets: {../a: {source: digits}}", "is to name a folder"),
        ("methods: [erm]\nsets: {a: {imbalance: 5}}", "a source is missing"),
        ("methods: [erm]\nsets: {a: {source: digits}}\nsettings: {epoch: 1}", "did you mean epochs"),
        ("methods: [erm]\nsets: {a: {source: digits}}\nseeds: 0", "seeds: 0; give a whole number of 1 or more"),
        ("methods: [erm]\nsets: {a: {source: digits}}\nseeds: true", "seeds: True"),
        ("methods: [erm]\nsets: {a: {source: digits}}\nmeasures: [acuracy]", "did you mean accuracy"),
        ("methods: [erm]\nsets: {a: {source: digits}}\nbaseline: mixup", "unknown baseline 'mixup'"),
        ("methods: [erm]\nsets: {a: {source: digits}}\noracle: mixup", "unknown oracle 'mixup'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(tmp_path, text, said):
    assert said in complaint(tmp_path, text)
