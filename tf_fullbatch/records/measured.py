"""What a run measured along training, out of measurements.csv: curves, costs, and the time at the edge of stability."""

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

from tf_fullbatch.analysis.measures.base import COST
from tf_fullbatch.records.columns import MEASUREMENT_COLUMNS
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.tables import no_rows, read_table

if TYPE_CHECKING:
    import pandas as pd

    from tf_fullbatch.analysis.edge import Edge

SPENT, TOOK = COST
_RATIO = ("sharpness", "ratio", "")


class Kind(NamedTuple):
    """What a figure is of: the first three columns of `MEASUREMENT_COLUMNS` that are text."""

    measure: str
    quantity: str
    of: str = ""

    def __str__(self) -> str:
        """Words: "sharpness eigenvalue 1", and the quantity alone where it begins with the measure's name."""
        measure = "" if self.quantity.startswith(self.measure) else self.measure
        words = " ".join(filter(None, (measure, self.quantity))).replace("_", " ")
        return f"{words} {self.of}".strip()


def read_measurements(folder: RunFolder) -> "pd.DataFrame":
    """measurements.csv of a run; without a row where nothing was measured."""
    if not folder.measurements.exists():
        return no_rows(MEASUREMENT_COLUMNS)
    return read_table(folder.measurements, MEASUREMENT_COLUMNS)


def curves_of(measurements: "pd.DataFrame") -> dict[Kind, "pd.DataFrame"]:
    """The figures of each kind, in the order in which they were recorded, costs left out.

    Args:
        measurements: measurements.csv.

    Returns:
        Kind -> rows with `step`, `epoch` and `value`, nan where that has no meaning.
    """
    figures = measurements[~measurements["quantity"].isin(COST)]
    groups = figures.groupby(["measure", "quantity", figures["of"].fillna("")], sort=False)
    return {
        Kind(*map(str, kind)): rows[["step", "epoch", "value"]].reset_index(drop=True)
        for kind, rows in groups
    }


def cost_of(measurements: "pd.DataFrame", quantity: str) -> float:
    """What all measurements took together.

    Args:
        measurements: measurements.csv.
        quantity: A key of `COST`.
    """
    return float(measurements["value"][measurements["quantity"] == quantity].sum())


def edge_of(measurements: "pd.DataFrame", metrics: "pd.DataFrame") -> "Edge | None":
    """When the run was at the edge of stability, see `find_edge`.

    The sharpness is that of what descends, beside the threshold as it was then: `ratio` of --measure=sharpness. The
    loss is the objective with its penalty at every step, at the weights before the step.

    Args:
        measurements: measurements.csv, for which `tells_edge` holds.
        metrics: metrics.csv; its columns `step` and `penalised_objective`.

    Returns:
        None where it never was.
    """
    from tf_fullbatch.analysis.edge import find_edge  # SciPy's statistics take a second to import

    rows = curves_of(measurements)[Kind(*_RATIO)]
    return find_edge(
        rows["step"].to_numpy(int),
        rows["value"].to_numpy(float),
        1.0,
        metrics["penalised_objective"].to_numpy(float),
        metrics["step"].to_numpy(int) - 1,
    )


def tells_edge(measurements: "pd.DataFrame", metrics: "pd.DataFrame") -> bool:
    """Whether the run can be said to be at the edge of stability or not.

    Sharpness must have been measured beside a threshold, and every step be a whole pass: the losses of mini-batches
    rise and fall by themselves.
    """
    measure, quantity, _ = _RATIO
    measured = (measurements["measure"] == measure) & (measurements["quantity"] == quantity)
    return bool(measured.any()) and bool((metrics["epoch"] == metrics["step"]).all())


def measuring_summary(measurements: "pd.DataFrame", metrics: "pd.DataFrame") -> dict[str, Any] | None:
    """What summary.json says of measuring.

    Args:
        measurements: measurements.csv, whole.
        metrics: metrics.csv, whole.

    Returns:
        None where nothing was measured; else `measurements` (how many times), `gradient_evaluations` and `seconds`
        (what all took together; evaluations per sample of the training set), `training_gradient_evaluations` (what
        training took, in the same unit), `last` (measure -> `quantity`, `of`, `step` and `value` of the last of its
        first figure) and, where that can be said, `edge`: None where the run was never at the edge of stability, else
        the attributes of `Edge`.
    """
    if measurements.empty:
        return None
    last: dict[str, dict[str, Any]] = {}
    for kind, rows in curves_of(measurements).items():
        step, value = int(rows["step"].iloc[-1]), float(rows["value"].iloc[-1])
        figure = {"quantity": kind.quantity, "of": kind.of, "step": step, "value": value}
        last.setdefault(kind.measure, figure)
    found = {
        "measurements": int(measurements["step"].nunique()),
        "gradient_evaluations": cost_of(measurements, SPENT),
        "seconds": cost_of(measurements, TOOK),
        "training_gradient_evaluations": _of_training(metrics),
        "last": last,
    }
    if tells_edge(measurements, metrics):
        edge = edge_of(measurements, metrics)
        found["edge"] = None if edge is None else dataclasses.asdict(edge)
    return found


def _of_training(metrics: "pd.DataFrame") -> float:
    """Gradient evaluations that training spent per sample of the training set."""
    passes = metrics["epoch"].diff().fillna(metrics["epoch"])
    return float((passes * metrics["gradient_evaluations"]).sum())
