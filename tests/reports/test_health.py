"""What the rules of health found, in the terminal and on the page."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from midmix.reports import health_of, read_comparison, terminal_health
from midmix.reports.health import Health
from midmix.reports.rendering import environment

FOUND = {
    "rule": "ratio_stuck",
    "heading": "λ stuck near 1",
    "seen": "λ was 0.97 <b>in</b> the last epoch",
    "remedy": "train longer",
}


def shown(found: Health) -> str:
    """The page's section."""
    template = '{% import "parts.html.j2" as parts %}{{ parts.health(found) }}'
    return environment().from_string(template).render(found=found).strip()


@pytest.fixture
def examined(make_comparison, tmp_path):
    """Two lines, two seeds; one run has a finding, none of the others has."""
    folder = make_comparison(tmp_path / "c", lines=(("erm", "cross_entropy"), ("am-mixup", "ldam")), seeds=2)
    for path in sorted(folder.glob("runs/*/run.json")):
        about = json.loads(path.read_text())
        sick = about["method"] == "am-mixup" and about["seed"] == 1
        path.write_text(json.dumps({**about, "health": [FOUND] if sick else []}))
    return folder


def test_a_sign_names_its_lines_its_runs_and_what_to_do(examined):
    found = health_of(read_comparison(examined))
    assert found.examined == 4
    (sign,) = found.signs
    assert sign.lines == ("am-mixup+ldam (1 of 2 runs)",)
    assert sign.seen == "am-mixup+ldam, seed 1: λ was 0.97 <b>in</b> the last epoch"
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(terminal_health(found.signs))
    text = " ".join(capture.get().split())
    assert "λ stuck near 1: am-mixup+ldam (1 of 2 runs)" in text
    assert "To do: train longer." in text


def test_a_remedy_that_is_a_setting_comes_with_the_command(examined):
    path = next(
        path for path in sorted(examined.glob("runs/*/run.json")) if json.loads(path.read_text())["health"]
    )
    about = json.loads(path.read_text())
    about["health"] = [{**FOUND, "change": {"epochs": 24}}]
    path.write_text(json.dumps({**about, "source": "<b>my data", "reading": {}}))
    found = health_of(read_comparison(examined))
    (sign,) = found.signs
    command = list(sign.command)
    assert command[:5] == ["midmix", "train", "<b>my data", "--method", "am-mixup+ldam"]
    assert command[command.index("--epochs") + 1] == "24"
    assert command[-4:] == ["--seed", "1", "--out", "again"]
    assert "&#39;&lt;b&gt;my data&#39; --method" in shown(found)
    console = Console(width=60, force_terminal=False)
    with console.capture() as capture:
        console.print(terminal_health(found.signs))
    assert "midmix train '<b>my data' --method am-mixup+ldam \\\n" in capture.get()


def test_the_page_shows_it_escaped_with_every_rule(examined):
    section = shown(health_of(read_comparison(examined)))
    assert "am-mixup+ldam (1 of 2 runs)" in section
    assert "&lt;b&gt;in&lt;/b&gt;" in section
    assert "To do: train longer." in section
    assert "nothing was learned" in section, "the rules are stated"


def test_of_healthy_runs_it_is_said_and_of_runs_of_old_nothing(examined):
    for path in examined.glob("runs/*/run.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "health": []}))
    assert "No sign of failure in 4 runs." in shown(health_of(read_comparison(examined)))
    for path in examined.glob("runs/*/run.json"):
        about = json.loads(path.read_text())
        del about["health"]
        path.write_text(json.dumps(about))
    assert shown(health_of(read_comparison(examined))) == ""
