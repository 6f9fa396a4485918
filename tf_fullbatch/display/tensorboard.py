"""A run's TensorBoard summaries, written as event files without loading TensorFlow."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.text.summary_v2 import text_pb

from tf_fullbatch.analysis.measures.registry import quantity
from tf_fullbatch.display import hparams, step_axes
from tf_fullbatch.display.event_file import PATTERN, EventFile
from tf_fullbatch.display.sinks import RecordSink, evaluation_run, is_drawn, measured_values
from tf_fullbatch.display.step_axes import Position
from tf_fullbatch.errors import Outcome
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS, Record
from tf_fullbatch.records.files import os_errors_as_user_errors
from tf_fullbatch.records.trials_file import TRIALS_FOLDER

# What training and evaluations measure alike has the bare name, as from Keras; the rest is grouped. TensorBoard shows
# groups in the order of their names.
TAGS = {
    "loss": "loss",
    "accuracy": "accuracy",
    "cross_entropy": "cross_entropy",
    "penalised_objective": "objective/penalised_objective",
    "penalty": "objective/penalty",
    "gradient_norm": "gradient/gradient_norm",
    "mean_squared_micro_batch_gradient_norm": "gradient/mean_squared_micro_batch_gradient_norm",
    "unpenalised_gradient_norm": "gradient/unpenalised_gradient_norm",
    "noise_scale": "gradient/noise_scale",
    "learning_rate": "update/learning_rate",
    "update_norm": "update/update_norm",
    "parameter_norm": "update/parameter_norm",
    "images_per_second": "speed/images_per_second",
    "step_seconds": "speed/step_seconds",
    "gradient_evaluations": "speed/gradient_evaluations",
    "epoch": "speed/epoch",
}
DISTRIBUTION_GROUP = "weights"
CLIPPED_TAG = "gradient/clipped"
CLIPPED_WINDOW = 100

_FURTHER_AXES = ("loss", "accuracy", "cross_entropy", "penalised_objective")
"""What stands along further axes too: what the runs of different methods are compared by."""

_DESCRIPTIONS = {column.name: column.description for column in STEP_COLUMNS}
_EVALUATION_DESCRIPTIONS = {
    column.name: column.description
    for column in EVALUATION_COLUMNS
    if column.name in ("loss", "accuracy", "cross_entropy")
}
_CLIPPED_DESCRIPTION = f"Fraction of the last {CLIPPED_WINDOW} updates whose gradient was clipped."
_FLUSH_SECONDS = 2.0
_ROOT = "."


class TensorBoardWriter(RecordSink):
    """Writes the summaries of one run below a folder, for `tensorboard --logdir` on it or on a parent.

    The subfolders `train`, `validation` and `test` (`validation-ema`, `test-ema` for averaged weights) hold
    the same tags for the same quantities, so that TensorBoard draws them in one chart; `results` holds the
    hyperparameters and the results they are compared by, the folder itself the configuration. The horizontal axis
    is the optimizer step. Further axes have subfolders of their own, named so: `train-by_passes`.

    A resumed run writes new files that begin with a `SessionLog.START` event: TensorBoard then forgets the
    points an earlier process wrote at later steps.

    Args:
        folder: The run's summaries folder; made when first needed.
        resumed: Where training goes on; None for a new run.
        axes: Of `config.runtime.TENSORBOARD_AXES`.
        recent_clipped: The `clipped` values (0 or 1) of the steps up to there, oldest first, from
            which the clipped fraction goes on.
        clock: Seconds since 1970, the wall time of the events.

    Raises:
        UserError: From every method, where a file cannot be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        resumed: Position | None = None,
        axes: Sequence[str] = ("step",),
        recent_clipped: Iterable[float] = (),
        clock: Callable[[], float] = time.time,
    ):
        self._folder = Path(folder)
        self._position = resumed or Position()
        self._starts = {
            axis: self._position.next_on(axis) for axis in ("step", "passes", "gradient_evaluations")
        }
        self._axes = tuple(axes)
        self._clock = clock
        self._files: dict[str, EventFile] = {}
        self._recent_clipped = deque(recent_clipped, maxlen=CLIPPED_WINDOW)
        self._expected: list[tuple[str, str]] = []
        self._measured: set[tuple[str, str]] = set()
        self._flushed_at = -float("inf")
        for run in sorted({path.parent for path in self._folder.glob(f"**/{PATTERN}")}):
            # Opened at once: what an earlier process wrote at later steps goes even if nothing follows it.
            self._file(run.relative_to(self._folder).as_posix())

    def write_steps(self, records: Sequence[Record]) -> None:
        """Writes completed steps.

        A step that ends an epoch is always written, as full-batch steps do; of others at most `MOST_PER_EPOCH`
        (TensorBoard itself shows 1,000 points of a curve, metrics.csv has them all).
        """
        for record in records:
            clipped = record.get("clipped")
            if clipped is not None:
                self._recent_clipped.append(float(clipped))
            self._position.advance(record)
            if is_drawn(record):
                self._draw_step(record)
        if self._clock() - self._flushed_at >= _FLUSH_SECONDS:
            self.flush()

    def write_evaluation(self, record: Record) -> None:
        """Writes an evaluation of the last step written, and flushes."""
        run = evaluation_run(str(record["split"]), str(record["weights"]))
        self._write_along_axes(run, record, _scalars(record, _EVALUATION_DESCRIPTIONS))
        self._write_results(run, record)
        self.flush()

    def write_measurements(self, step: int, records: Sequence[Record]) -> None:
        """Writes what was measured under the tags "measure/quantity/of", and flushes."""
        shown = [
            (tag, value, quantity(str(record["measure"]), str(record["quantity"])).description)
            for tag, (value, record) in measured_values(records).items()
        ]
        self._file("train").write_scalars(step, self._clock(), shown)
        self.flush()

    def write_histograms(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes the distribution of each array's entries under the tag "weights/<name>"."""
        summary = Summary()
        for name, array in arrays.items():
            summary.MergeFrom(histogram_pb(f"{DISTRIBUTION_GROUP}/{name}", np.asarray(array).reshape(-1)))
        self._file("train").write(step, self._clock(), summary)

    def write_config(self, text: str, name: str = "configuration") -> None:
        """Writes a Markdown text to the Text tab, at the first step it is about.

        Wrap JSON or a flagfile with `code_block` first.
        """
        self._file(_ROOT).write(self._starts["step"], self._clock(), text_pb(name, text))
        self.flush()

    def write_hparams(
        self,
        settings: Mapping[str, Any],
        runs: Iterable[str] = ("train",),
        known: Iterable[tuple[str, Record]] = (),
    ) -> None:
        """Writes the hyperparameters, a row of the HParams tab; call it before the first step.

        Args:
            settings: Name to value, see `hparams.session_summary`.
            runs: Which of `hparams.COMPARED` this run measures.
            known: (run, record) of what was measured before this process, the last of each.
        """
        self._expected = [(run, figure) for run in runs for figure in hparams.COMPARED.get(run, ())]
        # The folder tells runs apart: without it, two runs with equal settings would be shown as one.
        folder, now = self._folder.resolve(), self._clock()
        trial = f"{_place(folder.parent)} ({folder})"
        session = hparams.session_summary(settings, trial, now)
        self._begin_results_anew()
        self._file(hparams.RUN).write(self._starts["step"], now, session)
        for run, record in known:
            self._write_results(run, record)
        self.flush()

    def _begin_results_anew(self) -> None:
        """TensorBoard keeps the settings it reads first, but a resumed run may have more epochs than they say."""
        if hparams.RUN in self._files:
            self._files.pop(hparams.RUN).close()
        with os_errors_as_user_errors(self._folder):
            for file in (self._folder / hparams.RUN).glob(PATTERN):
                file.unlink()

    def flush(self) -> None:
        """Hands everything written so far to the operating system, where TensorBoard sees it."""
        for file in self._files.values():
            file.flush()
        self._flushed_at = self._clock()

    def close(self, outcome: Outcome | None = None) -> None:
        """Notes the outcome for the HParams tab, flushes and closes all files."""
        if outcome is not None and hparams.RUN in self._files:
            file, now = self._file(hparams.RUN), self._clock()
            file.write(self._position.step, now, hparams.end_summary(outcome, now))
            if outcome is Outcome.NON_FINITE:  # no blank cell of a run that failed before it was evaluated
                missing = [column for column in self._expected if column not in self._measured]
                nan = [(hparams.result_tag(*column), float("nan"), "") for column in missing]
                file.write_scalars(self._position.step, now, nan)
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _draw_step(self, record: Record) -> None:
        values = _scalars(record, _DESCRIPTIONS)
        if record.get("clipped") is not None:
            fraction = sum(self._recent_clipped) / len(self._recent_clipped)
            values["clipped"] = (CLIPPED_TAG, fraction, _CLIPPED_DESCRIPTION)
        self._write_along_axes("train", record, values)
        self._write_results("train", record)

    def _write_along_axes(
        self, run: str, record: Record, values: Mapping[str, tuple[str, float, str]]
    ) -> None:
        for axis in self._axes:
            place = int(record["step"] or 0) if axis == "step" else self._position.on(axis)
            if place is not None:
                shown = [value for name, value in values.items() if axis == "step" or name in _FURTHER_AXES]
                self._file(step_axes.run_name(run, axis)).write_scalars(place, self._clock(), shown)

    def _write_results(self, run: str, record: Record) -> None:
        if hparams.RUN not in self._files:
            return
        names = [name for name in hparams.COMPARED.get(run, ()) if record.get(name) is not None]
        self._measured |= {(run, name) for name in names}
        values = [(hparams.result_tag(run, name), float(record[name] or 0), "") for name in names]
        self._file(hparams.RUN).write_scalars(int(record["step"] or 0), self._clock(), values)

    def _file(self, run: str) -> EventFile:
        if run not in self._files:
            start = self._starts[step_axes.axis_of(run)]
            self._files[run] = EventFile(self._folder / run, start, self._clock())
        return self._files[run]


def _scalars(record: Record, descriptions: Mapping[str, str]) -> dict[str, tuple[str, float, str]]:
    """Name -> (tag, value, description) of what was measured."""
    return {
        name: (tag, float(value), descriptions[name])
        for name, tag in TAGS.items()
        if name in descriptions and (value := record.get(name)) is not None
    }


def code_block(text: str, language: str = "json") -> str:
    """Markdown that shows `text` as it stands."""
    return f"```{language}\n{text.strip()}\n```"


def _place(run: Path) -> str:
    """The folders that tell a run from others of its study; of a trial those of its arm and its point."""
    of_trial = TRIALS_FOLDER in run.parts[-4:-3]
    return "/".join(run.parts[-3 if of_trial else -2 :])
