"""A run's TensorBoard summaries, written as event files without loading TensorFlow."""

import math
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from tf_fullbatch.display.hparams import experiment_summary, result_tag, session_summary
from tf_fullbatch.records.columns import STEP_COLUMNS, Record
from tf_fullbatch.records.files import os_errors_as_user_errors

# Tags sort by their text: the digit keeps the groups in the order a run is read in.
STEP_TAGS = {
    "loss": "1 objective/loss",
    "accuracy": "1 objective/accuracy",
    "penalised_objective": "1 objective/loss with gradient penalty",
    "penalty": "1 objective/gradient penalty",
    "gradient_norm": "2 gradient/norm before clipping",
    "mean_squared_micro_batch_gradient_norm": "2 gradient/mean squared micro-batch norm",
    "learning_rate": "3 update/learning rate",
    "update_norm": "3 update/norm of update",
    "parameter_norm": "3 update/norm of parameters",
    "images_per_second": "4 speed/images per second",
    "step_seconds": "4 speed/seconds per step",
    "gradient_evaluations": "4 speed/gradient evaluations per sample",
    "epoch": "4 speed/passes over the training set",
}
DISTRIBUTION_GROUP = "6 distributions"
CLIPPED_TAG = "2 gradient/clipped fraction of recent updates"
CLIPPED_WINDOW = 100

_DESCRIPTIONS = {column.name: column.description for column in STEP_COLUMNS}
_EVALUATION_DESCRIPTIONS = {
    "loss": "Mean cross-entropy, with the layers' regularisation losses.",
    "accuracy": "Fraction classified correctly, 0 to 1.",
}
_CLIPPED_DESCRIPTION = (
    f"Fraction of the last {CLIPPED_WINDOW} updates written here whose gradient was clipped."
)
MOST_PER_EPOCH = 50
_FLUSH_SECONDS = 2.0
_FLOAT32 = 1  # DataType.DT_FLOAT
_ROOT = "."


