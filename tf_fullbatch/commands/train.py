"""The command `python -m tf_fullbatch.main`: trains or evaluates as its flags say."""

import contextlib
from collections.abc import Sequence

from tf_fullbatch.commands import console
from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.run import Config
from tf_fullbatch.display.tensorflow_log import quiet_tensorflow


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code; a user's mistake is one line on standard error."""
    # While training, the run itself catches the signal.
    again = "interrupted while no step was under way; start the same command again"
    return console.exit_code(argv, cli_flags.parse, cli_flags.help_text, _execute, again)


def _execute(config: Config) -> int:
    console.use_tensorflow()
    with contextlib.nullcontext() if config.runtime.tensorflow_log else quiet_tensorflow():
        from tf_fullbatch.run import execute  # TensorFlow takes seconds to import
    return execute.execute(config).exit_code
