"""Executes a configuration: trains, resumes, evaluates, or plans a run, and leaves its folder behind."""

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch import cli_flags, composition, dry_run
from tf_fullbatch.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.config.run import Config
from tf_fullbatch.devices import describe_devices
from tf_fullbatch.evaluate import evaluate
from tf_fullbatch.outcomes import DeviceMemoryError, Outcome, RunError, UserError
from tf_fullbatch.output_dir import check_folder, default_output_dir, finished_summary
from tf_fullbatch.records import RunFolder, naming_failures, read_csv, write_json, write_text
from tf_fullbatch.reporting.curves import plot_curves
from tf_fullbatch.reporting.progress import ProgressLine
from tf_fullbatch.reporting.summary import run_summary
from tf_fullbatch.reporting.tables import summary_table
from tf_fullbatch.reporting.tensorboard import TensorBoardWriter, code_block
from tf_fullbatch.training import callbacks as run_callbacks
from tf_fullbatch.training.checkpoints import Checkpoint, list_checkpoints, load_latest


def execute(config: Config) -> Outcome:
    """Runs a configuration in its mode.

    Returns:
        How it ended.

    Raises:
        RunError: With a line for the user.
    """
    with _naming_memory_failures():
        if config.runtime.dry_run:
            print(dry_run.plan(config))
            return Outcome.COMPLETED
        if config.runtime.mode == "evaluate":
            return evaluate(config)
        return train(config)


