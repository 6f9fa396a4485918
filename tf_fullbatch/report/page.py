"""The report of a comparison: report.html, report.md, its tables for other programs and papers, and the figures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from tf_fullbatch.records.files import os_errors_as_user_errors, write_text
from tf_fullbatch.report import latex, tables, wording
from tf_fullbatch.report.aggregate import aggregated, aggregated_csv
from tf_fullbatch.report.arms import Comparison
from tf_fullbatch.report.differences import paired_differences
from tf_fullbatch.report.measured import measured_csv
from tf_fullbatch.report.pictures import Pictures
from tf_fullbatch.report.run_results import results_csv
from tf_fullbatch.report.sweeps import sweeps_of

_PLOTS = "plots"
_MOST_LINES = 12
"""So many lines of what is missing are shown unfolded."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        table: One line per arm: mean, sample standard deviation and number of seeds of every figure, and costs.
        paths: The files and the folder of the figures.
        shown: The table of arms as text.
        missing: What the report lacks and why, a line each.
    """

    table: pd.DataFrame
    paths: tuple[Path, ...]
    shown: tables.Table
    missing: tuple[str, ...]


def write_page(comparison: Comparison, folder: Path) -> Written:
    """Writes the report, each file whole.

    Raises:
        UserError: The folder or a file in it cannot be written.
    """
    with os_errors_as_user_errors(folder):
        (folder / _PLOTS).mkdir(parents=True, exist_ok=True)
        for old in (folder / _PLOTS).glob("*.*"):  # of a comparison that had other figures
            old.unlink()
    table = aggregated(comparison)
    shown = tables.arms_table(comparison, table)
    files = _write_tables(comparison, table, shown, folder)
    differences = paired_differences(comparison)
    pictures = Pictures(comparison, folder / _PLOTS)
    missing = comparison.missing()
    context: dict[str, Any] = {
        "title": comparison.title,
        "facts": list(wording.facts(comparison)),
        "results": shown,
        "results_notes": list(wording.results_notes(comparison)),
        "sources": tables.sources_of(comparison),
        "missing": missing[:_MOST_LINES],
        "missing_more": missing[_MOST_LINES:],
        "sections": pictures.sections(sweeps_of(comparison)),
        "differences": tables.differences_table(comparison, differences),
        "difference_pictures": pictures.differences(differences),
        "settings": tables.settings_table(comparison),
    }
    environment = _environment()
    pages = ("report.html", "report.md")
    for name in pages:
        write_text(folder / name, environment.get_template(f"{name}.j2").render(context))
    paths = tuple(folder / name for name in (*pages, *files, _PLOTS))
    return Written(table, paths, shown, tuple(missing))


def _write_tables(
    comparison: Comparison, table: pd.DataFrame, shown: tables.Table, folder: Path
) -> list[str]:
    """Writes the tables as files of their own; returns their names."""
    texts = {
        "results.csv": results_csv(comparison),
        "arms.csv": aggregated_csv(table, tables.settings_of_arms(comparison)),
        "arms.tex": latex.arms_table(comparison, shown),
    }
    along = measured_csv(comparison)
    if along is not None:
        texts["measured.csv"] = along
    else:  # of a comparison that measured
        (folder / "measured.csv").unlink(missing_ok=True)
    for name, text in texts.items():
        write_text(folder / name, text)
    return list(texts)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tf_fullbatch.report"),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = markdown_text
    return environment


def markdown_text(text: str) -> str:
    """Text as a cell or a line of Markdown: nothing in it is read as markup."""
    for mark in "\\`*[]|":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())
