"""A run as its records tell it: its settings, its tables, and how far it got."""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tf_fullbatch.analysis.edge import Edge
from tf_fullbatch.config.run import Config
from tf_fullbatch.errors import Outcome
from tf_fullbatch.records.columns import EVALUATION_COLUMNS
from tf_fullbatch.records.measured import SPENT, Kind, cost_of
from tf_fullbatch.report.quantities import Quantity

SHOWN = (
    "step", "epoch", "samples_seen", "loss", "cross_entropy", "accuracy", "penalty", "gradient_norm", "clipped",
    "mean_squared_micro_batch_gradient_norm", "learning_rate", "gradient_evaluations", "wall_seconds",
)  # fmt: skip
"""The columns of metrics.csv that are read."""


LARGEST = 1e38
"""What is beyond it counts as not finite: float32 has hardly a number there."""


class Final(NamedTuple):
    """The last evaluation of a split: accuracy in percent and loss, NaN where there is none, and its samples."""

    accuracy: float
    loss: float
    samples: float


class Status(enum.Enum):
    """How far a run got. The value is the word in tables."""

    COMPLETED = "completed"
    UNFINISHED = "unfinished"
    ENDED = "ended early"
    NOT_STARTED = "not started"
    LEFT_OUT = "left out"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RecordedRun:
    """A run, from its records.

    Attributes:
        folder: Where its records are.
        seed: Its seed; None where its settings cannot be read.
        status: How far it got.
        reason: What is to be said about its status, in one line; empty for a completed run.
        planned_passes: Passes over the training set it is to have.
        config: Its settings; None where they cannot be read or there are none yet.
        file_hashes: Setting -> SHA-256 of the user's file or object that it named when the run began.
        metrics: What is shown of metrics.csv, one row per step, blank cells NaN; `spent`, the gradient evaluations
            up to each step; and as `loss` the cross-entropy, where the run has it.
        evaluations: evaluations.csv, one row per evaluation; its `loss` alike.
        has_cross_entropy: Whether `loss` is the cross-entropy everywhere; else it is the objective.
        finals: (split, weights) -> the last evaluation.
        summary: What is used of summary.json; empty where there is none.
        notes: What else is wrong with its records, one line each.
        measurements: measurements.csv; None where nothing was measured.
        measured: Its figures by kind, costs left out.
        edge: When it was at the edge of stability; None where it never was, or that cannot be said.
        tells_edge: Whether that can be said.
    """

    folder: Path
    seed: int | None
    status: Status
    reason: str = ""
    planned_passes: int = 0
    config: Config | None = None
    file_hashes: Mapping[str, str] = field(default_factory=dict)
    metrics: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=[*SHOWN, "spent"], dtype=float)
    )
    evaluations: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=[column.name for column in EVALUATION_COLUMNS])
    )
    has_cross_entropy: bool = False
    finals: Mapping[tuple[str, str], Final] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    measurements: pd.DataFrame | None = None
    measured: Mapping[Kind, pd.DataFrame] = field(default_factory=dict)
    edge: Edge | None = None
    tells_edge: bool = False

    @property
    def completed(self) -> bool:
        """Whether it has all its passes, or has reached its goal or converged, and has its last evaluation."""
        return self.status is Status.COMPLETED

    @property
    def ended_by(self) -> str:
        """What ended a completed run before its passes, in words; empty where it has them."""
        name = self.summary.get("outcome")
        early = self.completed and name in (Outcome.STOPPED_BY_GOAL.name, Outcome.CONVERGED.name)
        return Outcome[str(name)].value.partition(":")[0] if early else ""

    @property
    def started(self) -> bool:
        """Whether it has a step to show."""
        return len(self.metrics) > 0

    @property
    def gradient_evaluations_per_sample(self) -> float | None:
        """Gradient evaluations per sample seen, those of the settings before the first step; None without settings."""
        if self.started:
            return self.last("spent") / self.last("samples_seen")
        return None if self.config is None else self.config.step.gradient_evaluations

    def last(self, column: str) -> float:
        """A column of metrics.csv at the last step; NaN before the first."""
        return float(self.metrics[column].iloc[-1]) if self.started else float("nan")

    @property
    def measuring_evaluations(self) -> float | None:
        """Gradient evaluations of a sample that its measurements spent, beside training's; None without any."""
        if self.measurements is None or not self.started:
            return None
        samples = self.last("samples_seen") / self.last("epoch")
        return cost_of(self.measurements, SPENT) * samples

    def last_measured(self, kind: Kind) -> float | None:
        """The last figure of a kind; None where that is no finite number, or nothing."""
        if kind not in self.measured:
            return None
        value = float(self.measured[kind]["value"].iloc[-1])
        return value if abs(value) <= LARGEST else None

    def last_pass(self, column: str) -> float:
        """The mean of a column of metrics.csv over the steps of the last pass; NaN before the first."""
        if not self.started:
            return float("nan")
        epochs, values = self.metrics["epoch"].to_numpy(), self.metrics[column].to_numpy()
        last = values[epochs > epochs[-1] - 1 + 1e-6]
        measured = last[~np.isnan(last)]
        return float(measured.mean()) if len(measured) else float("nan")

    def final(self, quantity: Quantity, split: str, weights: str = "raw") -> float | None:
        """What the last evaluation gave, an accuracy in percent; None where that is no finite number, or nothing."""
        found = self.finals.get((split, weights))
        value = float("nan") if found is None else float(getattr(found, quantity.name))
        return value if abs(value) <= LARGEST else None

    def evaluated_samples(self, split: str) -> int | None:
        """How many samples the last evaluation is of; None where that is not known."""
        found = self.finals.get((split, "raw"))
        return None if found is None or not math.isfinite(found.samples) else int(found.samples)
