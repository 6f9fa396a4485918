"""`python -m tf_fullbatch.analyze`: questions about trained runs, see `commands/analyze.py`."""

from tf_fullbatch.commands import console
from tf_fullbatch.commands.analyze import main

if __name__ == "__main__":
    console.run_command(main)
