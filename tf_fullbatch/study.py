"""`python -m tf_fullbatch.study`: several runs to be compared, see `commands/study.py`."""

from tf_fullbatch.commands import console
from tf_fullbatch.commands.study import main

if __name__ == "__main__":
    console.run_command(main)
