"""Keras callbacks that record, evaluate, average, checkpoint and profile a run."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.data.pipeline import UpdateBatches
from tf_fullbatch.records import CsvRecorder, RunFolder
from tf_fullbatch.reporting.progress import ProgressLine
from tf_fullbatch.reporting.summary import validation_rank
from tf_fullbatch.reporting.tensorboard import TensorBoardWriter
from tf_fullbatch.training.checkpoints import prune, save_checkpoint
from tf_fullbatch.training.ema import EmaWeights
from tf_fullbatch.training.state import TrainingState


class Recorder(keras.callbacks.Callback):
    """Writes every step to metrics.csv and TensorBoard.

    Args:
        folder: The run folder.
        writer: TensorBoard summaries.
        resume_step: Steps completed before this process.
        samples_seen: Samples used before this process.
        wall_seconds: Time spent before this process.
    """

    def __init__(
        self,
        folder: RunFolder,
        writer: TensorBoardWriter,
        *,
        resume_step: int,
        samples_seen: int,
        wall_seconds: float,
    ):
        super().__init__()
        self._metrics = CsvRecorder(folder.metrics, STEP_COLUMNS, resume_step)
        self._writer = writer
        self.samples_seen = samples_seen
        self._started = time.monotonic() - wall_seconds

    @property
    def wall_seconds(self) -> float:
        """Time since the run began, summed over its resumes."""
        return time.monotonic() - self._started

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        record = dict(self.model.last_step)
        self.samples_seen += record.pop("samples")
        record |= {"samples_seen": self.samples_seen, "wall_seconds": self.wall_seconds}
        record["clipped"] = int(record["clipped"])
        self._metrics.append(record)
        self._writer.write_step(record)

    def close(self) -> None:
        """Closes metrics.csv."""
        self._metrics.close()


class Progress(keras.callbacks.Callback):
    """Shows steps, and the chunks of a long one, on the progress line; an epoch's last step after its evaluation."""

    def __init__(self, progress: ProgressLine):
        super().__init__()
        self._progress = progress

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.model.chunk_listeners.append(self._progress.update_chunk)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if batch + 1 < self.params["steps"]:
            self._progress.update(self.model.last_step)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._progress.update(self.model.last_step)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self._progress.update_chunk in self.model.chunk_listeners:
            self.model.chunk_listeners.remove(self._progress.update_chunk)


class EmaUpdate(keras.callbacks.Callback):
    """Moves the averaged weights once a pass."""

    def __init__(self, ema: EmaWeights):
        super().__init__()
        self._ema = ema

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._ema.update()


