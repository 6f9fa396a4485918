"""The figures of a comparison as tables of text: a line per arm, a line per pair, and the settings of arms."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass
from typing import Any

import pandas as pd

from tf_fullbatch.config.comparing import compared_settings, differing_settings
from tf_fullbatch.config.run import FILE_SETTINGS, fields_by_name, settings_fields
from tf_fullbatch.data.controls.settings import CLEAN, NOISY
from tf_fullbatch.display.text import format_count, format_duration
from tf_fullbatch.records.study_file import Published
from tf_fullbatch.report.aggregate import column
from tf_fullbatch.report.arms import SPLITS, ComparedArm, Comparison, devices, differing_files
from tf_fullbatch.report.differences import PairedDifference
from tf_fullbatch.report.quantities import ACCURACY, LOSS, MINUS, Quantity, loss_words, number
from tf_fullbatch.report.ranking import FEW, ranked
from tf_fullbatch.report.run_records import RecordedRun
from tf_fullbatch.settings.fields import flag_text
from tf_fullbatch.settings.part_names import shortened

_ALWAYS_SHOWN = ("dataset", "model", "micro_batch_size", "batch_size", "learning_rate", "schedule", "epochs")
_HASH_DIGITS = 8
_NOT_ONE = " (in several versions, see the settings in which arms differ)"
_COSTS = ("samples_seen_mean", "gradient_evaluations_mean", "wall_seconds_mean")


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


def arms_table(comparison: Comparison, table: pd.DataFrame) -> Table:
    """Mean and spread over seeds, each seed, the published figure, and what a run costs, one line per arm.

    Figures of runs that are not completed stand among the seeds, and are not averaged. Costs are means over the
    completed runs. Many arms stand in the order of their means, the best first.

    Args:
        comparison: The arms.
        table: Their `aggregate.aggregated`.
    """
    lines = list(zip(comparison.arms, table.to_dict("records"), strict=True))
    order = ranked(comparison.arms) if len(lines) > FEW else range(len(lines))
    shown = pd.DataFrame([_arm_cells(*lines[k], comparison) for k in order])
    shown = shown.dropna(axis="columns", how="all").fillna("-")  # what no arm has is no column
    align = "".join("<" if name.startswith(("arm", "each seed", "device")) else ">" for name in shown)
    return Table(tuple(shown), list(shown.itertuples(index=False, name=None)), align)


def _arm_cells(arm: ComparedArm, line: Mapping[str, Any], comparison: Comparison) -> dict[str, str | None]:
    """Column -> cell; None where the arm has nothing of the kind."""
    cost = {name: line[name] if arm.completed else None for name in _COSTS}
    device = (
        (line["device"] or "-") if len(devices(comparison.runs)) > 1 else None
    )  # else the heading says it
    loss = loss_words(comparison.runs)
    if ACCURACY in comparison.quantities:
        accuracies = {
            "test accuracy %": _main_cell(ACCURACY, line),
            "each seed %": _seeds_cell(arm, ACCURACY),
            "EMA weights %": _main_cell(ACCURACY, line, "ema"),
            "SWA weights %": _main_cell(ACCURACY, line, "swa"),
            "validation %": _mean_cell(ACCURACY, line, "validation"),
            "training %": _mean_cell(ACCURACY, line, "train"),
            "changed labels, fitted as changed %": _mean_cell(ACCURACY, line, NOISY),
            "as they were %": _mean_cell(ACCURACY, line, CLEAN),
            "published %": _published_cell(arm.published, sources_of(comparison)) if arm.published else None,
        }
        losses = {f"test {loss}": _main_cell(LOSS, line), f"training {loss}": _mean_cell(LOSS, line, "train")}
        figures = accuracies | losses
    else:
        figures = {
            f"test {loss}": _main_cell(LOSS, line),
            f"each seed {loss}": _seeds_cell(arm, LOSS),
            "EMA weights": _main_cell(LOSS, line, "ema"),
            "SWA weights": _main_cell(LOSS, line, "swa"),
            "validation": _mean_cell(LOSS, line, "validation"),
            "training": _mean_cell(LOSS, line, "train"),
        }
    return {
        "arm": arm.name,
        "seeds": f"{len(arm.figures())} of {len(arm.runs)}",
        **figures,
        "passes": str(arm.passes),
        "samples seen": _formatted(format_count, cost["samples_seen_mean"]),
        "gradient evaluations per sample": f"{line['gradient_evaluations_per_sample']:.3g}",
        "gradient evaluations": _formatted(format_count, cost["gradient_evaluations_mean"]),
        "wall time": _formatted(format_duration, cost["wall_seconds_mean"]),
        "device": device,
    }


def _formatted(form: Callable[[float], str], value: float | None) -> str:
    return "-" if value is None else form(value)


def sources_of(comparison: Comparison) -> list[str]:
    """Where published figures come from, each once; their numbers in the table count from 1."""
    return list(dict.fromkeys(arm.published.source for arm in comparison.arms if arm.published))


def differences_table(comparison: Comparison, differences: Sequence[PairedDifference]) -> Table:
    """Mean difference with its interval, each seed's, and how the costs compare, one line per pair."""
    points = all(pair.quantity is ACCURACY for pair in differences)
    unit = " (points)" if points else ""
    headers = ("pair", "seeds", f"mean{unit}", "95 % interval", "standard deviation s", f"each seed{unit}",
               "gradient evaluations, first : second")  # fmt: skip
    return Table(headers, [_difference_row(comparison, pair, points) for pair in differences], "<>>>><>")


