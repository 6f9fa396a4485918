"""The command `python -m tf_fullbatch.analyze`: questions about trained runs."""

import dataclasses
import sys
from collections.abc import Sequence

from tf_fullbatch.commands import console
from tf_fullbatch.config import cli_flags
from tf_fullbatch.display.tensorflow_log import quiet_tensorflow
from tf_fullbatch.inspection.options import Options
from tf_fullbatch.inspection.registry import QUESTIONS
from tf_fullbatch.settings import flag_parsing
from tf_fullbatch.settings.fields import flag_text
from tf_fullbatch.settings.flag_parsing import help_lines


def parse(argv: Sequence[str]) -> tuple[list[str], Options] | None:
    """The runs' folders and the options that command-line arguments describe; None where they ask for help.

    Args:
        argv: The program's name and its arguments; what does not begin with "-" is a folder, and so is everything
            after "--".

    Raises:
        UserError: An unknown flag, or a value that is refused.
    """
    fields = dataclasses.fields(Options)
    flags, folders = flag_parsing.separated(argv[1:], fields)
    values = flag_parsing.parse([argv[0], *flags], fields)
    if values is None:
        return None
    for name in ("output_dir", "data_dir"):
        if values[name] is not None:
            values[name] = cli_flags.resolved_path(name, values[name])
    return folders, Options(**values)


def help_text() -> str:
    """What the command does, all flags with their defaults, and the options of each question."""
    lines = [
        "usage: python -m tf_fullbatch.analyze RUN_DIR... --what=NAME[,NAME...] [--name=value ...]",
        "",
        "Answers questions about trained weights and keeps the answers, with tables and pictures, in",
        "RUN_DIR/analysis/step-XXXXXXXX-WHAT. The same command again finds them, or goes on with what is lacking;",
        "with other settings it writes to another folder.",
        "",
    ]
    lines += [line for field in dataclasses.fields(Options) for line in help_lines(field)]
    for name, kind in QUESTIONS.items():
        lines += ["", f"Options of {name}, as --what_options={name}.KEY=VALUE,..."]
        for field in dataclasses.fields(kind):
            choices = field.metadata["choices"]
            accepted = f"one of {', '.join(choices)}; " if choices else ""
            default = flag_text(field, field.default) or "unset"
            lines += [
                f"  {name}.{field.name}=({accepted}default {default})",
                f"      {field.metadata['help']}",
            ]
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code; a user's mistake is one line on standard error."""
    kept = "interrupted: what was computed is kept; the same command goes on from there"
    return console.exit_code(argv, parse, help_text, _execute, kept)


def _execute(parsed: tuple[list[str], Options]) -> int:
    folders, options = parsed
    from tf_fullbatch.inspection.plan import places_of, refuse_unlike

    places = places_of(folders, options.step)
    refuse_unlike(options.questions(), places)
    console.use_tensorflow()
    with quiet_tensorflow():  # TensorFlow takes seconds to import
        from tf_fullbatch.inspection.conduct import Conduct
        from tf_fullbatch.inspection.opening import Opener
        from tf_fullbatch.run.given import parts_of
    Conduct(options, Opener(options, parts_of()), sys.stdout, sys.stderr).answers(places)
    return 0
