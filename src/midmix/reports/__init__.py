"""Results in, tables and pages out."""

from __future__ import annotations

from midmix.reports.page import write_report
from midmix.reports.summary import summarise
from midmix.reports.terminal import terminal_table

__all__ = ["summarise", "terminal_table", "write_report"]
