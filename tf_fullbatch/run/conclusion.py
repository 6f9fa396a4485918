"""What a run's tables come to at its end: summary.json and the pictures."""

from collections.abc import Mapping
from typing import Any

from tf_fullbatch.config.run import Config
from tf_fullbatch.display.curves import plot_curves
from tf_fullbatch.display.measured_curves import plot_measurements
from tf_fullbatch.errors import Outcome
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.files import write_json
from tf_fullbatch.records.goals import Reached
from tf_fullbatch.records.measured import edge_of, read_measurements, tells_edge
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.summary import run_summary
from tf_fullbatch.records.tables import read_table
from tf_fullbatch.settings.part_names import shortened


def conclude(
    folder: RunFolder,
    config: Config,
    outcome: Outcome,
    message: str,
    device: str,
    reached: Reached | None = None,
    search: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Writes summary.json, curves.png and, where something was measured, measurements.png.

    Args:
        folder: The run.
        config: Its settings.
        outcome: How it ended.
        message: The sentence about the end; empty for the outcome's own.
        device: What it ran on, in words.
        reached: The goal that ended it, if one did.
        search: What the method counts of its searches; None of one that does not search.

    Returns:
        What summary.json says.

    Raises:
        UserError: A table cannot be read, or a file not be written.
    """
    metrics = read_table(folder.metrics, STEP_COLUMNS)
    evaluations = read_table(folder.evaluations, EVALUATION_COLUMNS)
    measurements = read_measurements(folder)
    summary = run_summary(
        outcome=outcome,
        metrics=metrics,
        evaluations=evaluations,
        measurements=measurements,
        output_dir=folder.path,
        device=device,
        message=message,
        reached=reached,
        search=search,
    )
    write_json(folder.summary, summary)
    title = f"{shortened(config.model.model)} on {shortened(config.data.dataset)}"
    plot_curves(metrics, evaluations, folder.curves, title, config.step.clip_norm)
    if len(measurements):
        edge = edge_of(measurements, metrics) if tells_edge(measurements, metrics) else None
        plot_measurements(measurements, folder.measured_curves, title, edge)
    return summary