class Evaluator(keras.callbacks.Callback):
    """Evaluates validation and test samples at a cadence, raw and averaged weights.

    Args:
        folder: The run folder.
        writer: TensorBoard summaries.
        progress: The progress line.
        splits: Split name -> samples.
        every: Epochs between evaluations.
        epochs: The last epoch, always evaluated.
        ema: Averaged weights, or None.
        resume_step: Steps completed before this process.
        best: `validation_rank` of the best validation result before this process, or None.
    """

    def __init__(
        self,
        folder: RunFolder,
        writer: TensorBoardWriter,
        progress: ProgressLine,
        *,
        splits: Mapping[str, UpdateBatches],
        every: int,
        epochs: int,
        ema: EmaWeights | None,
        resume_step: int,
        best: Sequence[float] | None,
    ):
        super().__init__()
        self._evaluations = CsvRecorder(folder.evaluations, EVALUATION_COLUMNS, resume_step)
        self._writer = writer
        self._progress = progress
        self._splits = splits
        self._every = every
        self._epochs = epochs
        self._ema = ema
        self.best = None if best is None else tuple(best)
        self.improved = False

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits that are evaluated."""
        return tuple(self._splits)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.improved = False
        completed = epoch + 1
        if completed % self._every and completed != self._epochs:
            return
        self.evaluate(float(completed))

    def evaluate(self, epoch: float) -> list[dict[str, Any]]:
        """Evaluates every split now, writes the records and returns them."""
        records = []
        for split, samples in self._splits.items():
            records.append(self._evaluate(split, "raw", samples, epoch))
            if self._ema is not None:
                with self._ema.applied():
                    records.append(self._evaluate(split, "ema", samples, epoch))
        return records

    def _evaluate(self, split: str, weights: str, samples: UpdateBatches, epoch: float) -> dict[str, Any]:
        started = time.monotonic()
        results = self.model.evaluate_batches(samples)
        record = {
            "step": self.model.steps_completed,
            "epoch": epoch,
            "split": split,
            "weights": weights,
            "loss": results["loss"],
            "accuracy": results["accuracy"],
            "samples": len(samples),
            "seconds": time.monotonic() - started,
        }
        self._evaluations.append(record)
        self._writer.write_evaluation(record)
        self._progress.evaluation(record)
        comparable = split == "validation" and math.isfinite(record["accuracy"])
        if comparable and (self.best is None or validation_rank(record) < self.best):
            self.best, self.improved = validation_rank(record), True
        return record

    def close(self) -> None:
        """Closes evaluations.csv."""
        self._evaluations.close()


class Checkpointer(keras.callbacks.Callback):
    """Saves the complete state at a cadence, at the end, and where validation accuracy is the best so far.

    Args:
        folder: The run folder.
        state: What is saved.
        recorder: For samples seen and time spent.
        evaluator: For the best so far.
        every: Epochs between checkpoints.
        epochs: The last epoch, always saved.
        keep: Newest checkpoints kept, beside the best.
        best_step: Step of the best checkpoint so far, or None.
    """

    def __init__(
        self,
        folder: RunFolder,
        state: TrainingState,
        recorder: Recorder,
        evaluator: Evaluator,
        *,
        every: int,
        epochs: int,
        keep: int,
        best_step: int | None,
    ):
        super().__init__()
        self._folder = folder
        self._state = state
        self._recorder = recorder
        self._evaluator = evaluator
        self._every = every
        self._epochs = epochs
        self._keep = keep
        self._best_step = best_step
        self._unsaved: tuple[int, int] | None = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        completed = epoch + 1
        self._unsaved = completed, self.model.steps_completed
        if self._evaluator.improved:
            self._best_step = self.model.steps_completed
        if completed % self._every == 0 or completed == self._epochs or self._evaluator.improved:
            self.save(completed)

    def save(self, epoch: int) -> None:
        """Saves a checkpoint now and removes old ones."""
        save_checkpoint(
            self._folder.checkpoints,
            step=self.model.steps_completed,
            epoch=epoch,
            arrays=self._state.capture(),
            metadata={
                "samples_seen": self._recorder.samples_seen,
                "wall_seconds": self._recorder.wall_seconds,
                "best": self._evaluator.best,
                "best_step": self._best_step,
            },
        )
        protected = () if self._best_step is None else (self._best_step,)
        prune(self._folder.checkpoints, keep=self._keep, protect=protected)
        self._unsaved = None

    def save_last_epoch(self) -> None:
        """After an early end: saves the last completed epoch, unless it is saved or a later step changed the state."""
        if self._unsaved is not None and self._unsaved[1] == self.model.steps_completed:
            self.save(self._unsaved[0])


class Histograms(keras.callbacks.Callback):
    """Writes the distributions of the weights to TensorBoard at a cadence in epochs."""

    def __init__(self, writer: TensorBoardWriter, every: int):
        super().__init__()
        self._writer = writer
        self._every = every

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if (epoch + 1) % self._every == 0:
            arrays = {v.path: np.asarray(v.value) for v in self.model.network.variables}
            self._writer.write_histograms(self.model.steps_completed, arrays)


class Profiler(keras.callbacks.Callback):
    """Profiles steps `first` to `last` (counted from 1) for TensorBoard's profile tab."""

    def __init__(self, folder: str, first: int, last: int, start: Callable = tf.profiler.experimental.start):
        super().__init__()
        self._folder = folder
        self._first = first
        self._last = last
        self._start = start
        self._running = False

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