class TensorBoardWriter:
    """Writes the summaries of one run below a folder, for `tensorboard --logdir` on it or on a parent.

    The subfolders `train`, `validation` and `test` (`validation-ema`, `test-ema` for averaged weights) hold
    the same tags for the same quantities, so that TensorBoard draws them in one chart; the folder itself
    holds the configuration, the hyperparameters and the results they are compared by. The x axis is the
    optimizer step.

    A resumed run writes new files that begin with a `SessionLog.START` event: TensorBoard then forgets the
    points an earlier process wrote at later steps.

    Args:
        folder: The run's summaries folder; made when first needed.
        resume_step: The step after which training starts; 0 for a new run.
        recent_clipped: The `clipped` values (0 or 1) of the steps up to `resume_step`, oldest first, from
            which the clipped fraction goes on.
        clock: Seconds since 1970, the wall time of the events.

    Raises:
        UserError: From every method, where a file cannot be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        resume_step: int = 0,
        recent_clipped: Iterable[float] = (),
        clock: Callable[[], float] = time.time,
    ):
        self._folder = Path(folder)
        self._resume_step = resume_step
        self._clock = clock
        self._files: dict[str, _EventFile] = {}
        self._recent_clipped = deque(recent_clipped, maxlen=CLIPPED_WINDOW)
        self._results: frozenset[tuple[str, str]] = frozenset()
        self._flushed_at = -float("inf")
        for run in sorted({path.parent for path in self._folder.glob("**/events.out.tfevents.*")}):
            # Opened at once: what an earlier process wrote at later steps goes even if nothing follows it.
            self._file(run.relative_to(self._folder).as_posix())

    def write_step(self, record: Record) -> None:
        """Writes a completed step, see `write_steps`."""
        self.write_steps([record])

    def write_steps(self, records: Iterable[Record]) -> None:
        """Writes completed steps: records with the keys of `STEP_COLUMNS`; blanks are left out.

        A step that ends an epoch is always written, as full-batch steps do; of others at most `MOST_PER_EPOCH`
        (TensorBoard itself shows 1,000 points of a curve, metrics.csv has them all).
        """
        for record in records:
            clipped = record.get("clipped")
            if clipped is not None:
                self._recent_clipped.append(float(clipped))
            if _is_drawn(record):
                self._draw_step(record)
        if self._clock() - self._flushed_at >= _FLUSH_SECONDS:
            self.flush()

    def write_evaluation(self, record: Record) -> None:
        """Writes an evaluation, a record with the keys of `EVALUATION_COLUMNS`, and flushes."""
        run = evaluation_run(str(record["split"]), str(record["weights"]))
        step = int(record["step"] or 0)
        self._write_scalars(run, step, _scalars(record, _EVALUATION_DESCRIPTIONS))
        self._write_results(run, step, record)
        self.flush()

    def write_histograms(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes the distribution of each array's entries under the tag "6 distributions/<name>"."""
        summary = Summary()
        for name, array in arrays.items():
            summary.MergeFrom(histogram_pb(f"{DISTRIBUTION_GROUP}/{name}", np.asarray(array).reshape(-1)))
        self._file("train").write(step, self._clock(), summary)

    def write_config(self, text: str, name: str = "configuration") -> None:
        """Writes a Markdown text to the Text tab, at the first step it is about.

        Wrap JSON or a flagfile with `code_block` first.
        """
        self._file(_ROOT).write(self._resume_step + 1, self._clock(), text_pb(name, text))
        self.flush()

    def write_hparams(
        self,
        hparams: Mapping[str, Any],
        metrics: Iterable[tuple[str, str]] = (("test", "accuracy"),),
        shown: Iterable[str] | None = None,
    ) -> None:
        """Writes the hyperparameters, a row of the HParams tab; call it before the first step.

        The tab finds measured values in the run of the hyperparameters alone if that is the log directory
        itself, so the `metrics` are also written there, as "5 results/<run> <key>".

        Args:
            hparams: Name to value, see `hparams.session_summary`.
            metrics: The measured columns, see `hparams.experiment_summary`.
            shown: The hyperparameters that are columns; None for all.
        """
        metrics = tuple(metrics)
        self._results = frozenset(metrics)
        root, now, step = self._file(_ROOT), self._clock(), self._resume_step + 1
        root.write(step, now, experiment_summary(hparams if shown is None else shown, metrics))
        # The folder tells runs apart: without it, two runs with equal settings would be shown as one.
        folder = self._folder.resolve()
        trial = f"{folder.parent.parent.name}/{folder.parent.name} ({folder})"
        root.write(step, now, session_summary(hparams, trial, now))
        self.flush()

    def flush(self) -> None:
        """Hands everything written so far to the operating system, where TensorBoard sees it."""
        for file in self._files.values():
            file.flush()
        self._flushed_at = self._clock()

    def close(self) -> None:
        """Flushes and closes all files; safe to call twice."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _draw_step(self, record: Record) -> None:
        step = int(record["step"] or 0)
        values = _scalars(record, _DESCRIPTIONS)
        if record.get("clipped") is not None:
            fraction = sum(self._recent_clipped) / len(self._recent_clipped)
            values.append((CLIPPED_TAG, fraction, _CLIPPED_DESCRIPTION))
        self._write_scalars("train", step, values)
        self._write_results("train", step, record)

    def _write_scalars(self, run: str, step: int, values: Iterable[tuple[str, float, str]]) -> None:
        summary = Summary()
        file = self._file(run)
        for tag, value, description in values:
            # Tensors, as tf.summary writes them: TensorBoard shows the descriptions of these alone.
            if file.first(tag):
                summary.MergeFrom(scalar_pb(tag, value, description=description))
            else:
                later = summary.value.add(tag=tag)
                later.tensor.dtype = _FLOAT32
                later.tensor.tensor_shape.SetInParent()
                later.tensor.float_val.append(value)
        file.write(step, self._clock(), summary)

    def _write_results(self, run: str, step: int, record: Record) -> None:
        values = [
            (result_tag(run, key), float(value), "")
            for key in STEP_TAGS
            if (run, key) in self._results and (value := record.get(key)) is not None
        ]
        if values:
            self._write_scalars(_ROOT, step, values)

    def _file(self, run: str) -> "_EventFile":
        if run not in self._files:
            self._files[run] = _EventFile(self._folder / run, self._resume_step + 1, self._clock())
        return self._files[run]


class _EventFile:
    """One event file: opened with its version and, as the restart mark, a START at `first_step`."""

    def __init__(self, folder: Path, first_step: int, now: float):
        self._seen: set[str] = set()
        self._folder = folder
        with os_errors_as_user_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._records = RecordWriter((folder / _event_file_name(folder, now)).open("xb"))
        # START is obeyed in files of version 2 only, so the version comes first.
        self._write(Event(wall_time=now, file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=now, step=first_step, session_log=start))
        self.flush()

    def first(self, tag: str) -> bool:
        """Whether `tag` is new to this file; TensorBoard needs its description once."""
        if tag in self._seen:
            return False
        self._seen.add(tag)
        return True

    def write(self, step: int, now: float, summary: Summary) -> None:
        self._write(Event(wall_time=now, step=step, summary=summary))

    def flush(self) -> None:
        with os_errors_as_user_errors(self._folder):
            self._records.flush()

    def close(self) -> None:
        with os_errors_as_user_errors(self._folder):
            self._records.close()

    def _write(self, event: Event) -> None:
        with os_errors_as_user_errors(self._folder):
            self._records.write(event.SerializeToString())


def _scalars(record: Record, descriptions: Mapping[str, str]) -> list[tuple[str, float, str]]:
    return [
        (tag, float(value), descriptions[name])
        for name, tag in STEP_TAGS.items()
        if name in descriptions and (value := record.get(name)) is not None
    ]


def evaluation_run(split: str, weights: str) -> str:
    """The subfolder of an evaluation: the split, with "-ema" for averaged weights."""
    return split if weights == "raw" else f"{split}-{weights}"


def code_block(text: str, language: str = "json") -> str:
    """Markdown that shows `text` as it stands."""
    return f"```{language}\n{text.strip()}\n```"


def _event_file_name(folder: Path, now: float) -> str:
    # TensorBoard reads a folder's files in the order of their names, so a later file must sort later.
    stamps = [
        int(path.name.split(".")[3]) for path in folder.glob("events.out.tfevents.*") if _has_stamp(path)
    ]
    stamp = max([int(now), *(stamp + 1 for stamp in stamps)])
    return f"events.out.tfevents.{stamp:010d}.{socket.gethostname()}.{os.getpid()}"


def _has_stamp(path: Path) -> bool:
    return path.name.split(".")[3].isdigit()


def _is_drawn(record: Record) -> bool:
    """Whether a step ends an epoch, or is one of at most `MOST_PER_EPOCH` within; the same in a rerun and a resume."""
    step, epoch = int(record["step"] or 0), float(record.get("epoch") or 0)
    if epoch.is_integer():
        return True
    # The last step of an epoch may be smaller, so that within an epoch this is a little less than a whole number.
    steps_per_epoch = math.ceil(step / epoch - 1e-9)
    step_in_epoch = step - int(epoch) * steps_per_epoch
    return step_in_epoch % math.ceil(steps_per_epoch / MOST_PER_EPOCH) == 0
