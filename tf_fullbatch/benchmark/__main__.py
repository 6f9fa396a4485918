"""`python -m tf_fullbatch.benchmark`: what a step costs, see `commands/benchmark.py`."""

from tf_fullbatch.commands import console
from tf_fullbatch.commands.benchmark import main

if __name__ == "__main__":
    console.run_command(main)
