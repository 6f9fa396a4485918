"""What a run's records go to beside its tables and the progress line is told, so that they go on where the run does."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from tf_fullbatch.config.run import Config
from tf_fullbatch.display.loggers.base import LoggedRun
from tf_fullbatch.display.loggers.registry import LOGGERS
from tf_fullbatch.display.loggers.sink import LoggerSink
from tf_fullbatch.display.sinks import evaluation_run
from tf_fullbatch.display.step_axes import Position
from tf_fullbatch.display.tensorboard import TensorBoardWriter
from tf_fullbatch.display.time_left import Recurring
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS, Record
from tf_fullbatch.records.measured import SPENT, TOOK
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.tables import read_table
from tf_fullbatch.run.splits import Splits

if TYPE_CHECKING:
    import pandas as pd

_NEEDED = ("step", "epoch", "samples_seen", "gradient_evaluations", "clipped")


def open_tensorboard(config: Config, folder: RunFolder, first_step: int) -> TensorBoardWriter:
    """TensorBoard's summaries of a run after so many steps; before metrics.csv is opened to be written."""
    position, clipped = Position(), []
    if first_step and folder.metrics.exists():
        earlier = read_table(folder.metrics, STEP_COLUMNS, _NEEDED)
        earlier = earlier[earlier["step"] <= first_step]
        clipped = list(earlier["clipped"].dropna())
        position = _position(earlier, config.step.gradient_evaluations)
    return TensorBoardWriter(
        folder.summaries, resumed=position, axes=config.runtime.tensorboard_axes, recent_clipped=clipped
    )


def open_loggers(config: Config, folder: RunFolder, say: Callable[[str], None]) -> list[LoggerSink]:
    """The loggers that were asked for.

    Args:
        config: The run.
        folder: Where it is kept.
        say: Shows a line to the user.
    """
    run = LoggedRun(folder=folder.path, settings=config.values())
    return [
        LoggerSink(name, LOGGERS[name](), run, folder.logger_note(name), say)
        for name in config.runtime.loggers
    ]


def planned_evaluations(config: Config, splits: Splits, steps_per_epoch: int) -> Recurring | None:
    """What the progress line is to know of a run's evaluations; None where it has none."""
    samples = sum(len(split) for split in splits.evaluated.values())
    if not samples:
        return None
    averages = config.runtime.ema_decay is not None or config.runtime.swa_start_epoch is not None
    forward = samples * (2 if averages else 1) / 3  # in gradient evaluations
    trained = len(splits.train) * config.step.copies_per_pass
    return Recurring(
        every=config.runtime.evaluate_every * steps_per_epoch,
        in_steps=forward * steps_per_epoch / (trained * config.step.gradient_evaluations),
    )


def planned_measurements(config: Config) -> Recurring | None:
    """What the progress line is to know of a run's measurements; None where it has none."""
    return Recurring(every=config.measures.measure_every) if config.measures.measure else None


def measured_in_steps(records: Sequence[Record], config: Config, steps_per_epoch: int) -> tuple[float, float]:
    """What a measurement took: seconds, and how many steps' gradients cost as much.

    Args:
        records: What was measured at a step, with the keys of `MEASUREMENT_COLUMNS`.
        config: The run.
        steps_per_epoch: Steps of a pass.
    """
    spent, took = (
        sum(float(record["value"] or 0) for record in records if record["quantity"] == quantity)
        for quantity in (SPENT, TOOK)
    )
    return took, spent * steps_per_epoch / config.step.gradient_evaluations


def results_before(folder: RunFolder, first_step: int) -> Iterator[tuple[str, Record]]:
    """(run, record) of what was last measured up to a step; nothing of a run that begins."""
    if not first_step:
        return
    steps = read_table(folder.metrics, STEP_COLUMNS)
    for _, row in steps[steps["step"] <= first_step][-1:].iterrows():
        yield "train", row.dropna().to_dict()
    evaluations = read_table(folder.evaluations, EVALUATION_COLUMNS)
    last = evaluations[evaluations["step"] <= first_step].groupby(["split", "weights"]).tail(1)
    for _, row in last.iterrows():
        yield evaluation_run(row["split"], row["weights"]), row.dropna().to_dict()


def _position(steps: "pd.DataFrame", gradient_evaluations: float) -> Position:
    """Where a run stands after these rows of metrics.csv; version 0.1.0 did not record what a step spent."""
    if steps.empty:
        return Position()
    last = steps.iloc[-1]
    samples = steps["samples_seen"].diff().fillna(steps["samples_seen"])
    return Position(
        step=int(last["step"]),
        epoch=float(last["epoch"]),
        samples_seen=int(last["samples_seen"]),
        gradient_evaluations=float(
            (samples * steps["gradient_evaluations"].fillna(gradient_evaluations)).sum()
        ),
    )
