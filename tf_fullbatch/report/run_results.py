"""results.csv: one line per run, for other programs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tf_fullbatch.data.controls.settings import CLEAN, NOISY
from tf_fullbatch.report.aggregate import column
from tf_fullbatch.report.arms import ComparedArm, Comparison
from tf_fullbatch.report.quantities import ACCURACY, QUANTITIES
from tf_fullbatch.report.run_records import RecordedRun
from tf_fullbatch.report.tables import settings_of_arms

_DIGITS = 8
_WHOLE = (
    "seed",
    "planned_passes",
    "steps",
    "samples_seen",
    "gradient_evaluations_per_sample",
    "gradient_evaluations",
    "measuring_gradient_evaluations",
)
_FIGURES = tuple((split, weights) for weights in ("raw", "ema", "swa") for split in ("test", "validation"))


def results(comparison: Comparison) -> pd.DataFrame:
    """One line per run, the columns' units in their names; a blank cell means that nothing was measured.

    Accuracies and losses are those of the last evaluation; for a run that is not completed, of the last there is.
    Training loss and accuracy are means over the last pass. The last columns are the settings in which arms differ,
    as flags take them.
    """
    arms = zip(comparison.arms, settings_of_arms(comparison), strict=True)
    return pd.DataFrame([_result(arm, run, settings) for arm, settings in arms for run in arm.runs])


def _result(arm: ComparedArm, run: RecordedRun, settings: Mapping[str, str]) -> dict[str, Any]:
    published, versions = arm.published, run.summary.get("versions", {})
    line: dict[str, Any] = {"row": arm.name, "seed": run.seed, "status": run.status.value}
    for quantity in QUANTITIES:
        for split, weights in _FIGURES:
            line[column(quantity, split, weights)] = _rounded(run.final(quantity, split, weights))
    for split in (NOISY, CLEAN):
        line[column(ACCURACY, split)] = _rounded(run.final(ACCURACY, split))
    kind = None if not run.started else "cross_entropy" if run.has_cross_entropy else "objective"
    return line | {
        "train_accuracy_percent": _rounded(100 * run.last_pass("accuracy")),
        "train_loss": run.last_pass("loss"),
        "losses_are": kind,
        "highest_learning_rate": run.metrics["learning_rate"].max(),
        "passes": run.last("epoch"),
        "planned_passes": run.planned_passes or None,
        "steps": run.last("step"),
        "samples_seen": run.last("samples_seen"),
        "gradient_evaluations_per_sample": run.gradient_evaluations_per_sample,
        "gradient_evaluations": run.last("spent"),
        "measuring_gradient_evaluations": run.measuring_evaluations,
        "wall_seconds": run.last("wall_seconds"),
        "published_accuracy_percent": published and published.accuracy,
        "published_spread_percentage_points": published and published.spread,
        "published_source": published and published.source,
        "device": run.summary.get("device"),
        "tensorflow": versions.get("tensorflow"),
        "git_revision": run.summary.get("git_revision"),
        "folder": str(run.folder),
        **{f"setting_{name}": value for name, value in settings.items()},
    }


def results_csv(comparison: Comparison) -> str:
    """`results` as CSV: whole numbers without a point, blank where nothing was measured."""
    table = results(comparison)
    for name in _WHOLE:
        values = table[name].astype(float)
        cells = [
            None if not np.isfinite(value) else int(value) if value.is_integer() else value
            for value in values
        ]
        table[name] = pd.Series(cells, index=table.index, dtype=object)
    return str(table.to_csv(index=False, lineterminator="\n"))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
