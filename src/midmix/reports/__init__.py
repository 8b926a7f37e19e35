"""Results in, tables and pages out."""

from __future__ import annotations

from midmix.reports.analysis import write_analysis
from midmix.reports.collapse import collapse_measures
from midmix.reports.commands import flags_of, given_flags, source_of, tuned_commands, tuning_of
from midmix.reports.comparison import read_comparison
from midmix.reports.evaluation import write_evaluation
from midmix.reports.figures.projection import check_projection
from midmix.reports.health import health_of, terminal_health
from midmix.reports.markdown import markdown_table, text_table, write_tables
from midmix.reports.outcomes import tested_runs
from midmix.reports.page import write_report
from midmix.reports.study import read_study, terminal_study, write_study
from midmix.reports.subjects import Output
from midmix.reports.summary import summarise
from midmix.reports.terminal import terminal_table
from midmix.reports.transfer import terminal_transfer_verdict, transfer_table, write_transfer
from midmix.reports.transferred import read_transfer
from midmix.reports.verdict import terminal_verdict, verdict_of

__all__ = [
    "Output",
    "check_projection",
    "collapse_measures",
    "flags_of",
    "given_flags",
    "health_of",
    "markdown_table",
    "read_comparison",
    "read_study",
    "read_transfer",
    "source_of",
    "summarise",
    "terminal_health",
    "terminal_study",
    "terminal_table",
    "terminal_transfer_verdict",
    "terminal_verdict",
    "tested_runs",
    "text_table",
    "transfer_table",
    "tuned_commands",
    "tuning_of",
    "verdict_of",
    "write_analysis",
    "write_evaluation",
    "write_report",
    "write_study",
    "write_tables",
    "write_transfer",
]
