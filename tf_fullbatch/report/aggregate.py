"""The figures of each arm over its seeds, in numbers: what every table and sentence of a report is made from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tf_fullbatch.data.controls.settings import CLEAN, NOISY
from tf_fullbatch.report.arms import SPLITS, ComparedArm, Comparison
from tf_fullbatch.report.quantities import ACCURACY, LOSS, Quantity
from tf_fullbatch.report.run_records import LARGEST
from tf_fullbatch.report.statistics import deviation

_WEIGHTS = ("raw", "ema", "swa")
_SIGNIFICANT = "%.10g"


def column(quantity: Quantity, split: str, weights: str = "raw") -> str:
    """The name of a figure's column, before `_mean`, `_std` and `_n`."""
    suffix = "" if weights == "raw" else f"_{weights}_weights"
    return f"{split}_{'accuracy_percent' if quantity is ACCURACY else 'loss'}{suffix}"


def aggregated(comparison: Comparison) -> pd.DataFrame:
    """One line per arm, columns' units in their names; NaN or None where nothing was measured.

    Of every figure at the last evaluation the mean over the completed runs that have it (`_mean`), their sample
    standard deviation (`_std`, of two or more) and their number (`_n`). Training accuracy and loss are means over the
    last pass. `losses_are` says whether losses are cross-entropies or the objective. Costs are means over the completed
    runs. `compared_by` and `split` say which figure the arm is compared by.
    """
    return pd.DataFrame([_line(arm) for arm in comparison.arms])


def aggregated_csv(table: pd.DataFrame, settings: Sequence[dict[str, str]]) -> str:
    """`aggregated` as CSV, without columns that no arm has, and the settings in which arms differ as last columns."""
    shown = table.dropna(axis="columns", how="all")
    shown = pd.concat([shown, pd.DataFrame(list(settings)).add_prefix("setting_")], axis="columns")
    return str(shown.to_csv(index=False, lineterminator="\n", float_format=_SIGNIFICANT))


def _line(arm: ComparedArm) -> dict[str, Any]:
    completed = arm.completed
    line: dict[str, Any] = {
        "arm": arm.name, "compared_by": arm.quantity.name, "split": arm.split, "runs": len(arm.runs),
        "completed": len(completed),
    }  # fmt: skip
    for quantity in (ACCURACY, LOSS):
        for split in SPLITS:
            for weights in _WEIGHTS:
                values = list(arm.finals(quantity, split, weights).values())
                line |= _over_seeds(column(quantity, split, weights), values)
        for split in (NOISY, CLEAN) if quantity is ACCURACY else ():
            line |= _over_seeds(column(quantity, split), list(arm.finals(quantity, split, "raw").values()))
        name = "accuracy" if quantity is ACCURACY else "loss"
        factor = 100 if quantity is ACCURACY else 1
        last = [factor * run.last_pass(name) for run in completed]
        line |= _over_seeds(column(quantity, "train"), [value for value in last if abs(value) <= LARGEST])
    kinds = {run.has_cross_entropy for run in arm.runs if run.started}
    line["losses_are"] = "cross_entropy" if kinds == {True} else "objective" if kinds == {False} else None
    if len(kinds) > 1:
        line["losses_are"] = "cross_entropy or objective"
    published = arm.published
    return line | {
        "published_accuracy_percent": published and published.accuracy,
        "published_spread_percentage_points": published and published.spread,
        "published_source": published and published.source,
        "passes": arm.passes,
        "samples_seen_mean": arm.mean_last("samples_seen") if completed else None,
        "gradient_evaluations_per_sample": arm.gradient_evaluations_per_sample,
        "gradient_evaluations_mean": arm.mean_last("spent") if completed else None,
        "measuring_gradient_evaluations_mean": _mean(
            [run.measuring_evaluations for run in completed if run.measuring_evaluations is not None]
        ),
        "wall_seconds_mean": arm.mean_last("wall_seconds") if completed else None,
        "device": "; ".join(arm.devices) or None,
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _over_seeds(name: str, values: Sequence[float]) -> dict[str, float | int | None]:
    mean = float(np.mean(values)) if values else None
    return {f"{name}_mean": mean, f"{name}_std": deviation(values), f"{name}_n": len(values) or None}
