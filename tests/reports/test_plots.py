"""Figures are found by name, in our files and in installed packages."""

from importlib.metadata import entry_points

import numpy as np
import pytest
import torch

from midmix.errors import InputError
from midmix.reports.plots import FIGURES, Material, drawings
from midmix.reports.subjects import Classes, Output, Subject


def _material(generator):
    labels = torch.arange(40) % 4
    output = Output(torch.randn(40, 3, generator=generator), labels, torch.randn(40, 4, generator=generator))
    return Material([Subject(0, "erm", [output])], Classes([*"abcd"], np.array([9, 5, 3, 1])))


OWN = """
import pandas as pd
from midmix.reports.drawing import Drawing, panel
from midmix.reports.plots import Plot

def draw(material):
    numbers = pd.DataFrame({"lines": [len(material.subjects)]})
    return Drawing("own", "Own", "One's own.", [panel("own", "", 2.0, lambda figure: figure.subplots())], numbers)

OWN = Plot("own", "outcomes", 1.5, draw)
"""


def test_every_file_with_a_figure_is_found():
    assert set(FIGURES.names()) == {
        "accuracy-by-count", "differences", "training-curves", "collapse", "margins", "projection", "centres",
        "reliability", "confusion", "precision-recall", "cost-by-threshold",
    }  # fmt: skip
    assert len({(one.section, one.order) for one in map(FIGURES.find, FIGURES.names())}) == 11


def test_what_the_material_lacks_is_left_out_and_the_rest_is_in_the_order_of_the_page(generator):
    names = [one.name for one in drawings(_material(generator))]
    assert names == ["accuracy-by-count", "margins", "projection", "centres", "reliability", "confusion"]
    assert [one.name for one in drawings(_material(generator), "outcomes")] == ["accuracy-by-count"]
    assert drawings(Material([], Classes([]))) == []


def test_an_installed_packages_figure_stands_where_it_asks_to(generator, tmp_path, monkeypatch):
    (tmp_path / "figure_of_others.py").write_text(OWN)
    about = tmp_path / "figure_of_others-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: figure-of-others\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[midmix.figures]\nown = figure_of_others:OWN\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = {entry.name: entry for entry in entry_points(group="midmix.figures")}
    monkeypatch.setitem(FIGURES.__dict__, "_entries", found)  # looked for once a process
    assert [one.name for one in drawings(_material(generator), "outcomes")] == ["accuracy-by-count", "own"]


def test_an_unknown_figure_is_named_with_the_nearest():
    with pytest.raises(InputError, match="unknown figure 'margin': did you mean margins"):
        FIGURES.find("margin")
