"""What a logger is."""

import abc
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tf_fullbatch.errors import Outcome


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LoggedRun:
    """A run, as loggers are told of it.

    Attributes:
        folder: The run's folder.
        settings: Setting -> value of every setting.
    """

    folder: Path
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The last two parts of its folder's path, such as "runs/quickstart" or "arm/seed-0"."""
        folder = self.folder.resolve()
        return f"{folder.parent.name}/{folder.name}"


class Logger(abc.ABC):
    """A service that takes a run's figures.

    Methods may raise anything: `LoggerSink` says so once and calls none any more. Packages are imported within
    methods alone.

    Attributes:
        summary: A few words for `--help`.
        packages: What must be installed, as it is imported.
    """

    summary: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]

    @abc.abstractmethod
    def begin(self, run: LoggedRun, known_id: str | None) -> str:
        """Begins the service's record of a run, or goes on with it; called once, before all others.

        Args:
            run: The run.
            known_id: The name that the service had for it; None for a new run.

        Returns:
            The service's name for it.
        """

    @abc.abstractmethod
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Takes figures at a step; steps never fall, and a step comes once for each name."""

    @abc.abstractmethod
    def flush(self) -> None:
        """Hands on what is held back."""

    @abc.abstractmethod
    def finish(self, outcome: Outcome | None) -> None:
        """Ends; the last call.

        Args:
            outcome: How the run ended; None where this process alone did.
        """
