"""`python -m tf_fullbatch.data`: what a data set and its augmentation look like, see `commands/data.py`."""

from tf_fullbatch.commands import console
from tf_fullbatch.commands.data import main

if __name__ == "__main__":
    console.run_command(main)
