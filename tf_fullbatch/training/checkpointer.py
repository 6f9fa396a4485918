"""The Keras callback that saves a run's state."""

import time
from collections.abc import Collection, Mapping
from typing import Any

from tf_fullbatch.records.checkpoints import prune, save_checkpoint
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.training.callbacks import BlockCallback, Evaluator, Recorder
from tf_fullbatch.training.goals import Goals
from tf_fullbatch.training.measuring import Measurements
from tf_fullbatch.training.state import TrainingState, with_measures


class Checkpointer(BlockCallback):
    """Saves the complete state at a cadence, at the end, and where validation accuracy is the best so far.

    What is due in an epoch's last step is saved after the epoch's evaluation; it comes last of the callbacks.

    Args:
        folder: The run folder.
        state: What is saved.
        recorder: For samples seen and time spent.
        evaluator: For the best so far.
        every_steps: Steps between checkpoints; None for none.
        every_seconds: Seconds between checkpoints; None for none.
        ends: Passes after which it saves in any case: the last, and before others are appended. It also does where
            another callback ends the training.
        keep: Newest checkpoints kept, beside the best.
        best_step: Step of the best checkpoint so far, or None.
        measurements: For what measures keep; None without measures.
        goals: For what goals look at.
    """

    def __init__(
        self,
        folder: RunFolder,
        state: TrainingState,
        recorder: Recorder,
        evaluator: Evaluator,
        *,
        every_steps: int | None,
        every_seconds: float | None,
        ends: Collection[int],
        keep: int,
        best_step: int | None,
        measurements: Measurements | None = None,
        goals: Goals | None = None,
    ):
        super().__init__()
        self._folder = folder
        self._state = state
        self._recorder = recorder
        self._evaluator = evaluator
        self._every_steps = every_steps
        self._every_seconds = every_seconds
        self._ends = ends
        self._keep = keep
        self._best_step = best_step
        self._measurements = measurements
        self._goals = goals
        self._saved_at = time.monotonic()
        self._unsaved: dict[str, Any] | None = None

    def steps_before_a_look(self, steps_completed: int) -> int:
        """Steps up to the next checkpoint that is counted in steps."""
        if self._every_steps is None:
            return super().steps_before_a_look(steps_completed)
        return self._every_steps - steps_completed % self._every_steps

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        within = batch + 1 < self.params["steps"]
        self._unsaved = {"epoch": self.model.last_step["epoch"], "epoch_ended": within}
        if within and self._due():
            self.save()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        completed = epoch + 1
        self._unsaved = {"epoch": float(completed), "epoch_ended": True}
        if self._evaluator.improved:
            self._best_step = self.model.steps_completed
        ended = completed in self._ends or self.model.stop_training
        if ended or self._due() or self._evaluator.improved:
            self.save()

    def save(self) -> None:
        """Saves the last completed step, unless it is saved already, and removes old checkpoints."""
        if self._unsaved is None:
            return
        self._recorder.flush()  # first: a resumed run does not write again what comes before its checkpoint
        save_checkpoint(
            self._folder.checkpoints,
            step=self.model.steps_completed,
            epoch=self._unsaved["epoch"],
            arrays=with_measures(
                self._state.capture(), {} if self._measurements is None else self._measurements.arrays()
            ),
            metadata={
                "epoch_ended": self._unsaved["epoch_ended"],
                "samples_seen": self._recorder.samples_seen,
                "wall_seconds": self._recorder.wall_seconds,
                "best": self._evaluator.best,
                "best_step": self._best_step,
                "goals": None if self._goals is None else self._goals.state(),
                "measured_step": None if self._measurements is None else self._measurements.measured_step,
            },
        )
        protected = () if self._best_step is None else (self._best_step,)
        prune(self._folder.checkpoints, keep=self._keep, protect=protected)
        self._unsaved = None
        self._saved_at = time.monotonic()

    def _due(self) -> bool:
        if self._every_steps is not None:
            completed, made = self.model.steps_completed, len(self.model.last_steps)
            return completed // self._every_steps > (completed - made) // self._every_steps
        return self._every_seconds is not None and time.monotonic() - self._saved_at >= self._every_seconds
