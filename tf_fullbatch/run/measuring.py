"""A run's measurements: the callback that makes them, and the table that keeps them."""

from collections.abc import Callable
from typing import Any

from tf_fullbatch.config.run import Config
from tf_fullbatch.records.checkpoints import Checkpoint
from tf_fullbatch.records.columns import MEASUREMENT_COLUMNS
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.tables import TableWriter
from tf_fullbatch.training.measuring import Measured, Measurements
from tf_fullbatch.training.state import of_measures


class RunMeasurements:
    """What is measured in one process' part of a run.

    Args:
        config: The run.
        folder: Where this process writes.
        checkpoint: Where it goes on from; None to begin.
        told: Called with what was measured once it is written.

    Attributes:
        callback: Measures along training; None where nothing is asked for.
    """

    def __init__(
        self,
        config: Config,
        folder: RunFolder,
        checkpoint: Checkpoint | None,
        told: Callable[[Measured], None],
    ):
        self._told = told
        before: dict[str, Any] = {} if checkpoint is None else checkpoint.metadata
        measured_step = before.get("measured_step")
        self.callback = self._callback(config, measured_step)
        if self.callback is not None and checkpoint is not None:
            self.callback.restore(of_measures(checkpoint.arrays))
        self._table: TableWriter | None = None
        # A table that is there goes on where the run does, whether or not anything is still measured.
        if self.callback is not None or folder.measurements.exists():
            step = 0 if checkpoint is None else checkpoint.step
            again = self.callback is not None and measured_step != step
            self._table = TableWriter(folder.measurements, MEASUREMENT_COLUMNS, step - 1 if again else step)

    def _callback(self, config: Config, measured_step: int | None) -> Measurements | None:
        asked = config.measures
        if not asked.measure:
            return None
        return Measurements(
            {name: settings.build() for name, settings in asked.chosen().items()},
            every=asked.measure_every,
            statistics=asked.measure_statistics,
            record=self._record,
            ends=config.stretch_ends,
            measured_step=measured_step,
        )

    def _record(self, measured: Measured) -> None:
        assert self._table is not None
        self._table.append_many(measured.records)
        self._told(measured)

    def close(self) -> None:
        """Closes the table; safe to call twice."""
        if self._table is not None:
            self._table.close()
