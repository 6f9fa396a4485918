"""One event file of TensorBoard's, written without loading TensorFlow."""

import os
import socket
from collections.abc import Iterable
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from tf_fullbatch.records.files import os_errors_as_user_errors

PATTERN = "events.out.tfevents.*"
_FLOAT32 = 1  # DataType.DT_FLOAT


class EventFile:
    """An event file: opened with its version and, as the restart mark, a START at `first_step`.

    Raises:
        UserError: From every method, where the file cannot be written.
    """

    def __init__(self, folder: Path, first_step: int, now: float):
        self._seen: set[str] = set()
        self._folder = folder
        with os_errors_as_user_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._records = RecordWriter((folder / _file_name(folder, now)).open("xb"))
        # START is obeyed in files of version 2 only, so the version comes first.
        self._write(Event(wall_time=now, file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=now, step=first_step, session_log=start))
        self.flush()

    def write_scalars(self, step: int, now: float, values: Iterable[tuple[str, float, str]]) -> None:
        """Writes (tag, value, description) at a step."""
        summary = Summary()
        for tag, value, description in values:
            # Tensors, as tf.summary writes them: TensorBoard shows the descriptions of these alone, needed once.
            if tag not in self._seen:
                self._seen.add(tag)
                summary.MergeFrom(scalar_pb(tag, value, description=description))
            else:
                later = summary.value.add(tag=tag)
                later.tensor.dtype = _FLOAT32
                later.tensor.tensor_shape.SetInParent()
                later.tensor.float_val.append(value)
        self.write(step, now, summary)

    def write(self, step: int, now: float, summary: Summary) -> None:
        """Writes a summary, unless it is empty."""
        if summary.value:
            self._write(Event(wall_time=now, step=step, summary=summary))

    def flush(self) -> None:
        """Hands everything to the operating system, where TensorBoard sees it."""
        with os_errors_as_user_errors(self._folder):
            self._records.flush()

    def close(self) -> None:
        """Flushes and closes."""
        with os_errors_as_user_errors(self._folder):
            self._records.close()

    def _write(self, event: Event) -> None:
        with os_errors_as_user_errors(self._folder):
            self._records.write(event.SerializeToString())


def _file_name(folder: Path, now: float) -> str:
    # TensorBoard reads a folder's files in the order of their names, so a later file must sort later.
    stamps = [path.name.split(".")[3] for path in folder.glob(PATTERN)]
    stamp = max([int(now), *(int(stamp) + 1 for stamp in stamps if stamp.isdigit())])
    return f"events.out.tfevents.{stamp:010d}.{socket.gethostname()}.{os.getpid()}"
