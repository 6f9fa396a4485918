"""The output folder of a run: where its files stand, and its settings in config.json and run.flags."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.run import Config
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.files import (
    last_lines,
    os_errors_as_user_errors,
    read_json,
    write_json,
    write_text,
)

_FILES = "files_sha256"
_WEIGHTS = "initial_weights_sha256"
"""Where config.json has the hashes, beside the groups of settings."""


class RunFolder:
    """The named files of a run's output folder; creates nothing by itself."""

    STUDY_LINE = "study: "
    """What begins a line of `log` that the study has written, and not the run."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.flags = self.path / "run.flags"
        self.metrics = self.path / "metrics.csv"
        self.evaluations = self.path / "evaluations.csv"
        self.measurements = self.path / "measurements.csv"
        self.summaries = self.path / "summaries"
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model.keras"
        self.summary = self.path / "summary.json"
        self.curves = self.path / "curves.png"
        self.measured_curves = self.path / "measurements.png"
        self.lock = self.path / ".lock"

    def logger_note(self, logger: str) -> Path:
        """What a logger was given of the run."""
        return self.path / f"{logger}.json"

    @property
    def log(self) -> Path:
        """What a study's process for the run printed: a file beside the folder."""
        return self.path.with_name(f"{self.path.name}.log")

    def create(self) -> Self:
        """Makes the folder where it is missing; raises `UserError` where it cannot be made."""
        with os_errors_as_user_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        return self

    def write_config(
        self, config: Config, file_hashes: Mapping[str, str], initial_weights: str | None = None
    ) -> None:
        """Writes the settings: config.json, and run.flags, which repeats the run.

        Args:
            config: The settings.
            file_hashes: Setting -> SHA-256 of the user's file that it names.
            initial_weights: SHA-256 of the network's weights before the first step; None where that is not known.
        """
        hashes = {_FILES: dict(file_hashes), _WEIGHTS: initial_weights}
        write_json(self.config, config.to_dict() | {key: found for key, found in hashes.items() if found})
        write_text(self.flags, cli_flags.flagfile_text(config))

    def read_config(self) -> Config:
        """The settings of the run in this folder.

        Raises:
            UserError: There is none, or it is damaged or of another version.
        """
        with os_errors_as_user_errors(self.config):
            exists = self.config.exists()
        if not exists:
            raise UserError(f"{self.path}: there is no run (no config.json). Give a run's folder.")
        try:
            content = read_json(self.config)
            if isinstance(content, dict):
                for key in (_FILES, _WEIGHTS):
                    content.pop(key, None)
            return Config.from_dict(content)
        except UserError as error:
            raise UserError(
                f"{self.config} is damaged or of another version ({error}) Restore it, or choose another folder."
            ) from error

    def read_file_hashes(self) -> dict[str, str]:
        """Setting -> SHA-256 of the user's file that it named when the run began."""
        found = read_json(self.config).get(_FILES, {})
        return found if isinstance(found, dict) else {}

    def read_initial_weights_hash(self) -> str | None:
        """SHA-256 of the weights that the run began with; None where the run did not record it."""
        return read_json(self.config).get(_WEIGHTS)

    def last_error(self, offset: int = 0) -> str | None:
        """What a failed run last said in its log, from a byte on; None where it did not say why."""
        lines = [line.strip() for line in last_lines(self.log, offset) if line.strip()]
        lines = [line for line in lines if not line.startswith(self.STUDY_LINE)]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        if errors:
            return errors[-1]
        return lines[-1] if any(line.startswith("Traceback") for line in lines) else None
