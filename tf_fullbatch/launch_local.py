"""`python -m tf_fullbatch.launch_local`: several workers of one run, see `commands/launch_local.py`."""

from tf_fullbatch.commands import console
from tf_fullbatch.commands.launch_local import main

if __name__ == "__main__":
    console.run_command(main)
