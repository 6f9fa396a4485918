"""Which folder a run may write to, and whose folder it is."""

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.comparing import result_differences, result_settings
from tf_fullbatch.config.run import Config
from tf_fullbatch.display.text import summary_table
from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.records.checkpoints import Checkpoint, list_checkpoints
from tf_fullbatch.records.files import os_errors_as_user_errors
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.summary import ended_before_its_passes, read_summary
from tf_fullbatch.records.tables import last_row
from tf_fullbatch.run.own_files import check_unchanged
from tf_fullbatch.settings.part_names import shortened

Difference = tuple[str, Any, Any]
"""The name of a setting, and its value there and now."""


def default_output_dir(config: Config) -> str:
    """runs/DATASET-MODEL-HASH, the hash of all settings that affect results: the same command, the same folder."""
    digest = hashlib.sha256(json.dumps(result_settings(config)).encode()).hexdigest()[:8]
    named = f"{shortened(config.data.dataset)}-{shortened(config.model.model)}"
    return f"runs/{named.replace('/', '-').replace(':', '-')}-{digest}"


def check_folder(folder: RunFolder, config: Config) -> None:
    """Refuses an output folder that is not this run's.

    Raises:
        UserError: A foreign folder, a run with other settings that affect results, or a folder that cannot be written.
    """
    path = folder.path
    with os_errors_as_user_errors(path):
        exists, holds_run = path.exists(), folder.config.exists()
    if exists and not path.is_dir():
        raise UserError(f"--output_dir={path}: it is a file. Give a folder.")
    if holds_run:
        old = folder.read_config()
        differences = _given(result_differences(old, config), old, config)
        if differences and _has_results(folder):
            shown = "; ".join(f"--{name}: {_shown(a)} there, {_shown(b)} now" for name, a, b in differences)
            by_default = config.optimizer.schedule_epochs is None and "--schedule_epochs" in shown
            hint = " Where --schedule_epochs is not given, it is --epochs." if by_default else ""
            if len(config.optimizer.extensions) < len(old.optimizer.extensions):
                again = [flag for flag in cli_flags.arguments(old) if flag.startswith("--extend_")]
                hint += f" It was extended: to go on with it, give {' '.join(again)} too."
            raise UserError(
                f"--output_dir={path} holds a run with other settings ({shown}). Choose another --output_dir or the "
                f"same settings.{hint}"
            )
        if _has_results(folder):
            check_unchanged(folder, config)
    elif path.is_dir() and any(not inside.name.startswith(".") for inside in path.iterdir()):
        raise UserError(
            f"--output_dir={path} holds files but no run of tf_fullbatch. Choose an empty or new folder."
        )
    probe = path
    while not probe.exists():
        probe = probe.parent
    with os_errors_as_user_errors(path):
        _probe_writable(probe)


@contextlib.contextmanager
def locked(folder: RunFolder) -> Iterator[None]:
    """Holds a run's folder for this process; the system gives the lock up when the process ends, however it ends.

    A folder that was made for the lock and got nothing else is removed.

    Raises:
        UserError: Another process trains there, or the folder cannot be written.
    """
    made = not folder.path.exists()
    folder.create()
    lock = FileLock(folder.lock)
    with os_errors_as_user_errors(folder.lock):
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"--output_dir={folder.path} is in use by another process that trains there. Wait for it, or choose "
                "another --output_dir."
            ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the folder may be gone, or hold results by now
            # While it is held: who waits for this file looks for a new one.
            folder.lock.unlink(missing_ok=True)
            lock.release()
            if made:
                folder.path.rmdir()


def _given(differences: list[Difference], old: Config, new: Config) -> list[Difference]:
    """Without the settings of appended passes that neither names: they follow from others."""
    named = {name for config in (old, new) for name, value in config.values().items() if value != ()}
    return [one for one in differences if one[0] in named or not one[0].startswith("extend_")]


def _shown(value: Any) -> str:
    return (",".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)


def _has_results(folder: RunFolder) -> bool:
    """Whether there is a completed step to lose."""
    return bool(last_row(folder.metrics) or list_checkpoints(folder.checkpoints))


def _probe_writable(folder: Path) -> None:
    probe = folder / f".tf_fullbatch-write-test-{os.getpid()}"  # its own: several workers may look at once
    probe.touch()
    probe.unlink()


def finished_summary(
    folder: RunFolder, config: Config, checkpoint: Checkpoint | None
) -> dict[str, Any] | None:
    """What summary.json says of a run that has ended well and has all its files; None where there is work to do.

    It has all its epochs, has reached a goal that it still has, or has converged.

    Raises:
        UserError: The run has more epochs than are asked for, or its checkpoints or tables are gone.
    """
    if checkpoint is None:
        if folder.summary.exists() and _has_results(folder):
            raise UserError(
                f"--output_dir={folder.path} holds a run that has ended, but none of its checkpoints: to train there "
                "would overwrite it. Restore checkpoints/, or choose another --output_dir."
            )
        return None
    own, appended = config.runtime.epochs, config.optimizer.extensions
    has_more = f"the run in {folder.path} already has {checkpoint.epoch:g}"
    if checkpoint.epoch > own and appended and not folder.read_config().optimizer.extensions:
        raise UserError(
            f"--epochs={own} with --extend_epochs: {has_more} by its own schedule. Append to those: "
            f"--epochs={math.ceil(checkpoint.epoch)}."
        )
    if checkpoint.epoch > config.total_epochs:
        raise UserError(f"--epochs={own}: {has_more}. Give more --epochs, or another --output_dir.")
    files = [
        folder.model,
        folder.curves,
        *([folder.measured_curves] if last_row(folder.measurements) else []),
    ]
    if not all(file.exists() for file in files):
        return None
    try:
        summary = read_summary(folder.summary)
        summary_table(summary)  # everything that is shown is there
    # Not there, or damaged: it is written anew.
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return None
    whole = summary["outcome"] == Outcome.COMPLETED.name and checkpoint.epoch == config.total_epochs
    ended = whole or ended_before_its_passes(summary, config.runtime.goals)
    if not ended or summary["steps"] != checkpoint.step:
        return None
    _check_tables(folder, checkpoint.step)
    return summary


def _check_tables(folder: RunFolder, step: int) -> None:
    """Refuses a finished run whose tables are gone or end before its last step: only training makes them again.

    Raises:
        UserError: One of them is, or does.
    """
    restore = "Restore it, or delete the folder to train anew."
    measured = [folder.measurements] if folder.read_config().measures.measure else []
    for table in (folder.metrics, folder.evaluations, *measured):
        if not table.exists():
            raise UserError(
                f"--output_dir={folder.path} holds a finished run without its {table.name}. {restore}"
            )
    for table in (folder.metrics, *measured):
        if last_row(table).get("step") != str(step):
            raise UserError(
                f"--output_dir={folder.path} holds a finished run whose {table.name} does not end with its last step, "
                f"{step}. {restore}"
            )
