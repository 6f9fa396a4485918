"""Accuracy at the end of training: every row beside the others, and against what it cost."""

import json
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tf_fullbatch.config.run import compared_settings
from tf_fullbatch.report import style
from tf_fullbatch.report.rows import ComparedRow, Comparison
from tf_fullbatch.report.statistics import deviation

_MARKERS = "osD^vPX"
_DOT: dict[str, Any] = {
    "marker": "o", "color": "#000000", "markersize": 5.5, "alpha": 0.6, "linestyle": "none",
}  # fmt: skip
_LENGTH = ("epochs", "schedule_epochs", "warmup_epochs", "decay_epochs", "penalty_warmup_epochs")
"""Settings in which a longer run of the same recipe may differ."""
_DIFFERENT_COST = 1.25
_LABEL_WIDTH = 40


def accuracy_plot(rows: Sequence[ComparedRow]) -> Figure:
    """Final accuracy of each row, top to bottom: completed seeds as dots, and their mean with standard deviation."""
    figure = style.new_figure(12, 1.5 + 0.42 * len(rows))
    panel = figure.subplots()
    for y, row in enumerate(rows):
        values = list(row.accuracies(row.split).values())
        seed_dots(panel, y + 0.16, values)
        spread = deviation(values)
        if spread is not None:
            panel.errorbar(
                float(np.mean(values)), y - 0.14, xerr=spread, fmt="D", color=style.GAIN, markersize=5.5, capsize=4,
                linewidth=1.6,
            )  # fmt: skip
    several = len({row.split for row in rows}) > 1
    names = [f"{row.name} ({row.split})" if several else row.name for row in rows]
    panel.set_yticks(range(len(rows)), [style.literal(textwrap.fill(name, _LABEL_WIDTH)) for name in names])
    panel.set_ylim(len(rows) - 0.4, -0.6)
    panel.set_xlabel("Accuracy (%)" if several else f"{rows[0].split.capitalize()} accuracy (%)")
    style.finish(panel)
    panel.margins(x=0.06)
    entries: list[tuple[Artist, str]] = [(seed_entry(), "a seed")]
    if any(len(row.completed) > 1 for row in rows):
        mean = Line2D([], [], color=style.GAIN, marker="D", linewidth=1.6)
        entries.append((mean, "mean ± sample standard deviation"))
    style.legend_below(figure, entries)
    return figure


def cost_plot(comparison: Comparison) -> Figure:
    """Final accuracy against passes, gradient evaluations and wall time: a point a row, mean and range over seeds.

    Rows of one recipe at several lengths (`recipes`) are joined by a line.
    """
    groups = recipes(comparison.rows)
    points = [[_point(row) for row in group] for group in groups]
    costs = style.cost_axes([point["seconds"] for group in points for point in group])
    figure = style.new_figure(14, 5)
    panels = figure.subplots(1, 3, sharey=True)
    looks = [
        style.row_style(comparison.rows.index(group[0])) | {"marker": _MARKERS[i % len(_MARKERS)]}
        for i, group in enumerate(groups)
    ]
    for panel, (name, scale, label, unit) in zip(panels, costs, strict=True):
        for look, group in zip(looks, points, strict=True):
            _draw_recipe(panel, look, group, name, scale)
        ends = [point[name] / scale for group in points for point in group]
        style.x_axis(panel, ends, unit, least_share=0.6)
        panel.set_xlabel(label)
        style.finish(panel)
        panel.tick_params(labelleft=True)
    splits = {row.split for row in comparison.rows}
    panels[0].set_ylabel(f"{splits.pop().capitalize()} accuracy (%)" if len(splits) == 1 else "Accuracy (%)")
    names = [", ".join(row.name for row in group) for group in groups]
    height = style.row_legend(figure, list(zip(looks, names, strict=True)), [_range_entry()])
    figure.set_figheight(figure.get_figheight() + height)
    return figure


def costs_differ(rows: Sequence[ComparedRow]) -> bool:
    """Whether there are completed rows of clearly different cost, so that `cost_plot` says something."""
    costs = [_point(row)["gradient_evaluations"] for row in rows if _has_figure(row)]
    return len(costs) > 1 and max(costs) >= _DIFFERENT_COST * min(costs)


def recipes(rows: Sequence[ComparedRow]) -> list[list[ComparedRow]]:
    """The completed rows, those together, shortest first, that differ by their length and what scales with it alone."""
    groups: dict[str, list[ComparedRow]] = {}
    for row in rows:
        if _has_figure(row):
            settings = compared_settings(row.config) | dict.fromkeys((*_LENGTH, "seed"))
            groups.setdefault(json.dumps(settings), []).append(row)
    return [sorted(group, key=lambda row: row.config.runtime.epochs) for group in groups.values()]


def seed_dots(panel: Axes, y: float, values: Sequence[float], **look: Any) -> None:
    """A dot a seed around height y, one slightly above the other, so that equal values do not hide each other."""
    for i, value in enumerate(values):
        panel.plot(value, y + 0.05 * (i - (len(values) - 1) / 2), **(_DOT | look))


def seed_entry(**look: Any) -> Line2D:
    """The legend's entry for `seed_dots`."""
    return Line2D([], [], **(_DOT | look))


def _has_figure(row: ComparedRow) -> bool:
    return bool(row.accuracies(row.split))


def _point(row: ComparedRow) -> dict[str, float]:
    """Means over the completed seeds, and the range of their accuracies."""
    values = list(row.accuracies(row.split).values())
    return {
        "passes": row.mean_last("epoch"),
        "gradient_evaluations": row.mean_gradient_evaluations,
        "seconds": row.mean_last("wall_seconds"),
        "accuracy": float(np.mean(values)),
        "low": min(values),
        "high": max(values),
    }


def _draw_recipe(
    panel: Axes, look: dict[str, Any], points: Sequence[dict[str, float]], name: str, scale: float
) -> None:
    x = [point[name] / scale for point in points]
    y = np.array([point["accuracy"] for point in points])
    below, above = y - [point["low"] for point in points], [point["high"] for point in points] - y
    panel.errorbar(x, y, yerr=[below, above], markersize=7, capsize=3, linewidth=1.4, **look)


def _range_entry() -> tuple[Artist, str]:
    return Line2D([], [], color=style.GREY, marker="|", markersize=12, linestyle="none"), "range over seeds"
