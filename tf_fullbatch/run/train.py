"""One process' part of a training run, from its first step to what it leaves behind."""

import contextlib
import json
import sys
from typing import Any

import keras

from tf_fullbatch.config.comparing import compared_settings
from tf_fullbatch.config.run import Config
from tf_fullbatch.display.progress import ProgressLine
from tf_fullbatch.display.sinks import Sinks
from tf_fullbatch.display.tensorboard import code_block
from tf_fullbatch.display.text import summary_table
from tf_fullbatch.errors import (
    NonFiniteError,
    Outcome,
    RunError,
    RunInterruptedError,
    UserError,
    WorkerLostError,
)
from tf_fullbatch.optim.rules.search_optimizer import SearchOptimizer
from tf_fullbatch.records.checkpoints import Checkpoint, list_checkpoints, load_latest
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.tables import last_row
from tf_fullbatch.run import build
from tf_fullbatch.run.conclusion import conclude
from tf_fullbatch.run.devices import describe_devices, multi_worker
from tf_fullbatch.run.failures import naming_lost_workers, naming_memory_failures
from tf_fullbatch.run.interruption import StopRequests
from tf_fullbatch.run.measuring import RunMeasurements
from tf_fullbatch.run.network_file import save_network
from tf_fullbatch.run.recording import (
    measured_in_steps,
    open_loggers,
    open_tensorboard,
    planned_evaluations,
    planned_measurements,
    results_before,
)
from tf_fullbatch.run.splits import evaluation_batches, training_batches
from tf_fullbatch.run.verdict import refuse_divergence
from tf_fullbatch.training.callbacks import AverageUpdate, Evaluator, Histograms, Profiler, Progress, Recorder
from tf_fullbatch.training.checkpointer import Checkpointer
from tf_fullbatch.training.goals import Goals
from tf_fullbatch.training.measuring import Measured


