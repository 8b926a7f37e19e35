"""A matplotlib figure as SVG: a file of its own, and a part of the page that follows its colours."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape

from matplotlib.figure import Figure

from midmix.reports.theme import VARIABLES, drawing

_TAG = re.compile(r"<[^<>]+>")  # text and attributes have < and > escaped, so this never reaches into a name
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_FONT = re.compile(r"(font-family: |font: [^;\"]*?px )[^;\"]*")
_ID = re.compile(r'( id="|url\(#|xlink:href="#)')
_NAME = re.compile(r' id="[^"]*"')
_SIZE = re.compile(r' (?:width|height)="[^"]*"')
_DIGITS = re.compile(r"(\.\d\d)\d+")
_GLOBAL_STYLE = re.compile(r"<defs>\s*<style.*?</style>\s*</defs>\s*", re.DOTALL)
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_FAMILY = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def to_svg(figure: Figure) -> str:
    """The figure as an SVG document: light colours, transparent background, the same bytes every time."""
    buffer = io.StringIO()
    with drawing():
        figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
    return _in_tags(buffer.getvalue(), lambda tag: _FONT.sub(rf"\g<1>{_FAMILY}", tag))


def inline(svg: str, *, name: str, title: str) -> str:
    """The SVG element for the page: theme variables for colours, ids that are the figure's own, no fixed size.

    ``name`` is a slug; ``title`` is what a screen reader says, and is escaped here.
    """
    opening, rest = _GLOBAL_STYLE.sub("", svg[svg.index("<svg") :], count=1).split(">", 1)
    opening = _SIZE.sub("", opening).replace(
        "<svg", f'<svg role="img" aria-label="{escape(title, quote=True)}"'
    )
    return opening + ">" + re.sub(r"\n\s*", "\n", _in_tags(rest, lambda tag: _part(tag, name)))


def _part(tag: str, name: str) -> str:
    if tag.startswith("<image"):  # pixel data, and a transform that needs all its digits
        return _NAME.sub("", tag)
    if tag.startswith("<g "):  # groups are named by kind and number; nothing refers to them
        tag = _NAME.sub("", tag)
    tag = _COLOUR.sub(lambda colour: VARIABLES.get(colour.group(), colour.group()), tag)
    return _ID.sub(rf"\g<1>{name}-", _DIGITS.sub(r"\1", tag))


def _in_tags(svg: str, change: Callable[[str], str]) -> str:
    return _TAG.sub(lambda tag: change(tag.group()), svg)