def _difference_row(comparison: Comparison, pair: PairedDifference, points: bool) -> tuple[str, ...]:
    said = [
        word for word, new in ((pair.split, pair.split != SPLITS[0]), (pair.quantity.name, not points)) if new
    ]
    figures, quantity = ("-", "-", "-"), pair.quantity
    if pair.interval is not None and pair.interval.deviation is not None:
        mean, spread, half = pair.interval.mean, pair.interval.deviation, pair.interval.half_width
        decimals = quantity.decimals_of(mean, spread)
        figures = (
            quantity.signed(mean, spread),
            f"± {number(half or 0.0, decimals)}",
            number(spread, decimals),
        )
    seeds = "; ".join(f"{seed}: {quantity.signed(value)}" for seed, value in pair.differences.items())
    return (
        f"{pair.first} {MINUS} {pair.second}" + (f" ({' '.join(said)})" if said else ""),
        str(len(pair.differences)),
        *figures,
        seeds or ("losses that do not compare" if pair.other_losses else "no seed completed in both"),
        _cost_ratio(comparison.arm(pair.first), comparison.arm(pair.second)),
    )


def _cost_ratio(first: ComparedArm, second: ComparedArm) -> str:
    """How many times the gradient evaluations of the second the first took, of the completed runs."""
    if not (first.completed and second.completed):
        return "-"
    return f"{first.mean_last('spent') / second.mean_last('spent'):.3g}"


def settings_table(comparison: Comparison) -> Table:
    """The settings in which arms differ, and only these, as flags take them."""
    settings = settings_of_arms(comparison)
    rows = [(arm.name, *values.values()) for arm, values in zip(comparison.arms, settings, strict=True)]
    return Table(("arm", *settings[0]), rows, "<" + ">" * len(settings[0]))


def settings_of_arms(comparison: Comparison) -> list[dict[str, str]]:
    """Setting -> value as its flag takes it, of each arm: the settings in which arms differ, and only these.

    Where a value names files or objects that are not the same in all arms, `SETTING (SHA-256)` tells them apart.
    """
    fields = fields_by_name()
    names = [name for name in differing_settings([arm.config for arm in comparison.arms]) if name != "seed"]
    settings = [compared_settings(arm.config) for arm in comparison.arms]
    shown = [{name: flag_text(fields[name], one[name]) for name in names} for one in settings]
    for name in differing_files(comparison.arms):
        for arm, one in zip(comparison.arms, shown, strict=True):
            one[f"{name} (SHA-256)"] = arm.file_hashes.get(name, "-")[:_HASH_DIGITS]
    return shown


def shared_settings(comparison: Comparison) -> str:
    """The settings that all arms have in common, as flags; of those at their defaults, only what is trained and how."""
    configs = [arm.config for arm in comparison.arms]
    values, differing = compared_settings(configs[0]), ("seed", *differing_settings(configs))
    others = differing_files(comparison.arms)
    shown = [
        f"--{field.name}={_shown(field, values[field.name])}{_NOT_ONE if field.name in others else ''}"
        for _, field in settings_fields()
        if field.name in values
        and field.name not in differing
        and (values[field.name] != field.default or field.name in _ALWAYS_SHOWN)
    ]
    return " ".join(shown) or "no setting is the same in all arms"


def _shown(field: Field, value: Any) -> str:
    """A value as its flag takes it, of a user's file the name alone."""
    return flag_text(field, shortened(value) if field.name in FILE_SETTINGS else value)


def _mean_cell(quantity: Quantity, line: Mapping[str, Any], split: str, weights: str = "raw") -> str | None:
    name = column(quantity, split, weights)
    mean, spread = line[f"{name}_mean"], line[f"{name}_std"]
    return None if pd.isna(mean) else quantity.text(mean, None if pd.isna(spread) else spread)


def _main_cell(quantity: Quantity, line: Mapping[str, Any], weights: str = "raw") -> str | None:
    """Of the split that the arm is compared by, which is said where it is not the test split."""
    split = line["split"]
    cell = _mean_cell(quantity, line, split, weights)
    return f"{cell} ({split})" if cell is not None and split != SPLITS[0] else cell


def _seeds_cell(arm: ComparedArm, quantity: Quantity) -> str:
    return "; ".join(f"{run.seed}: {_seed_text(arm, run, quantity)}" for run in arm.runs)


def _seed_text(arm: ComparedArm, run: RecordedRun, quantity: Quantity) -> str:
    value = run.final(quantity, arm.split)
    figure = "-" if value is None else quantity.text(value)
    if run.completed and not run.ended_by:
        return figure
    if not run.started:
        return run.status.value
    how = run.ended_by or run.status.value
    return f"{figure} ({how}, {run.last('epoch'):.6g} of {run.planned_passes} passes)"


def _published_cell(published: Published, sources: Sequence[str]) -> str:
    spread = "" if published.spread is None else f" ± {published.spread:.2f}"
    return f"{published.accuracy:.2f}{spread} [{sources.index(published.source) + 1}]"