class RunSession:
    """One process' part of a run: callbacks wired together, the fit, and the end of it.

    Args:
        config: The run.
        folder: Where this process writes.
        parts: What the configuration names, restored from the checkpoint.
        checkpoint: Where to go on from; None to begin.
        stops: Says when to stop.
        chief: Whether this process saves checkpoints and speaks to the user; others do without.
        raises: Whether what ended the run is raised at its end, and not printed.
    """

    def __init__(
        self,
        config: Config,
        folder: RunFolder,
        parts: build.Assembly,
        checkpoint: Checkpoint | None,
        stops: StopRequests,
        *,
        chief: bool,
        raises: bool = False,
    ):
        self._raises = raises
        self._config, self._folder, self._parts, self._stops = config, folder, parts, stops
        self._quiet, self._chief = config.runtime.quiet or not chief, chief
        self._batches = training_batches(config, parts.splits.train)
        self._first_epoch = 0 if checkpoint is None else int(checkpoint.epoch)
        self._first_step = 0 if checkpoint is None else checkpoint.step
        before: dict[str, Any] = {} if checkpoint is None else checkpoint.metadata
        self._epoch_ended = before.get("epoch_ended", True)
        self._say = _to_stderr
        # They take seconds to load, which are none of the progress line's.
        loggers = open_loggers(config, folder, lambda text: self._say(text)) if chief else []
        self.progress = self._open_progress()
        self._tensorboard = open_tensorboard(config, folder, self._first_step)
        self._writer = Sinks([*loggers, self._tensorboard])
        self._recorder = Recorder(
            folder,
            self._writer,
            resume_step=self._first_step,
            samples_seen=before.get("samples_seen", 0),
            wall_seconds=before.get("wall_seconds", 0.0),
        )
        self._evaluator = self._build_evaluator(before)
        goals: dict[str, Any] = {**config.runtime.goals}
        self._goals = Goals(**goals, state=before.get("goals"))
        self._measurements = RunMeasurements(config, folder, checkpoint, self._tell_measured)
        self._checkpointer = self._build_checkpointer(before)
        self._callbacks = self._in_order()
        self._weights_lost = False

    def _build_evaluator(self, before: dict[str, Any]) -> Evaluator:
        splits = self._parts.splits.evaluated
        if not self._config.runtime.evaluate_test:
            splits.pop("test", None)
        return Evaluator(
            self._folder,
            self._writer,
            self.progress,
            splits={name: evaluation_batches(self._config, s) for name, s in splits.items()},
            every=self._config.runtime.evaluate_every,
            ends=self._config.stretch_ends,
            average=self._parts.average,
            # Of an interrupted evaluation nothing counts: it is made again.
            resume_step=self._first_step if self._epoch_ended else self._first_step - 1,
            best=before.get("best"),
        )

    def _tell_measured(self, measured: Measured) -> None:
        self._writer.write_measurements(measured.step, measured.records)
        self.progress.measured(
            *measured_in_steps(measured.records, self._config, self._batches.steps_per_epoch)
        )

    def _build_checkpointer(self, before: dict[str, Any]) -> Checkpointer:
        runtime = self._config.runtime
        return Checkpointer(
            self._folder,
            self._parts.state,
            self._recorder,
            self._evaluator,
            every_steps=runtime.checkpoint_steps,
            every_seconds=runtime.checkpoint_seconds,
            ends=self._config.stretch_ends,
            keep=runtime.keep_checkpoints,
            best_step=before.get("best_step"),
            measurements=self._measurements.callback,
            goals=self._goals,
        )

    def _open_progress(self) -> ProgressLine:
        total = self._config.total_epochs * self._batches.steps_per_epoch
        progress = ProgressLine(
            total,
            sys.stderr,
            initial_step=self._first_step,
            quiet=self._quiet,
            evaluations=planned_evaluations(self._config, self._parts.splits, self._batches.steps_per_epoch),
            measurements=planned_measurements(self._config),
        )
        if not self._quiet:
            self._say = progress.message
        if 0 < self._first_step < total:
            progress.message(
                f"resuming {self._folder.path} after step {self._first_step} (epoch {self._first_epoch})"
            )
        return progress

    def _in_order(self) -> list[keras.callbacks.Callback]:
        """The callbacks: averages move before they are evaluated, checkpoints come after all that is recorded.

        Whether a step is the last is known before anything is done about it.
        """
        runtime = self._config.runtime
        callbacks: list[keras.callbacks.Callback] = [self._recorder, self._goals]
        if self._parts.average is not None:
            callbacks.append(AverageUpdate(self._parts.average, runtime.swa_start_epoch or 1))
        callbacks.append(self._evaluator)
        if self._measurements.callback is not None:
            callbacks.append(self._measurements.callback)
        if runtime.histograms_every:
            callbacks.append(Histograms(self._writer, runtime.histograms_every))
        if self._chief:
            callbacks.append(self._checkpointer)
        callbacks.append(Progress(self.progress))
        if runtime.profile_steps:
            first, last = runtime.profile_steps
            callbacks.append(Profiler(str(self._folder.summaries / "train"), first, last))
        return callbacks

    def run(self) -> Outcome:
        """Trains to the last epoch and writes what a run leaves behind, however it ends."""
        outcome, message, failure = None, "", None
        try:
            self._describe()
            self._stops.working(self.progress.message)
            self._fit()
            train = self._parts.splits.train
            classes = train.num_classes if train.has_classes else None
            refuse_divergence(self._folder, self._config, self._parts.model.network, classes)
            outcome, message = self._goals.outcome, self._goals.message
        except RunError as error:
            outcome, message, failure = error.outcome, str(error), error
            if isinstance(error, UserError):  # the folder cannot be written: nothing more can be
                raise
            if isinstance(error, NonFiniteError) and error.weights_lost:
                message = f"{message} {self._back_to_checkpoint()}"
            elif self._chief:
                self._checkpointer.save()
                if isinstance(error, RunInterruptedError | WorkerLostError):
                    message = f"{message}: {self._how_to_go_on()}"
        finally:
            for callback in self._callbacks:
                if callback.model is not None:  # Keras leaves this out where fit ends by an exception
                    callback.on_train_end()
            self.progress.close()
            self._recorder.close()
            self._evaluator.close()
            self._measurements.close()
            self._writer.close(outcome)
        self._finish(outcome, message)
        if failure is not None and self._raises:
            failure.args = (message,)
            raise failure
        return outcome

    def _fit(self) -> None:
        model, epochs = self._parts.model, self._config.total_epochs
        model.stop_requested = lambda: self._stops.requested
        several = multi_worker(self._config.runtime.strategy) is not None
        with naming_lost_workers() if several else contextlib.nullcontext(), naming_memory_failures():
            self._look_at_goals()
            done = self._goals.ended or self._first_epoch >= epochs  # no `fit` comes
            model.stop_training = self._goals.ended
            if done and self._measurements.callback is not None:
                model.trainer.begin(self._batches, 0)
                self._measurements.callback.set_model(model)
                self._measurements.callback.catch_up()
            if not self._epoch_ended or (self._goals.ended and not self._is_evaluated()):
                self._end_epoch(self._first_epoch - 1)  # whose evaluation was interrupted, or was not due
            if not done:
                model.fit(
                    self._batches,
                    epochs=epochs,
                    initial_epoch=self._first_epoch,
                    initial_step=self._first_step - self._first_epoch * self._batches.steps_per_epoch,
                    verbose=0,
                    callbacks=self._callbacks,
                )

    def _look_at_goals(self) -> None:
        """Looks whether the run that is gone on with has reached its goals: they may be others now."""
        steps, epochs = self._first_step, self._first_epoch
        if steps and steps == epochs * self._batches.steps_per_epoch:
            self._goals.look(steps, epochs)

    def _is_evaluated(self) -> bool:
        """Whether the last step before this process has its evaluation."""
        last = last_row(self._folder.evaluations)
        return not self._evaluator.split_names or last.get("step") == str(self._first_step)

    def _end_epoch(self, epoch: int) -> None:
        """What remains to be done at the end of an epoch whose last step is made, and its average moved."""
        for callback in self._callbacks:
            if isinstance(callback, Evaluator | Checkpointer | Histograms):
                callback.set_model(self._parts.model)
                callback.on_epoch_end(epoch)

    def _describe(self) -> None:
        """Configuration and hyperparameters, for TensorBoard."""
        self._tensorboard.write_config(code_block(json.dumps(self._config.to_dict(), indent=2)))
        settings = compared_settings(self._config)
        names = self._config.runtime.hparams or settings
        settings = self._config.values() | settings
        self._tensorboard.write_hparams(
            {name: settings[name] for name in names},
            ("train", *self._evaluator.split_names),
            results_before(self._folder, self._first_step),
        )

    def _finish(self, outcome: Outcome, message: str) -> None:
        if self._chief:
            self._leave_behind(outcome, message)
        if not outcome.is_finished and not self._raises:
            print(f"error: {message}", file=sys.stderr)

    def _leave_behind(self, outcome: Outcome, message: str) -> None:
        if not self._weights_lost:
            save_network(self._parts.model.network, self._folder.model)
        optimizer = self._parts.model.optimizer
        summary = conclude(
            self._folder,
            self._config,
            outcome,
            message,
            describe_devices(self._parts.strategy),
            self._goals.reached if outcome is Outcome.STOPPED_BY_GOAL else None,
            optimizer.state.counts() if isinstance(optimizer, SearchOptimizer) else None,
        )
        if not self._quiet:
            print(summary_table(summary))

    def _back_to_checkpoint(self) -> str:
        """Takes the last checkpoint's weights in place of lost ones; words for what is kept."""
        checkpoint, _ = load_latest(self._folder.checkpoints)
        if checkpoint is None:
            self._weights_lost = True
            return "No checkpoint was saved before, and no model is."
        self._parts.state.restore(checkpoint.arrays)
        return f"The weights of step {checkpoint.step}, the last that was saved, are kept."

    def _how_to_go_on(self) -> str:
        saved = list_checkpoints(self._folder.checkpoints)
        if not saved:
            return "no step was completed. The same command starts anew."
        return f"{saved[0].name} is kept. The same command goes on from there."


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)