@contextlib.contextmanager
def _naming_memory_failures() -> Iterator[None]:
    """Turns TensorFlow's exception into one that says what to do."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise DeviceMemoryError(
            "the device ran out of memory: choose a smaller --micro_batch_size or a smaller --model."
        ) from error


def train(config: Config) -> Outcome:
    """Trains, or goes on training, the run in the output folder."""
    folder = RunFolder(config.runtime.output_dir or default_output_dir(config))
    check_folder(folder, config)
    checkpoint, notes = load_latest(folder.checkpoints)
    summary = finished_summary(folder, config, checkpoint)
    if summary is not None:
        if not config.runtime.quiet:
            print(f"nothing to do: {folder.path} has its {config.runtime.epochs} epochs", file=sys.stderr)
            print(summary_table(summary))
        return Outcome.COMPLETED
    parts = composition.assemble(config, checkpoint)
    folder.create()
    write_json(folder.config, config.to_dict())
    write_text(folder.flags, cli_flags.flagfile_text(config))
    for note in notes:  # also with --quiet: damage is an error
        print(f"warning: {note}", file=sys.stderr)
    if not config.runtime.quiet:
        print(f"{config.data.dataset}: {parts.splits} samples", file=sys.stderr)
    return _Session(config, folder, parts, checkpoint).run()


class _Session:
    """One process' part of a run: callbacks wired together, the fit, and the end of it."""

    def __init__(
        self, config: Config, folder: RunFolder, parts: composition.Assembly, checkpoint: Checkpoint | None
    ):
        self._config, self._folder, self._parts = config, folder, parts
        self._batches = composition.training_batches(config, parts.splits.train)
        self._first_epoch = 0 if checkpoint is None else int(checkpoint.epoch)
        self._first_step = 0 if checkpoint is None else checkpoint.step
        before: dict[str, Any] = {} if checkpoint is None else checkpoint.metadata
        self.progress = self._open_progress()
        self._writer = self._open_writer()
        self._recorder = run_callbacks.Recorder(
            folder,
            self._writer,
            resume_step=self._first_step,
            samples_seen=before.get("samples_seen", 0),
            wall_seconds=before.get("wall_seconds", 0.0),
        )
        self._evaluator = self._build_evaluator(before)
        self._checkpointer = run_callbacks.Checkpointer(
            folder,
            parts.state,
            self._recorder,
            self._evaluator,
            every=config.runtime.checkpoint_every,
            epochs=config.runtime.epochs,
            keep=config.runtime.keep_checkpoints,
            best_step=before.get("best_step"),
        )
        self._callbacks = self._in_order()

    def _build_evaluator(self, before: dict[str, Any]) -> run_callbacks.Evaluator:
        splits = self._parts.splits.evaluated
        return run_callbacks.Evaluator(
            self._folder,
            self._writer,
            self.progress,
            splits={name: composition.evaluation_batches(self._config, s) for name, s in splits.items()},
            every=self._config.runtime.evaluate_every,
            epochs=self._config.runtime.epochs,
            ema=self._parts.ema,
            resume_step=self._first_step,
            best=before.get("best"),
        )

    def _open_progress(self) -> ProgressLine:
        total = self._config.runtime.epochs * self._batches.plan(1).steps_per_epoch
        quiet = self._config.runtime.quiet
        progress = ProgressLine(total, sys.stderr, initial_step=self._first_step, quiet=quiet)
        if 0 < self._first_epoch < self._config.runtime.epochs:
            progress.message(
                f"resuming {self._folder.path} after step {self._first_step} (epoch {self._first_epoch})"
            )
        return progress

    def _open_writer(self) -> TensorBoardWriter:
        earlier = read_csv(self._folder.metrics, STEP_COLUMNS) if self._folder.metrics.exists() else []
        return TensorBoardWriter(
            self._folder.summaries,
            resume_step=self._first_step,
            recent_clipped=[float(row["clipped"]) for row in earlier if int(row["step"]) <= self._first_step],
        )

    def _in_order(self) -> list[keras.callbacks.Callback]:
        """The callbacks: averages move before they are evaluated, evaluations come before checkpoints."""
        runtime = self._config.runtime
        callbacks: list[keras.callbacks.Callback] = [self._recorder]
        if self._parts.ema is not None:
            callbacks.append(run_callbacks.EmaUpdate(self._parts.ema))
        callbacks += [self._evaluator, self._checkpointer, run_callbacks.Progress(self.progress)]
        if runtime.histograms_every:
            callbacks.append(run_callbacks.Histograms(self._writer, runtime.histograms_every))
        if runtime.profile_steps:
            first, last = runtime.profile_steps
            callbacks.append(run_callbacks.Profiler(str(self._folder.summaries / "train"), first, last))
        return callbacks

    def run(self) -> Outcome:
        """Trains to the last epoch and writes what a run leaves behind, however it ends."""
        outcome, message = Outcome.COMPLETED, ""
        self._describe()
        try:
            self._fit()
        except RunError as error:
            outcome, message = error.outcome, str(error)
            if isinstance(error, UserError):  # the folder cannot be written: nothing more can be
                raise
            self._checkpointer.save_last_epoch()
        except KeyboardInterrupt:
            self._checkpointer.save_last_epoch()
            outcome, message = Outcome.INTERRUPTED, self._how_to_go_on()
        finally:
            for callback in self._callbacks:
                if callback.model is not None:  # Keras leaves this out where fit ends by an exception
                    callback.on_train_end()
            self.progress.close()
            self._recorder.close()
            self._evaluator.close()
            self._writer.close()
        self._finish(outcome, message)
        return outcome

    def _fit(self) -> None:
        epochs = self._config.runtime.epochs
        if self._first_epoch < epochs:
            with _naming_memory_failures():
                self._parts.model.fit(
                    self._batches,
                    epochs=epochs,
                    initial_epoch=self._first_epoch,
                    verbose=0,
                    callbacks=self._callbacks,
                )

    def _describe(self) -> None:
        """Configuration and hyperparameters, for TensorBoard."""
        groups = self._config.to_dict()
        self._writer.write_config(code_block(json.dumps(groups, indent=2)))
        flat = {name: value for group in groups.values() for name, value in group.items()}
        splits = [s for s in ("validation", "test") if s in self._evaluator.split_names]
        columns = [(split, figure) for split in splits for figure in ("accuracy", "loss")]
        first = ("batch_size", "penalty", "penalty_strength", "learning_rate", "clip_norm")
        ordered = {name: flat[name] for name in first} | flat
        self._writer.write_hparams(ordered, [*columns, ("train", "loss")])

    def _finish(self, outcome: Outcome, message: str) -> None:
        metrics = read_csv(self._folder.metrics, STEP_COLUMNS)
        evaluations = read_csv(self._folder.evaluations, EVALUATION_COLUMNS)
        # Aside first: a killed process leaves the old model whole.
        aside = self._folder.model.with_name(".model.aside.keras")
        with naming_failures(self._folder.model):
            self._parts.model.network.save(aside)
            aside.replace(self._folder.model)
        summary = run_summary(
            outcome=outcome,
            metrics=metrics,
            evaluations=evaluations,
            output_dir=self._folder.path,
            device=describe_devices(self._parts.strategy),
            message=message,
        )
        write_json(self._folder.summary, summary)
        plot_curves(metrics, evaluations, self._folder.curves, self._title(), self._config.step.clip_norm)
        if not self._config.runtime.quiet:
            print(summary_table(summary))
        if outcome is not Outcome.COMPLETED:
            print(f"error: {message}", file=sys.stderr)

    def _title(self) -> str:
        return f"{self._config.model.model} on {self._config.data.dataset}"

    def _how_to_go_on(self) -> str:
        saved = list_checkpoints(self._folder.checkpoints)
        if not saved:
            return "interrupted; no checkpoint was saved yet. The same command starts anew."
        return f"interrupted; the checkpoint {saved[0].name} is kept. The same command goes on from there."
