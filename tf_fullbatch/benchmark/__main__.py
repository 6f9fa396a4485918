"""`python -m tf_fullbatch.benchmark`: what training costs, see `commands/benchmark.py`."""

import signal

from tf_fullbatch.commands import console
from tf_fullbatch.commands.benchmark import main

if __name__ == "__main__":
    # As Ctrl-C does, so that a measurement in a process of its own ends with this one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console.run_command(main)
