"""What stands along the horizontal axis of TensorBoard's charts: whole numbers."""

import math
from dataclasses import dataclass

from tf_fullbatch.records.columns import Record


@dataclass(slots=True)
class Position:
    """How far a run has come, along every axis.

    Attributes:
        step: Optimizer steps.
        epoch: Passes over the training set.
        samples_seen: Training samples used.
        gradient_evaluations: Gradient evaluations of a sample spent in all; a forward pass alone counts 1/3.
    """

    step: int = 0
    epoch: float = 0.0
    samples_seen: int = 0
    gradient_evaluations: float = 0.0

    def advance(self, record: Record) -> None:
        """Moves on to a completed step, a record with the keys of `STEP_COLUMNS`; the next one of this position."""
        self.step, self.epoch = int(record["step"] or 0), float(record.get("epoch") or 0)
        samples = int(record.get("samples_seen") or 0)
        self.gradient_evaluations += (samples - self.samples_seen) * float(
            record.get("gradient_evaluations") or 0
        )
        self.samples_seen = samples

    def on(self, axis: str) -> int | None:
        """The whole number on an axis, one of `config.runtime.TENSORBOARD_AXES`; None where it has none here.

        Passes are shown where they are whole. Gradient evaluations are rounded to whole ones of a single sample.
        """
        if axis == "step":
            return self.step
        if axis == "passes":
            return int(self.epoch) if float(self.epoch).is_integer() else None
        return round(self.gradient_evaluations)

    def next_on(self, axis: str) -> int:
        """The least number on an axis that lies behind this position."""
        if axis == "passes":
            return math.floor(self.epoch) + 1
        return (self.step if axis == "step" else round(self.gradient_evaluations)) + 1


def run_name(run: str, axis: str) -> str:
    """The run of TensorBoard's whose axis it is: `train`, `train-by_passes`, `train-by_gradient_evaluations`."""
    return run if axis == "step" else f"{run}-by_{axis}"


def axis_of(run: str) -> str:
    """The axis of a run's name."""
    return run.rpartition("-by_")[2] if "-by_" in run else "step"
