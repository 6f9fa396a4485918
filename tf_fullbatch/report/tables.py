"""The figures of a comparison as tables: one line per run for other programs, one line per arm for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tf_fullbatch.config.run import compared_settings, differing_settings, settings_fields
from tf_fullbatch.display.text import format_count, format_duration
from tf_fullbatch.records.study_file import Published
from tf_fullbatch.report.arms import SPLITS, ComparedArm, Comparison
from tf_fullbatch.report.differences import PairedDifference
from tf_fullbatch.report.run_records import RecordedRun
from tf_fullbatch.report.statistics import deviation
from tf_fullbatch.settings.flag_parsing import flag_text

_DIGITS = 4
_WHOLE = (
    "seed",
    "planned_passes",
    "steps",
    "samples_seen",
    "gradient_evaluations_per_sample",
    "gradient_evaluations",
)
_ALWAYS_SHOWN = ("dataset", "model", "micro_batch_size", "batch_size", "learning_rate", "schedule", "epochs")
MINUS = "\N{MINUS SIGN}"
_FIGURES = (("test", "raw"), ("validation", "raw"), ("test", "ema"), ("validation", "ema"))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text.

    Attributes:
        headers: One per column, with its unit.
        rows: The cells.
        align: `<` (left) or `>` (right), one per column.
    """

    headers: tuple[str, ...]
    rows: list[tuple[str, ...]]
    align: str


def results(comparison: Comparison) -> pd.DataFrame:
    """One line per run, the columns' units in their names; a blank cell means that nothing was measured.

    Accuracies are those of the last evaluation; for a run that is not completed, of the last there is. Training loss
    and accuracy are means over the last pass. The last columns are the settings in which arms differ, as flags take
    them.
    """
    settings = settings_table(comparison)
    differing = {cells[0]: dict(zip(settings.headers[1:], cells[1:], strict=True)) for cells in settings.rows}
    lines = [_result(arm, run, differing[arm.name]) for arm in comparison.arms for run in arm.runs]
    return pd.DataFrame(lines)


