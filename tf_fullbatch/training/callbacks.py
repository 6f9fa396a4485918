"""Keras callbacks that record, evaluate, average and profile a run."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.display.progress import ProgressLine
from tf_fullbatch.display.sinks import RecordSink
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.summary import is_ranked, validation_rank
from tf_fullbatch.records.tables import TableWriter
from tf_fullbatch.training.weight_average import WeightAverage


class BlockCallback(keras.callbacks.Callback):
    """A callback that takes several steps at once: `model.last_steps` has them all."""

    def steps_before_a_look(self, steps_completed: int) -> int:
        """Steps that may be made after so many before this callback must see the model."""
        del steps_completed
        return 2**31 - 1


class Recorder(BlockCallback):
    """Writes every step to metrics.csv and to TensorBoard and loggers.

    Args:
        folder: The run folder.
        writer: TensorBoard and loggers.
        resume_step: Steps completed before this process.
        samples_seen: Samples used before this process.
        wall_seconds: Time spent before this process.
    """

    def __init__(
        self,
        folder: RunFolder,
        writer: RecordSink,
        *,
        resume_step: int,
        samples_seen: int,
        wall_seconds: float,
    ):
        super().__init__()
        self._metrics = TableWriter(folder.metrics, STEP_COLUMNS, resume_step)
        self._writer = writer
        self.samples_seen = samples_seen
        self._started = time.monotonic() - wall_seconds

    @property
    def wall_seconds(self) -> float:
        """Time since the run began, summed over its resumes."""
        return time.monotonic() - self._started

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        records = [dict(step) for step in self.model.last_steps]
        seconds_after = sum(record["step_seconds"] for record in records)
        ended = self.wall_seconds
        for record in records:
            seconds_after -= record["step_seconds"]
            self.samples_seen += record.pop("samples")
            record |= {"samples_seen": self.samples_seen, "wall_seconds": ended - seconds_after}
            record["clipped"] = int(record["clipped"])
        self._metrics.append_many(records)
        self._writer.write_steps(records)

    def flush(self) -> None:
        """Hands every summary so far to the operating system; rows of metrics.csv are there already."""
        self._writer.flush()

    def close(self) -> None:
        """Closes metrics.csv."""
        self._metrics.close()


class Progress(BlockCallback):
    """Shows steps, and the parts of a long one, on the progress line; an epoch's last step after its evaluation."""

    def __init__(self, progress: ProgressLine):
        super().__init__()
        self._progress = progress

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.model.chunk_listeners.append(self._progress.update_part)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if batch + 1 < self.params["steps"]:
            self._progress.update(self.model.last_step)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._progress.update(self.model.last_step)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self._progress.update_part in self.model.chunk_listeners:
            self.model.chunk_listeners.remove(self._progress.update_part)


class AverageUpdate(keras.callbacks.Callback):
    """Moves the averaged weights once per pass.

    Args:
        average: The average.
        first: The first pass, counted from 1, whose weights are averaged.
    """

    def __init__(self, average: WeightAverage, first: int = 1):
        super().__init__()
        self._average, self._first = average, first

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if epoch + 1 >= self._first:
            self._average.update()


class Evaluator(keras.callbacks.Callback):
    """Evaluates validation and test samples at a cadence, raw and averaged weights.

    Args:
        folder: The run folder.
        writer: TensorBoard and loggers.
        progress: The progress line.
        splits: Split name -> samples.
        every: Epochs between evaluations.
        ends: Passes after which it evaluates in any case: the last, and before others are appended. It also does where
            another callback has ended the training.
        average: Averaged weights, evaluated once there are any; or None.
        resume_step: Steps completed before this process.
        best: `validation_rank` of the best validation result before this process, or None.
    """

    def __init__(
        self,
        folder: RunFolder,
        writer: RecordSink,
        progress: ProgressLine,
        *,
        splits: Mapping[str, UpdateBatches],
        every: int,
        ends: Collection[int],
        average: WeightAverage | None,
        resume_step: int,
        best: Sequence[float] | None,
    ):
        super().__init__()
        self._evaluations = TableWriter(folder.evaluations, EVALUATION_COLUMNS, resume_step)
        self._writer = writer
        self._progress = progress
        self._splits = splits
        self._every = every
        self._ends = ends
        self._average = average
        self.best = None if best is None else tuple(best)
        self.improved = False

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits that are evaluated."""
        return tuple(self._splits)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.improved = False
        completed = epoch + 1
        ended = completed in self._ends or self.model.stop_training
        if completed % self._every and not ended:
            return
        self.evaluate(float(completed))

    def evaluate(self, epoch: float) -> list[dict[str, Any]]:
        """Evaluates every split now, writes the records and returns them."""
        records = []
        for split, samples in self._splits.items():
            records.append(self._evaluate(split, "raw", samples, epoch))
            if self._average is not None and self._average.begun:
                with self._average.applied():
                    records.append(self._evaluate(split, self._average.kind, samples, epoch))
        for record in records:  # all or, where one was interrupted, none: a resumed run makes them again
            self._record(record)
        return records

    def _evaluate(self, split: str, weights: str, samples: UpdateBatches, epoch: float) -> dict[str, Any]:
        started = time.monotonic()
        results = self.model.evaluate_batches(samples)
        return {
            "step": self.model.steps_completed,
            "epoch": epoch,
            "split": split,
            "weights": weights,
            "loss": results["loss"],
            "cross_entropy": results.get("cross_entropy"),
            "accuracy": results.get("accuracy"),
            "samples": len(samples),
            "seconds": time.monotonic() - started,
        }

    def _record(self, record: dict[str, Any]) -> None:
        self._evaluations.append(record)
        self._writer.write_evaluation(record)
        self._progress.evaluation(record)
        if (
            record["split"] == "validation"
            and is_ranked(record)
            and (self.best is None or validation_rank(record) < self.best)
        ):
            self.best, self.improved = validation_rank(record), True

    def close(self) -> None:
        """Closes evaluations.csv."""
        self._evaluations.close()


class Histograms(keras.callbacks.Callback):
    """Writes the distributions of the weights to TensorBoard at a cadence in epochs."""

    def __init__(self, writer: RecordSink, every: int):
        super().__init__()
        self._writer = writer
        self._every = every

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if (epoch + 1) % self._every == 0:
            arrays = {v.path: np.asarray(v.value) for v in self.model.network.variables}
            self._writer.write_histograms(self.model.steps_completed, arrays)


class Profiler(BlockCallback):
    """Profiles steps `first` to `last` (counted from 1) for TensorBoard's profile tab."""

    def __init__(self, folder: str, first: int, last: int, start: Callable = tf.profiler.experimental.start):
        super().__init__()
        self._folder = folder
        self._first = first
        self._last = last
        self._start = start
        self._running = False

    def steps_before_a_look(self, steps_completed: int) -> int:
        """Steps up to the first one profiled; those are made one by one."""
        return max(self._first - 1 - steps_completed, 1) if steps_completed < self._last else 2**31 - 1

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.model.steps_completed + 1 == self._first:
            self._start(self._folder)
            self._running = True

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.model.steps_completed >= self._last:
            self._stop()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._running:
            tf.profiler.experimental.stop()
            self._running = False
