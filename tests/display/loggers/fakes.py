"""A logger that keeps what it is given."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from tf_fullbatch.display.loggers.base import LoggedRun, Logger
from tf_fullbatch.errors import Outcome


class KeptLogger(Logger):
    """Keeps every call of every instance; `fails_in` names a method that raises.

    Attributes:
        calls: (method, what it was given).
    """

    summary: ClassVar[str] = "kept"
    packages: ClassVar[tuple[str, ...]] = ()
    calls: ClassVar[list[tuple]]
    fails_in: ClassVar[str] = ""

    def begin(self, run: LoggedRun, known_id: str | None) -> str:
        self._note("begin", Path(run.folder).name, known_id)
        return known_id or "id-1"

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._note("log", step, dict(values))

    def flush(self) -> None:
        self._note("flush")

    def finish(self, outcome: Outcome | None) -> None:
        self._note("finish", outcome)

    def _note(self, method: str, *given: object) -> None:
        type(self).calls.append((method, *given))
        if method == self.fails_in:
            raise ConnectionError("nobody\nanswers")


def kept_logger(fails_in: str = "") -> type[KeptLogger]:
    """A class of its own, with calls of its own."""
    return type("Kept", (KeptLogger,), {"calls": [], "fails_in": fails_in})


def logged(kind: type[KeptLogger]) -> dict[tuple[int, str], float]:
    """(step, name) -> value; fails where one came twice."""
    found: dict[tuple[int, str], float] = {}
    for method, *given in kind.calls:
        if method == "log":
            step, values = given
            twice = [name for name in values if (step, name) in found]
            assert not twice, f"step {step} came twice: {twice}"
            found |= {(step, name): value for name, value in values.items()}
    return found
