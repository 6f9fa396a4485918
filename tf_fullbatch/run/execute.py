"""Executes a configuration: trains, resumes, evaluates, or plans a run."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from tf_fullbatch.config.run import Config
from tf_fullbatch.display.loggers.registry import check_installed
from tf_fullbatch.display.text import summary_table
from tf_fullbatch.errors import Outcome
from tf_fullbatch.records.checkpoints import Checkpoint, load_latest
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.run import build, devices, plan
from tf_fullbatch.run.evaluate import evaluate
from tf_fullbatch.run.failures import naming_memory_failures
from tf_fullbatch.run.fingerprint import fingerprint
from tf_fullbatch.run.interruption import StopRequests
from tf_fullbatch.run.network_file import refuse_unsavable
from tf_fullbatch.run.output_dir import check_folder, default_output_dir, finished_summary, locked
from tf_fullbatch.run.own_files import file_hashes
from tf_fullbatch.run.splits import decode_streamed
from tf_fullbatch.run.train import RunSession


def execute(config: Config) -> Outcome:
    """Runs a configuration in its mode.

    Returns:
        How it ended.

    Raises:
        RunError: With a line for the user.
    """
    with naming_memory_failures():
        if config.runtime.dry_run:
            check_installed(config.runtime.loggers)
            print(plan.plan(config))
            return Outcome.COMPLETED
        if config.runtime.mode == "evaluate":
            return evaluate(config)
        with StopRequests() as stops:
            return train(config, stops).outcome


class Trained(NamedTuple):
    """A training that ended.

    Attributes:
        outcome: How.
        parts: What was trained; None where there was nothing to do.
    """

    outcome: Outcome
    parts: build.Assembly | None


def train(
    config: Config,
    stops: StopRequests,
    strategy: tf.distribute.Strategy | None = None,
    *,
    raises: bool = False,
) -> Trained:
    """Trains, or goes on training, the run in the output folder.

    Args:
        config: The run.
        stops: Says when to stop.
        strategy: Where variables live; None where the settings say so.
        raises: Raise what ended the run before its last epoch, instead of printing it.

    Raises:
        RunError: With a line for the user.
    """
    check_installed(config.runtime.loggers)
    folder = RunFolder(config.runtime.output_dir or default_output_dir(config))
    check_folder(folder, config)
    chief = devices.is_chief(config.runtime.strategy)
    with locked(folder) if chief else contextlib.nullcontext():
        checkpoint, notes = load_latest(folder.checkpoints)
        summary = finished_summary(folder, config, checkpoint)
        quiet = config.runtime.quiet or not chief
        if summary is not None:
            if not quiet:
                print(f"nothing to do: {folder.path} {_why_finished(summary, config)}", file=sys.stderr)
                _say_what_is_not_measured(folder, config)
                print(summary_table(summary))
            return Trained(Outcome[summary["outcome"]], None)
        parts = build.assemble(config, strategy or devices.choose_strategy(config.runtime), checkpoint)
        refuse_unsavable(parts.model.network)
        build.refuse_measured(config, parts)
        if checkpoint is None:
            decode_streamed(config, parts.splits)
        if chief:
            folder.create()
            weights = _initial_weights_hash(folder, parts, checkpoint)
            folder.write_config(config, file_hashes(config), weights)
            for note in notes:  # also with --quiet: damage is an error
                print(f"warning: {note}", file=sys.stderr)
        if not quiet:
            print(f"{config.data.dataset}: {parts.splits} samples", file=sys.stderr)
            for note in parts.splits.notes:
                print(f"note: {note}", file=sys.stderr)
            update_batch = config.optimizer.batch_size or len(parts.splits.train)
            for remark in config.learning_rates(update_batch).remarks():
                print(f"note: {remark}", file=sys.stderr)
        with _written_to(folder, chief=chief) as written:
            session = RunSession(config, written, parts, checkpoint, stops, chief=chief, raises=raises)
            return Trained(session.run(), parts)


def _why_finished(summary: Mapping[str, Any], config: Config) -> str:
    """Why a run has nothing left to do, as a clause."""
    if summary["outcome"] == Outcome.COMPLETED.name:
        return f"has its {config.total_epochs} epochs"
    advice = ""
    if summary["outcome"] == Outcome.STOPPED_BY_GOAL.name:
        advice = ". To go on, lower that goal or leave it out"
    return f"ended after {summary['epochs']:g} of {config.total_epochs} epochs, {summary['message']}{advice}"


def _say_what_is_not_measured(folder: RunFolder, config: Config) -> None:
    """A line on measures that a finished run is asked for and has not."""
    before = folder.read_config().measures.measure
    lacking = [name for name in config.measures.measure if name not in before]
    if lacking:
        print(
            f"note: not measured: {', '.join(lacking)}; --measure works along training, python -m tf_fullbatch.analyze "
            "on the weights of a finished run.",
            file=sys.stderr,
        )


def _initial_weights_hash(
    folder: RunFolder, parts: build.Assembly, checkpoint: Checkpoint | None
) -> str | None:
    """SHA-256 of the weights that the run begins with, or began with; None where it is not known any more."""
    if checkpoint is None:
        return fingerprint(parts.model.network.get_weights())
    return folder.read_initial_weights_hash()


@contextlib.contextmanager
def _written_to(folder: RunFolder, *, chief: bool) -> Iterator[RunFolder]:
    """The run's folder for the chief; one that is thrown away for other workers, which compute the same figures."""
    if chief:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="tf_fullbatch-worker-") as scratch:
        yield RunFolder(scratch)
