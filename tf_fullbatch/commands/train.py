"""The command `python -m tf_fullbatch.main`: trains or evaluates as its flags say."""

import contextlib
import os
from collections.abc import Sequence

from tf_fullbatch.commands import console
from tf_fullbatch.config import cli_flags
from tf_fullbatch.display.tensorflow_log import quiet_tensorflow


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code; a user's mistake is one line on standard error."""
    # While training, the run itself catches the signal.
    return console.exit_code(
        _run, argv, "interrupted while no step was under way; start the same command again"
    )


def _run(argv: Sequence[str]) -> int:
    config = cli_flags.parse(argv)
    if config is None:
        print(cli_flags.help_text())
        return 0
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the shell or ~/.keras/keras.json say
    with contextlib.nullcontext() if config.runtime.tensorflow_log else quiet_tensorflow():
        from tf_fullbatch.run import execute  # TensorFlow takes seconds to import
    return execute.execute(config).exit_code
