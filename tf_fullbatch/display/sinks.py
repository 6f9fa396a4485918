"""Where a run's records go beside its tables: TensorBoard, and the loggers that were asked for."""

import abc
import math
from collections.abc import Mapping, Sequence

import numpy as np

from tf_fullbatch.errors import Outcome
from tf_fullbatch.records.columns import Record

MOST_PER_EPOCH = 50
"""Steps within an epoch that charts show; metrics.csv has them all."""


class RecordSink(abc.ABC):
    """Takes a run's records as they are made."""

    @abc.abstractmethod
    def write_steps(self, records: Sequence[Record]) -> None:
        """Takes completed steps: records with the keys of `STEP_COLUMNS`, in order; blanks are left out."""

    @abc.abstractmethod
    def write_evaluation(self, record: Record) -> None:
        """Takes an evaluation: a record with the keys of `EVALUATION_COLUMNS`."""

    @abc.abstractmethod
    def write_measurements(self, step: int, records: Sequence[Record]) -> None:
        """Takes what was measured after so many steps: records with the keys of `MEASUREMENT_COLUMNS`."""

    @abc.abstractmethod
    def write_histograms(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes the entries of arrays whose distribution is shown; nothing where a sink shows none."""

    @abc.abstractmethod
    def flush(self) -> None:
        """Hands on everything so far: a resumed run does not write it again."""

    @abc.abstractmethod
    def close(self, outcome: Outcome | None = None) -> None:
        """Hands on everything and ends; safe to call twice.

        Args:
            outcome: How the run ended; None where this process alone did.
        """


class Sinks(RecordSink):
    """Several sinks as one."""

    def __init__(self, sinks: Sequence[RecordSink]):
        self._sinks = tuple(sinks)

    def write_steps(self, records: Sequence[Record]) -> None:
        for sink in self._sinks:
            sink.write_steps(records)

    def write_evaluation(self, record: Record) -> None:
        for sink in self._sinks:
            sink.write_evaluation(record)

    def write_measurements(self, step: int, records: Sequence[Record]) -> None:
        for sink in self._sinks:
            sink.write_measurements(step, records)

    def write_histograms(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        for sink in self._sinks:
            sink.write_histograms(step, arrays)

    def flush(self) -> None:
        for sink in self._sinks:
            sink.flush()

    def close(self, outcome: Outcome | None = None) -> None:
        for sink in self._sinks:
            sink.close(outcome)


def measured_values(records: Sequence[Record]) -> dict[str, tuple[float, Record]]:
    """MEASURE/QUANTITY/OF -> (value, record) of what was measured and can be drawn; the time it took is left out."""
    found = {}
    for record in records:
        value = record.get("value")
        if value is not None and math.isfinite(float(value)) and record["quantity"] != "seconds":
            parts = (record["measure"], record["quantity"], record["of"])
            found["/".join(str(part) for part in parts if part)] = float(value), record
    return found


def evaluation_run(split: str, weights: str) -> str:
    """What the figures of an evaluation are grouped by: the split, with "-ema" or "-swa" for averaged weights."""
    return split if weights == "raw" else f"{split}-{weights}"


def is_drawn(record: Record) -> bool:
    """Whether a step ends an epoch, or is one of at most `MOST_PER_EPOCH` within; the same in a rerun and a resume."""
    step, epoch = int(record["step"] or 0), float(record.get("epoch") or 0)
    if epoch.is_integer():
        return True
    # The last step of an epoch may be smaller, so that within an epoch this is a little less than a whole number.
    steps_per_epoch = math.ceil(step / epoch - 1e-9)
    step_in_epoch = step - int(epoch) * steps_per_epoch
    return step_in_epoch % math.ceil(steps_per_epoch / MOST_PER_EPOCH) == 0
