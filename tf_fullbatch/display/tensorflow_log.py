"""What TensorFlow says of itself while it loads, kept away."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Keeps TensorFlow's log to errors, and what it prints while it loads, before its log is set up, away.

    Those lines are written by C++ to file descriptor 2; Python's exceptions pass.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # closed
        yield
        return
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def quiet_unless_asked() -> Iterator[None]:
    """`quiet_tensorflow`, for a Python program, unless TensorFlow is loaded already or the program or its user has said
    by TF_CPP_MIN_LOG_LEVEL what it logs."""
    said = "tensorflow" in sys.modules or "TF_CPP_MIN_LOG_LEVEL" in os.environ
    with contextlib.nullcontext() if said else quiet_tensorflow():
        yield
