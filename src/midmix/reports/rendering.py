"""Templates, figures and files: what every page needs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from midmix.files import atomic_write
from midmix.reports import theme
from midmix.reports.commands import paste
from midmix.reports.drawing import Drawing, Published, publish, shorten


def publish_all(drawings: Iterable[Drawing | None], folder: Path) -> list[Published]:
    """Write every drawing there is; figures that lack their data are not in the report."""
    folder.mkdir(parents=True, exist_ok=True)
    return [publish(drawing, folder) for drawing in drawings if drawing is not None]


def render(template: str, **context: Any) -> str:
    """A page from its template; every value is escaped, and only drawings and colours are markup."""
    colours = {"light": theme.variables(dark=False), "dark": theme.variables(dark=True)}
    return environment().get_template(template).render(**context, colours=colours)


def environment() -> Environment:
    """Where the templates are found, and what they may use."""
    found = Environment(
        loader=PackageLoader("midmix.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["markup"] = Markup
    found.filters["shorten"] = shorten
    found.filters["paste"] = paste
    return found


def save(html: str, folder: Path) -> Path:
    """Write the page whole or not at all."""
    path = folder / "report.html"
    with atomic_write(path) as part:
        part.write_text(html, encoding="utf-8")
    return path
