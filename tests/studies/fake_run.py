"""Stands for `python -m tf_fullbatch.main` in tests of what starts it: writes records, and ends as its row says.

A learning rate of 0.1 completes, 0.2 fails, 0.3 waits for a signal, 0.4 ignores it.
"""

import os
import signal
import sys
import time
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Ends with the code of a run that went so."""
    flags = dict(argument.lstrip("-").split("=", 1) for argument in arguments)
    folder = Path(flags["output_dir"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "environment").write_text(os.environ.get("TF_NUM_INTRAOP_THREADS", "-"))
    rate = flags.get("learning_rate", "0.1")
    header = "step,epoch,samples_seen\n"
    (folder / "metrics.csv").write_text(header + "1,1.0,64\n")
    if rate == "0.1":
        (folder / "evaluations.csv").write_text(
            "step,epoch,split,weights,loss,accuracy,samples,seconds\n4,4.0,test,raw,0.5,0.75,450,0.1\n"
        )
        (folder / "metrics.csv").write_text(header + "4,4.0,256\n")
        return 0
    if rate == "0.2":
        print("a line before\nerror: the loss is nan in step 2.", file=sys.stderr)
        return 3
    signal.signal(signal.SIGTERM, signal.SIG_IGN if rate == "0.4" else lambda *_: sys.exit(5))
    (folder / "waiting").touch()
    while True:
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
