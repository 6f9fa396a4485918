"""A command's way out: exit codes, closed pipes, and streams of any encoding."""

import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

from tf_fullbatch.errors import Outcome, RunError, in_flags_words
from tf_fullbatch.version import __version__

Parsed = TypeVar("Parsed")
_BROKEN_PIPE = 128 + 13
"""Exit code where the output's reader went away: what a shell reports of a process ended by SIGPIPE."""


def run_command(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Calls a command with this process' arguments and exits with its code."""
    _make_streams_usable()
    try:
        code = main(sys.argv)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output went away, as `| head` does
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        code = _BROKEN_PIPE
    sys.exit(code)


def exit_code(
    argv: Sequence[str],
    parse: Callable[[Sequence[str]], Parsed | None],
    help_text: Callable[[], str],
    execute: Callable[[Parsed], int],
    interrupted: str,
) -> int:
    """Runs a command, or shows its help or the version.

    What a user can act on is one line on standard error, not a traceback.

    Args:
        argv: The program's name and its arguments.
        parse: Makes of them what is to be done; None where they ask for help.
        help_text: What the command does, and its flags.
        execute: Does it and returns an exit code.
        interrupted: What to say where Ctrl-C ends it.
    """
    if list(argv[1:]) == ["--version"]:
        print(f"tf_fullbatch {__version__}")
        return 0
    try:
        with in_flags_words():
            parsed = parse(argv)
            if parsed is None:
                print(help_text())
                return 0
            return execute(parsed)
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.outcome.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        return Outcome.USER_ERROR.exit_code
    except KeyboardInterrupt:
        print(f"error: {interrupted}", file=sys.stderr)
        return Outcome.INTERRUPTED.exit_code


def use_tensorflow() -> None:
    """Has Keras compute with TensorFlow, whatever the shell or ~/.keras/keras.json say; before it is imported."""
    os.environ["KERAS_BACKEND"] = "tensorflow"


def _make_streams_usable() -> None:
    """Lets output go nowhere where its stream was closed, and be escaped where its encoding lacks a character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # The lowest free descriptor: the closed one itself, so that TensorFlow's C++ finds it open too.
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115, open to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
