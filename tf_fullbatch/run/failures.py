"""What TensorFlow raises where memory is short or a worker is gone, in lines that say what to do."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from tf_fullbatch.errors import DeviceMemoryError, WorkerLostError


@contextlib.contextmanager
def naming_memory_failures() -> Iterator[None]:
    """Turns TensorFlow's exception into one that says what to do."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise DeviceMemoryError(
            "the device ran out of memory: choose a smaller --micro_batch_size or a smaller --model."
        ) from error


@contextlib.contextmanager
def naming_lost_workers() -> Iterator[None]:
    """Turns what TensorFlow raises where another worker is gone into one line, and a shutdown that waits for nobody.

    Raises:
        WorkerLostError: Within a run of several workers, an operation failed that is not this worker's own.
    """
    try:
        yield
    except tf.errors.OpError as error:
        # The message is a long trace of the graph; what happened stands behind this, or last.
        said = error.message.partition("aborted by: ")[2] or error.message.strip().splitlines()[-1]
        raise WorkerLostError(
            f"another worker failed or does not answer ({' '.join(said.split())[:150]}). End all workers and start "
            "the same command on every one again"
        ) from error
