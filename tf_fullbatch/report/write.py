"""A report from the folders of studies and runs, in one call: the command and `tf_fullbatch.write_report`."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from tf_fullbatch.errors import UserError
from tf_fullbatch.report.loading import load
from tf_fullbatch.report.page import Written, write_page

Folder = str | os.PathLike[str]


def write_report(
    folders: Folder | Sequence[Folder],
    output_dir: Folder | None = None,
    title: str | None = None,
    compare: Sequence[str | tuple[str, str]] = (),
) -> Written:
    """Compares runs by their records and writes the report: pages, tables and figures (docs/studies.md).

    Args:
        folders: One or several folders: of studies, of runs, or with runs anywhere below.
        output_dir: Where the report goes; None for FOLDER/report of a single folder.
        title: Its heading; None for the studies' own, or "Comparison of runs".
        compare: Pairs of arms, ("A", "B") or "A,B": the difference A - B, seed by seed, beside those of the studies.

    Returns:
        `table` (a line per arm: mean, sample standard deviation and number of seeds of every figure, and the costs),
        `paths` of what was written, `shown`, the table as text, and `missing`, a line for what could not be reported.

    Raises:
        UserError: A folder without runs, an arm that is not there, or a place that cannot be written.
    """
    given = [folders] if isinstance(folders, str | os.PathLike) else list(folders)
    if not given:
        raise UserError("folders is empty: name one or more study or run folders.")
    if len(given) > 1 and output_dir is None:
        raise UserError(f"{len(given)} folders without output_dir: say where the report is to be written.")
    if isinstance(compare, str):
        raise UserError(f"compare={compare!r}: expected a list of pairs, such as [('a', 'b')].")
    comparison = load(given, [pair if isinstance(pair, str) else ",".join(pair) for pair in compare])
    if title is not None:
        comparison = dataclasses.replace(comparison, title=title)
    return write_page(comparison, Path(given[0]) / "report" if output_dir is None else Path(output_dir))
