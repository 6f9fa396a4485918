"""Which folder a run may write to, and whose folder it is."""

import hashlib
import json
from pathlib import Path
from typing import Any

from tf_fullbatch.config.run import Config, deciding_differences, deciding_settings
from tf_fullbatch.outcomes import Outcome, UserError
from tf_fullbatch.records import RunFolder, naming_failures, read_json
from tf_fullbatch.training.checkpoints import Checkpoint, list_checkpoints


def default_output_dir(config: Config) -> str:
    """runs/DATASET-MODEL-HASH, the hash of all settings that decide results: the same command, the same folder."""
    digest = hashlib.sha256(json.dumps(deciding_settings(config)).encode()).hexdigest()[:8]
    return f"runs/{config.data.dataset.replace('/', '-').replace(':', '-')}-{config.model.model}-{digest}"


def check_folder(folder: RunFolder, config: Config) -> None:
    """Refuses an output folder that is not this run's.

    Raises:
        UserError: A foreign folder, a run with other deciding settings, or a folder that cannot be written.
    """
    path = folder.path
    with naming_failures(path):
        exists = path.exists()
    if exists and not path.is_dir():
        raise UserError(f"--output_dir={path}: it is a file. Give a folder.")
    if folder.config.exists():
        old = read_config(folder)
        differences = deciding_differences(old, config)
        if differences and _has_results(folder):
            shown = "; ".join(f"--{name}: {a} there, {b} now" for name, a, b in differences)
            by_default = config.optimizer.schedule_epochs is None and "--schedule_epochs" in shown
            hint = " Where --schedule_epochs is not given, it is --epochs." if by_default else ""
            raise UserError(
                f"--output_dir={path} holds a run with other settings ({shown}). Choose another --output_dir or the "
                f"same settings.{hint}"
            )
    elif path.is_dir() and any(not inside.name.startswith(".") for inside in path.iterdir()):
        raise UserError(
            f"--output_dir={path} holds files but no run of tf_fullbatch. Choose an empty or new folder."
        )
    probe = path
    while not probe.exists():
        probe = probe.parent
    with naming_failures(path):
        _probe_writable(probe)


def _has_results(folder: RunFolder) -> bool:
    """Whether there is a completed step to lose."""
    lines = folder.metrics.read_bytes().count(b"\n") if folder.metrics.exists() else 0
    return lines > 1 or bool(list_checkpoints(folder.checkpoints))


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
    except (UserError, TypeError) as error:  # a value of another type fails in a comparison
        raise UserError(f"{folder.config}: {error} Another version wrote it, or it is damaged.") from error


def finished_summary(
    folder: RunFolder, config: Config, checkpoint: Checkpoint | None
) -> dict[str, Any] | None:
    """What summary.json says of a run that has all its epochs and all its files; None where there is work to do.

    Raises:
        UserError: The run has more epochs than are asked for.
    """
    if checkpoint is None:
        return None
    if checkpoint.epoch > config.runtime.epochs:
        raise UserError(
            f"--epochs={config.runtime.epochs}: the run in {folder.path} already has {checkpoint.epoch:g}. Give more "
            "--epochs, or another --output_dir."
        )
    if checkpoint.epoch < config.runtime.epochs or not (folder.model.exists() and folder.curves.exists()):
        return None
    try:
        summary = read_json(folder.summary)
        ended = (summary["outcome"], summary["steps"])
    except (UserError, KeyError, TypeError):  # not there, or damaged: it is written anew
        return None
    return summary if ended == (Outcome.COMPLETED.name, checkpoint.step) else None
