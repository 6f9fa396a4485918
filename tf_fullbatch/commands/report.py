"""The command `python -m tf_fullbatch.report`: compares runs by their records; imports no TensorFlow."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from tf_fullbatch.commands import console
from tf_fullbatch.config import cli_flags
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import flag_parsing
from tf_fullbatch.settings.fields import check_ranges, setting
from tf_fullbatch.settings.flag_parsing import help_lines

_MOST_LINES = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The report's settings; each is a flag of the same name."""

    output_dir: str | None = setting(
        None, "Folder to write the report to. Unset: STUDY_DIR/report; to be given with several folders."
    )
    title: str | None = setting(
        None, "Heading of the report. Unset: the studies' own, where all is of studies."
    )
    compare: tuple[str, ...] = setting(
        (),
        "'A,B': report the difference of arms A - B, seed by seed, beside those of the studies. Once per pair; unset "
        "and without a study's: every arm minus the first.",
        repeated=True,
    )

    def __post_init__(self) -> None:
        check_ranges(self)


def parse(argv: Sequence[str]) -> tuple[list[str], Options] | None:
    """The folders to read and the options that command-line arguments describe; None where they ask for help.

    Args:
        argv: The program's name and its arguments; what does not begin with "-" is a folder, and so is everything
            after "--".

    Raises:
        UserError: An unknown flag, a value that is refused, no folder, or no place for the report.
    """
    flags, folders = flag_parsing.separated(argv[1:], dataclasses.fields(Options))
    values = flag_parsing.parse([argv[0], *flags], dataclasses.fields(Options))
    if values is None:
        return None
    if values["output_dir"] is not None:
        values["output_dir"] = cli_flags.resolved_path("output_dir", values["output_dir"])
    options = Options(**values)
    if "" in folders:
        raise UserError(
            "a folder's name is empty: give a study or run folder, such as runs/studies/digits_ladder."
        )
    if not folders:
        raise UserError("no folder to report on: name one or more study or run folders (--help says more).")
    if len(folders) > 1 and options.output_dir is None:
        raise UserError(
            f"{len(folders)} folders without --output_dir: say where the report is to be written."
        )
    return folders, options


def help_text() -> str:
    """What the command does, and all flags with their defaults."""
    lines = [
        "usage: python -m tf_fullbatch.report STUDY_DIR... [--name=value ...]",
        "",
        "Writes from the records of runs (of studies, of single runs, or of all anywhere below a folder): report.html,",
        "report.md, results.csv (a line per run), arms.csv and arms.tex (a line per arm), measured.csv (what runs",
        "measured along training, by arm and step), and plots/ as PNG, SVG, PDF.",
        "Runs that differ by their seed alone make one arm.",
        "",
    ]
    return "\n".join(lines + [line for field in dataclasses.fields(Options) for line in help_lines(field)])


def execute(folders: Sequence[str], options: Options) -> None:
    """Reads the records, writes the report, prints the table of arms and where the report is."""
    from tf_fullbatch.display.text import counted, format_table
    from tf_fullbatch.report.write import write_report  # pandas, SciPy and matplotlib take a second or two

    written = write_report(folders, options.output_dir, options.title, options.compare)
    table = written.shown
    print(format_table(table.headers, table.rows[:_MOST_LINES], table.align))
    if len(table.rows) > _MOST_LINES:
        print(f"and {len(table.rows) - _MOST_LINES} more arms")
    for line in written.missing[:_MOST_LINES]:
        print(f"missing: {line}")
    if len(written.missing) > _MOST_LINES:
        print(f"missing: {counted(len(written.missing) - _MOST_LINES, 'line')} more, in the report")
    for path in written.paths:
        print(f"wrote {path}")


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code; a user's mistake is one line on standard error."""
    again = "interrupted: the report may be incomplete; run the command again"
    return console.exit_code(argv, parse, help_text, _run, again)


def _run(parsed: tuple[list[str], Options]) -> int:
    execute(*parsed)
    return 0
