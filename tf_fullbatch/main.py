"""The command `python -m tf_fullbatch.main`: trains or evaluates as its flags say."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tf_fullbatch import cli_flags
from tf_fullbatch.outcomes import Outcome, RunError


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code; a user's mistake is one line on standard error."""
    try:
        config = cli_flags.parse(argv)
        if config is None:
            print(cli_flags.help_text())
            return 0
        with contextlib.nullcontext() if config.runtime.tensorflow_log else quiet_tensorflow():
            from tf_fullbatch import run  # TensorFlow takes seconds to import
        return run.execute(config).exit_code
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.outcome.exit_code
    except KeyboardInterrupt:
        print("interrupted before training began", file=sys.stderr)
        return Outcome.INTERRUPTED.exit_code


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Keeps TensorFlow's log to errors, and what it prints while it loads, before its log is set up, away.

    Those lines are written by C++ to file descriptor 2; Python's exceptions pass.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
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
    sys.exit(main(sys.argv))


if __name__ == "__main__":
    console_entry()
