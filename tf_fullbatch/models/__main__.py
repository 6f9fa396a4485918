"""`python -m tf_fullbatch.models`: the networks there are and what they cost, see `commands/models.py`."""

from tf_fullbatch.commands import console
from tf_fullbatch.commands.models import main

if __name__ == "__main__":
    console.run_command(main)
