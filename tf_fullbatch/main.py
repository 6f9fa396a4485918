"""The command `python -m tf_fullbatch.main`: trains or evaluates as its flags say."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tf_fullbatch import cli_flags
from tf_fullbatch.outcomes import Outcome, RunError

_BROKEN_PIPE = 128 + 13
"""Exit code where the output's reader went away: what a shell reports of a process ended by SIGPIPE."""


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code; a user's mistake is one line on standard error."""
    try:
        config = cli_flags.parse(argv)
        if config is None:
            print(cli_flags.help_text())
            return 0
        os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the shell or ~/.keras/keras.json say
        with contextlib.nullcontext() if config.runtime.tensorflow_log else quiet_tensorflow():
            from tf_fullbatch import run  # TensorFlow takes seconds to import
        return run.execute(config).exit_code
    except RunError as error:
        print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return error.outcome.exit_code
    except KeyboardInterrupt:  # while training, the run itself catches it
        print("error: interrupted while no step was under way; start the same command again", file=sys.stderr)
        return Outcome.INTERRUPTED.exit_code


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Keeps TensorFlow's log to errors, and what it prints while it loads, before its log is set up, away.

    Those lines are written by C++ to file descriptor 2; Python's exceptions pass.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def console_entry() -> None:
    """Entry point of the `tf-fullbatch` command."""
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


def _make_streams_usable() -> None:
    """Lets output go nowhere where its stream was closed, and be escaped where its encoding lacks a character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # The lowest free descriptor: the closed one itself, so that TensorFlow's C++ finds it open too.
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115, open to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    console_entry()
