"""`python -m tf_fullbatch.report`: compares finished runs, see `commands/report.py`."""

from tf_fullbatch.commands import console
from tf_fullbatch.commands.report import main

if __name__ == "__main__":
    console.run_command(main)