def _result(arm: ComparedArm, run: RecordedRun, settings: Mapping[str, str]) -> dict[str, Any]:
    published, versions = arm.published, run.summary.get("versions", {})
    line: dict[str, Any] = {"row": arm.name, "seed": run.seed, "status": run.status.value}
    for split, weights in _FIGURES:
        suffix = "" if weights == "raw" else f"_{weights}_weights"
        line[f"{split}_accuracy_percent{suffix}"] = _rounded(run.accuracy(split, weights))
    return line | {
        "train_accuracy_percent": _rounded(100 * run.last_pass("accuracy")),
        "train_loss_nats": run.last_pass("loss"),
        "highest_learning_rate": run.metrics["learning_rate"].max(),
        "passes": run.last("epoch"),
        "planned_passes": run.planned_passes or None,
        "steps": run.last("step"),
        "samples_seen": run.last("samples_seen"),
        "gradient_evaluations_per_sample": run.gradient_evaluations_per_sample,
        "gradient_evaluations": run.last("spent"),
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


def arms_table(comparison: Comparison) -> Table:
    """Mean and spread over seeds, each seed, the published figure, and what a run costs, one line per arm.

    Figures of runs that are not completed stand among the seeds, and are not averaged. Costs are means over the
    completed runs.
    """
    cells = pd.DataFrame([_arm_cells(arm, comparison) for arm in comparison.arms])
    cells = cells.dropna(axis="columns", how="all").fillna("-")  # what no arm has is no column
    align = "".join("<" if name in ("arm", "each seed %", "device") else ">" for name in cells)
    return Table(tuple(cells), list(cells.itertuples(index=False, name=None)), align)


def _arm_cells(arm: ComparedArm, comparison: Comparison) -> dict[str, str | None]:
    """Column -> cell; None where the arm has nothing of the kind."""
    evaluated_ema = any(run.accuracy(arm.split, "ema") is not None for run in arm.runs)
    validated = any(run.accuracy("validation") is not None for run in arm.runs)
    completed = bool(arm.completed)
    return {
        "arm": arm.name,
        "seeds": f"{len(arm.accuracies(arm.split))} of {len(arm.runs)}",
        "test accuracy %": _main_cell(arm),
        "each seed %": _seeds_cell(arm),
        "EMA weights %": _main_cell(arm, "ema") if evaluated_ema else None,
        "validation %": _mean_cell(arm, "validation") if validated else None,
        "training %": _training_cell(arm),
        "published %": _published_cell(arm.published, sources_of(comparison)) if arm.published else None,
        "passes": str(arm.config.total_epochs),
        "samples seen": format_count(arm.mean_last("samples_seen")) if completed else "-",
        "gradient evaluations per sample": f"{arm.gradient_evaluations_per_sample:.3g}",
        "gradient evaluations": format_count(arm.mean_last("spent")) if completed else "-",
        "wall time": format_duration(arm.mean_last("wall_seconds")) if completed else "-",
        "device": "; ".join(devices(arm.runs)) or "-",
    }


def devices(runs: Sequence[RecordedRun]) -> list[str]:
    """What the runs were made on, each once."""
    return list(dict.fromkeys(run.summary["device"] for run in runs if run.summary))


def sources_of(comparison: Comparison) -> list[str]:
    """Where published figures come from, each once; their numbers in the table count from 1."""
    return list(dict.fromkeys(arm.published.source for arm in comparison.arms if arm.published))


def differences_table(comparison: Comparison, differences: Sequence[PairedDifference]) -> Table:
    """Mean difference with its interval, each seed's, and how the costs compare, one line per pair."""
    rows: list[tuple[str, ...]] = []
    for pair in differences:
        interval, values = pair.interval, pair.differences
        several = interval is not None and interval.half_width is not None
        rows.append(
            (
                f"{pair.first} {MINUS} {pair.second}" + (f" ({pair.split})" if pair.split != "test" else ""),
                str(len(values)),
                signed(interval.mean) if interval is not None and several else "-",
                f"± {interval.half_width:.2f}" if interval is not None and several else "-",
                f"{interval.deviation:.2f}" if interval is not None and several else "-",
                "; ".join(f"{seed}: {signed(value)}" for seed, value in values.items())
                or "no seed completed in both",
                _cost_ratio(comparison.arm(pair.first), comparison.arm(pair.second)),
            )
        )
    headers = (
        "pair",
        "seeds",
        "mean (points)",
        "95 % interval",
        "standard deviation s",
        "each seed (points)",
        "gradient evaluations, first : second",
    )
    return Table(headers, rows, "<>>>><>")


def _cost_ratio(first: ComparedArm, second: ComparedArm) -> str:
    """How many times the gradient evaluations of the second the first took, of the completed runs."""
    if not (first.completed and second.completed):
        return "-"
    return f"{first.mean_last('spent') / second.mean_last('spent'):.3g}"


def settings_table(comparison: Comparison) -> Table:
    """The settings in which arms differ, and only these, as flags take them."""
    configs = [arm.config for arm in comparison.arms]
    fields = {field.name: field for _, field in settings_fields()}
    names = [name for name in differing_settings(configs) if name != "seed"]
    rows = []
    for arm in comparison.arms:
        values = compared_settings(arm.config)
        rows.append((arm.name, *(flag_text(fields[name], values[name]) for name in names)))
    return Table(("arm", *names), rows, "<" + ">" * len(names))


def shared_settings(comparison: Comparison) -> str:
    """The settings that all arms have in common, as flags; of those at their defaults, only what is trained and how."""
    configs = [arm.config for arm in comparison.arms]
    values, differing = compared_settings(configs[0]), ("seed", *differing_settings(configs))
    shown = [
        f"--{field.name}={flag_text(field, values[field.name])}"
        for _, field in settings_fields()
        if field.name in values
        and field.name not in differing
        and (values[field.name] != field.default or field.name in _ALWAYS_SHOWN)
    ]
    return " ".join(shown) or "no setting is the same in all arms"


def _mean_cell(arm: ComparedArm, split: str, weights: str = "raw") -> str:
    values = list(arm.accuracies(split, weights).values())
    if not values:
        return "-"
    spread = deviation(values)
    return f"{np.mean(values):.2f}" + (f" ± {spread:.2f}" if spread is not None else "")


def _training_cell(arm: ComparedArm) -> str:
    """Training accuracy over the last pass, mean over the completed runs."""
    return (
        f"{np.mean([100 * run.last_pass('accuracy') for run in arm.completed]):.1f}" if arm.completed else "-"
    )


def _main_cell(arm: ComparedArm, weights: str = "raw") -> str:
    return _mean_cell(arm, arm.split, weights) + (f" ({arm.split})" if arm.split != SPLITS[0] else "")


def _seeds_cell(arm: ComparedArm) -> str:
    return "; ".join(f"{run.seed}: {_seed_text(arm, run)}" for run in arm.runs)


def _seed_text(arm: ComparedArm, run: RecordedRun) -> str:
    accuracy = run.accuracy(arm.split)
    figure = "-" if accuracy is None else f"{accuracy:.2f}"
    if run.completed:
        return figure
    if not run.started:
        return run.status.value
    return f"{figure} ({run.status.value}, {run.last('epoch'):.6g} of {run.planned_passes} passes)"


def _published_cell(published: Published, sources: Sequence[str]) -> str:
    spread = "" if published.spread is None else f" ± {published.spread:.2f}"
    return f"{published.accuracy:.2f}{spread} [{sources.index(published.source) + 1}]"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def signed(value: float) -> str:
    """A difference with two decimals, its sign, and a minus as long as the plus."""
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", MINUS)
