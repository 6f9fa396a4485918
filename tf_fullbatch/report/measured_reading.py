"""What a run measured along training, read beside its other records; whatever is wrong with it becomes a note."""

import dataclasses

import numpy as np
import pandas as pd

from tf_fullbatch.errors import UserError
from tf_fullbatch.records.columns import STEP_COLUMNS
from tf_fullbatch.records.measured import TOOK, curves_of, edge_of, read_measurements, tells_edge
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.tables import read_table
from tf_fullbatch.report.run_records import RecordedRun

_OF_EDGE = ("step", "epoch", "penalised_objective")


def with_measurements(run: RecordedRun, folder: RunFolder) -> RecordedRun:
    """A run with its measurements; its wall time is then that of training, without measuring."""
    assert run.config is not None
    asked = run.config.measures.measure
    if asked and not folder.measurements.exists():
        return _noted(run, f"its measurements.csv is missing, though it measured {', '.join(asked)}")
    try:
        table = read_measurements(folder)
        if table.empty:
            return run
        metrics = read_table(folder.metrics, STEP_COLUMNS, _OF_EDGE)
        told = tells_edge(table, metrics)
        edge = edge_of(table, metrics) if told else None
    except UserError as error:
        return _noted(run, f"its measurements are not shown: {error}")
    return dataclasses.replace(
        run,
        measurements=table,
        measured=curves_of(table),
        metrics=run.metrics.assign(wall_seconds=_of_training(run.metrics, table)),
        edge=edge,
        tells_edge=told,
    )


def _noted(run: RecordedRun, note: str) -> RecordedRun:
    return dataclasses.replace(run, notes=(*run.notes, note))


def _of_training(metrics: pd.DataFrame, measurements: pd.DataFrame) -> np.ndarray:
    """Wall seconds up to each step without those of measuring; a step is recorded before what is measured after it."""
    costs = measurements[measurements["quantity"] == TOOK]
    took = np.concatenate([[0.0], np.nancumsum(costs["value"].to_numpy(float))])
    before = np.searchsorted(costs["step"].to_numpy(float), metrics["step"].to_numpy(float), "left")
    return metrics["wall_seconds"].to_numpy(float) - took[before]
