"""`python -m tf_fullbatch.main`, and the command `tf-fullbatch`: trains or evaluates, see `commands/train.py`."""

from typing import NoReturn

from tf_fullbatch.commands import console
from tf_fullbatch.commands.train import main


def entry_point() -> NoReturn:
    """The `tf-fullbatch` command."""
    console.run_command(main)


if __name__ == "__main__":
    entry_point()
