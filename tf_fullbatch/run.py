"""Executes a configuration: trains, resumes, evaluates, or plans a run, and leaves its folder behind."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from tf_fullbatch import cli_flags, composition, dry_run
from tf_fullbatch.config.run import Config, deciding_differences, deciding_settings
from tf_fullbatch.data.pipeline import UpdateBatches
from tf_fullbatch.outcomes import Outcome, RunError, UserError
from tf_fullbatch.records import (
    EVALUATION_COLUMNS,
    STEP_COLUMNS,
    RunFolder,
    naming_failures,
    read_csv,
    read_json,
    write_json,
    write_text,
)
from tf_fullbatch.reporting.curves import plot_curves
from tf_fullbatch.reporting.progress import ProgressLine
from tf_fullbatch.reporting.summary import run_summary
from tf_fullbatch.reporting.tables import format_table, summary_table
from tf_fullbatch.reporting.tensorboard import TensorBoardWriter, code_block
from tf_fullbatch.training import callbacks as run_callbacks
from tf_fullbatch.training.checkpoints import Checkpoint, list_checkpoints, load_latest
from tf_fullbatch.training.ema import EmaWeights
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.state import TrainingState


def execute(config: Config) -> Outcome:
    """Runs a configuration in its mode.

    Returns:
        How it ended.

    Raises:
        RunError: With a line for the user.
    """
    if config.runtime.dry_run:
        print(dry_run.plan(config))
        return Outcome.COMPLETED
    if config.runtime.mode == "evaluate":
        return evaluate(config)
    return train(config)


def default_output_dir(config: Config) -> str:
    """runs/DATASET-MODEL-HASH, the hash of all settings that decide results: the same command, the same folder."""
    digest = hashlib.sha256(json.dumps(deciding_settings(config)).encode()).hexdigest()[:8]
    return f"runs/{config.data.dataset.replace('/', '-').replace(':', '-')}-{config.model.model}-{digest}"


def train(config: Config) -> Outcome:
    """Trains, or goes on training, the run in the output folder."""
    folder = RunFolder(config.runtime.output_dir or default_output_dir(config))
    check_folder(folder, config)
    composition.set_precision(config.runtime.dtype_policy)
    strategy = composition.choose_strategy(config.runtime.strategy)
    splits = composition.load_splits(config)
    model = composition.build_model(config, splits.train, strategy)
    ema = EmaWeights(model.network, config.runtime.ema_decay) if config.runtime.ema_decay else None
    state = TrainingState(model, ema)
    folder.create()
    checkpoint, notes = load_latest(folder.checkpoints)
    if checkpoint is not None:
        state.restore(checkpoint.arrays)
    write_json(folder.config, config.to_dict())
    write_text(folder.flags, cli_flags.flagfile_text(config))
    batches = composition.training_batches(config, splits.train)
    evaluated = {name: composition.evaluation_batches(config, s) for name, s in splits.evaluated.items()}
    session = _Session(config, folder, model, state, ema, batches, evaluated, checkpoint)
    for note in notes:
        session.progress.message(note)
    return session.run(composition.describe_devices(strategy))


class _Session:
    """One process' part of a run: callbacks wired together, the fit, and the end of it."""

    def __init__(
        self,
        config: Config,
        folder: RunFolder,
        model: FullBatchModel,
        state: TrainingState,
        ema: EmaWeights | None,
        batches: UpdateBatches,
        evaluated: dict[str, UpdateBatches],
        checkpoint: Checkpoint | None,
    ):
        self._config, self._folder, self._model, self._batches = config, folder, model, batches
        self._first_epoch = 0 if checkpoint is None else int(checkpoint.epoch)
        step = 0 if checkpoint is None else checkpoint.step
        before: dict[str, Any] = {} if checkpoint is None else checkpoint.metadata
        runtime = config.runtime
        total_steps = runtime.epochs * batches.plan(1).steps_per_epoch
        self.progress = ProgressLine(total_steps, sys.stderr, initial_step=step, quiet=runtime.quiet)
        if checkpoint is not None and self._first_epoch < runtime.epochs:
            self.progress.message(f"resuming {folder.path} after step {step} (epoch {self._first_epoch})")
        recent = read_csv(folder.metrics, STEP_COLUMNS) if folder.metrics.exists() else []
        self._writer = TensorBoardWriter(
            folder.summaries,
            resume_step=step,
            recent_clipped=[float(row["clipped"]) for row in recent if int(row["step"]) <= step],
        )
        self._recorder = run_callbacks.Recorder(
            folder,
            self._writer,
            self.progress,
            resume_step=step,
            samples_seen=before.get("samples_seen", 0),
            wall_seconds=before.get("wall_seconds", 0.0),
        )
        self._evaluator = run_callbacks.Evaluator(
            folder,
            self._writer,
            self.progress,
            splits=evaluated,
            every=runtime.evaluate_every,
            epochs=runtime.epochs,
            ema=ema,
            resume_step=step,
            best_accuracy=before.get("best_accuracy", 0.0),
        )
        self._checkpointer = run_callbacks.Checkpointer(
            folder,
            state,
            self._recorder,
            self._evaluator,
            every=runtime.checkpoint_every,
            epochs=runtime.epochs,
            keep=runtime.keep_checkpoints,
            best_step=before.get("best_step"),
        )
        self._callbacks = [self._recorder]
        if ema is not None:
            self._callbacks.append(run_callbacks.EmaUpdate(ema))
        self._callbacks += [self._evaluator, self._checkpointer]
        if runtime.histograms_every:
            self._callbacks.append(run_callbacks.Histograms(self._writer, runtime.histograms_every))
        if runtime.profile_steps:
            first, last = runtime.profile_steps
            self._callbacks.append(run_callbacks.Profiler(str(folder.summaries / "train"), first, last))

    def run(self, device: str) -> Outcome:
        """Trains to the last epoch and writes what a run leaves behind, however it ends."""
        outcome, message = Outcome.COMPLETED, ""
        self._describe()
        try:
            if self._first_epoch < self._config.runtime.epochs:
                self._model.fit(
                    self._batches,
                    epochs=self._config.runtime.epochs,
                    initial_epoch=self._first_epoch,
                    verbose=0,
                    callbacks=self._callbacks,
                )
        except RunError as error:
            outcome, message = error.outcome, str(error)
            if isinstance(error, UserError):  # the folder cannot be written: nothing more can be
                raise
        except KeyboardInterrupt:
            outcome, message = Outcome.INTERRUPTED, self._how_to_go_on()
        finally:
            self.progress.close()
            self._recorder.close()
            self._evaluator.close()
            self._writer.close()
        self._finish(outcome, message, device)
        return outcome

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

    def _finish(self, outcome: Outcome, message: str, device: str) -> None:
        metrics = read_csv(self._folder.metrics, STEP_COLUMNS)
        evaluations = read_csv(self._folder.evaluations, EVALUATION_COLUMNS)
        with naming_failures(self._folder.model):
            self._model.network.save(self._folder.model)
        summary = run_summary(
            outcome=outcome,
            metrics=metrics,
            evaluations=evaluations,
            output_dir=self._folder.path,
            device=device,
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
        kept = f"the checkpoint {saved[0].name} is kept" if saved else "no checkpoint was saved yet"
        return f"interrupted; {kept}. The same command goes on from there."


def check_folder(folder: RunFolder, config: Config) -> None:
    """Refuses an output folder that is not this run's.

    Raises:
        UserError: A foreign folder, a run with other deciding settings, or a folder that cannot be written.
    """
    path = folder.path
    if path.exists() and not path.is_dir():
        raise UserError(f"--output_dir={path}: it is a file. Give a folder.")
    if folder.config.exists():
        old = read_config(folder)
        differences = deciding_differences(old, config)
        if differences:
            shown = "; ".join(f"--{name}: {a} there, {b} now" for name, a, b in differences)
            raise UserError(
                f"--output_dir={path} holds a run with other settings ({shown}). Choose another --output_dir or the "
                "same settings."
            )
    elif path.is_dir() and any(path.iterdir()):
        raise UserError(
            f"--output_dir={path} holds files but no run of tf_fullbatch. Choose an empty or new folder."
        )
    probe = path
    while not probe.exists():
        probe = probe.parent
    with naming_failures(path):
        _probe_writable(probe)


def _probe_writable(folder: Path) -> None:
    probe = folder / ".tf_fullbatch-write-test"
    probe.touch()
    probe.unlink()


def read_config(folder: RunFolder) -> Config:
    """The configuration of the run in a folder.

    Raises:
        UserError: The folder holds no run, or its configuration is damaged or of another version.
    """
    if not folder.config.exists():
        raise UserError(f"--output_dir={folder.path}: there is no run (no config.json). Give a run's folder.")
    try:
        return Config.from_dict(read_json(folder.config))
    except UserError as error:
        raise UserError(f"{folder.config}: {error} Another version wrote it, or it is damaged.") from error


def evaluate(config: Config) -> Outcome:
    """Evaluates the weights of the newest checkpoint of the run in the output folder; changes nothing there."""
    if config.runtime.output_dir is None:
        raise UserError("--mode=evaluate needs --output_dir: the folder of a run.")
    folder = RunFolder(config.runtime.output_dir)
    trained = read_config(folder)
    composition.set_precision(trained.runtime.dtype_policy)
    strategy = composition.choose_strategy(config.runtime.strategy)
    checkpoint, notes = load_latest(folder.checkpoints)
    if checkpoint is None:
        raise UserError(f"--output_dir={folder.path}: there is no checkpoint to evaluate. Train first.")
    trained = trained.replacing(data_dir=config.data.data_dir or trained.data.data_dir)
    if config.step.flip_averaging:
        trained = trained.replacing(flip_averaging=True)
    splits = composition.load_splits(trained)
    model = composition.build_model(trained.replacing(initial_weights=None), splits.train, strategy)
    ema = EmaWeights(model.network, trained.runtime.ema_decay) if trained.runtime.ema_decay else None
    TrainingState(model, ema).restore(checkpoint.arrays)
    for note in notes:
        print(note, file=sys.stderr)
    rows = []
    for name, samples in {"train": splits.train, **splits.evaluated}.items():
        batches = composition.evaluation_batches(trained, samples)
        results = model.evaluate(batches, verbose=0, return_dict=True)
        rows.append([name, "raw", len(samples), f"{results['loss']:.4f}", f"{100 * results['accuracy']:.2f}"])
        if ema is not None:
            with ema.applied():
                results = model.evaluate(batches, verbose=0, return_dict=True)
            rows.append([name, "ema", len(samples), f"{results['loss']:.4f}", f"{100 * results['accuracy']:.2f}"])
    print(f"{folder.path}, step {checkpoint.step}, epoch {checkpoint.epoch:g}")
    print(format_table(["split", "weights", "samples", "loss", "accuracy %"], rows, "llrrr"))
    return Outcome.COMPLETED
