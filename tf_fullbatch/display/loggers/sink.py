"""A logger as a sink: what it has is not handed on twice, and where it fails, training goes on."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tf_fullbatch.display.loggers.base import LoggedRun, Logger
from tf_fullbatch.display.sinks import RecordSink, evaluation_run, is_drawn, measured_values
from tf_fullbatch.errors import Outcome, RunInterruptedError, one_line
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS, Column, Record
from tf_fullbatch.records.files import read_json, write_json


class LoggerSink(RecordSink):
    """Hands a run's figures to a logger, under the names of metrics.csv: `train/loss`, `validation-ema/accuracy`.

    Steps within an epoch are thinned out as in TensorBoard. What was handed on is noted in a file of the run's folder
    (the service's name for the run, the last step, the last step evaluated), so that a resumed run goes on with it.
    After a process was killed, steps since its last note come again.

    The first failure, of whatever kind, is said once; then the logger is left alone.

    Args:
        name: The logger's name, for the user.
        logger: The logger.
        run: The run.
        note: The file.
        say: Shows a line to the user.
    """

    def __init__(self, name: str, logger: Logger, run: LoggedRun, note: Path, say: Callable[[str], None]):
        self._name, self._note, self._say = name, note, say
        self._logger: Logger | None = logger
        self._id: str | None = None
        self._step = self._evaluated_step = self._evaluating = 0
        self._measured_step = -1
        self._try(lambda: self._begin(logger, run))

    def _begin(self, logger: Logger, run: LoggedRun) -> None:
        if self._note.exists():
            known = read_json(self._note)
            self._id, self._step, self._evaluated_step = known["id"], known["step"], known["evaluated_step"]
            self._measured_step = known.get("measured_step", -1)
        self._id = logger.begin(run, self._id)
        self._write_note()

    def write_steps(self, records: Sequence[Record]) -> None:
        new = [record for record in records if int(record["step"] or 0) > self._step and is_drawn(record)]
        for record in new:
            self._log(int(record["step"] or 0), _figures(record, "train", STEP_COLUMNS))
        self._step = max([self._step, *(int(record["step"] or 0) for record in records)])

    def write_evaluation(self, record: Record) -> None:
        # The evaluations of one step come one after another and are noted all or none.
        step, run = int(record["step"] or 0), evaluation_run(str(record["split"]), str(record["weights"]))
        if step > self._evaluated_step:
            self._log(step, _figures(record, run, EVALUATION_COLUMNS))
            self._evaluating = step

    def write_measurements(self, step: int, records: Sequence[Record]) -> None:
        if step > self._measured_step:
            self._log(step, {f"train/{name}": value for name, (value, _) in measured_values(records).items()})
            self._measured_step = step

    def write_histograms(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Nothing: they are in TensorBoard alone."""

    def flush(self) -> None:
        self._try(self._flush)

    def close(self, outcome: Outcome | None = None) -> None:
        self._try(self._flush)
        self._try(lambda: self._logger.finish(outcome) if self._logger is not None else None)
        self._logger = None

    def _flush(self) -> None:
        if self._logger is not None:
            self._logger.flush()
            self._evaluated_step = max(self._evaluated_step, self._evaluating)
            self._write_note()

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        logger = self._logger
        if logger is not None:
            self._try(lambda: logger.log(step, values))

    def _write_note(self) -> None:
        steps = {"evaluated_step": self._evaluated_step, "measured_step": self._measured_step}
        write_json(self._note, {"id": self._id, "step": self._step, **steps})

    def _try(self, action: Callable[[], None]) -> None:
        if self._logger is None:
            return
        try:
            action()
        except RunInterruptedError:
            raise
        except Exception as error:
            self._logger = None
            said = one_line(error)
            self._say(
                f"warning: --loggers={self._name} failed and gets nothing more ({type(error).__name__}: {said}). "
                "Training goes on; the run's folder has every figure."
            )


def _figures(record: Record, run: str, columns: Sequence[Column]) -> dict[str, float]:
    """Name -> value of what was measured."""
    return {
        f"{run}/{column.name}": float(value)
        for column in columns
        if column.name != "step" and column.kind is not str and (value := record.get(column.name)) is not None
    }
