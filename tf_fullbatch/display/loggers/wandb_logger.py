"""--loggers=wandb: Weights & Biases, offline in the run's folder unless WANDB_MODE says otherwise."""

import os
import uuid
from collections.abc import Mapping
from typing import ClassVar

from tf_fullbatch.display.loggers.base import LoggedRun, Logger
from tf_fullbatch.errors import Outcome


class WandbLogger(Logger):
    """A run of W&B: settings as its config, `step` as the horizontal axis of all figures.

    Offline, every process writes a file of its own, `RUN/wandb/offline-run-*/*.wandb`, under the same id; `wandb sync`
    puts them together. WANDB_PROJECT and W&B's other variables are obeyed.
    """

    summary: ClassVar[str] = "Weights & Biases"
    packages: ClassVar[tuple[str, ...]] = ("wandb",)

    def begin(self, run: LoggedRun, known_id: str | None) -> str:
        if "WANDB_MODE" not in os.environ:
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # offline: no report goes out either
        import wandb

        identifier = known_id or uuid.uuid4().hex
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "tf_fullbatch"),
            name=os.environ.get("WANDB_NAME", run.name),
            id=identifier,
            resume="allow",
            mode=os.environ.get("WANDB_MODE", "offline"),
            dir=str(run.folder),
            config=dict(run.settings),
            allow_val_change=True,
            settings=wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True),
        )
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")
        return identifier

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"step": step, **values})

    def flush(self) -> None:
        """Nothing: a process of W&B's has it already, and writes it also where this one is killed."""

    def finish(self, outcome: Outcome | None) -> None:
        if outcome is not None:
            self._run.summary["outcome"] = outcome.name
        self._run.finish(exit_code=0 if outcome is not None and outcome.is_finished else 1)
