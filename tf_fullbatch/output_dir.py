"""Which folder a run may write to, and whose folder it is."""

import hashlib
import json
from pathlib import Path

from tf_fullbatch.config.run import Config, deciding_differences, deciding_settings
from tf_fullbatch.outcomes import UserError
from tf_fullbatch.records import RunFolder, naming_failures, read_json


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
