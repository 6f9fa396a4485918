"""Accuracy at the end of training: every arm beside the others, and against what it cost."""

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
from tf_fullbatch.display import axes
from tf_fullbatch.report import style
from tf_fullbatch.report.arms import ComparedArm, Comparison
from tf_fullbatch.report.statistics import deviation

_MARKERS = "osD^vPX"
_DOT: dict[str, Any] = {
    "marker": "o", "color": "#000000", "markersize": 5.5, "alpha": 0.6, "linestyle": "none",
}  # fmt: skip
_LENGTH = ("epochs", "schedule_epochs", "warmup_epochs", "decay_epochs", "penalty_warmup_epochs")
"""Settings in which a longer run of the same recipe may differ."""
_DIFFERENT_COST = 1.25
_LABEL_WIDTH = 40


def accuracy_plot(arms: Sequence[ComparedArm]) -> Figure:
    """Final accuracy of each arm, top to bottom: completed seeds as dots, and their mean with standard deviation."""
    figure = axes.new_figure(12, 1.5 + 0.42 * len(arms))
    panel = figure.subplots()
    for y, arm in enumerate(arms):
        values = list(arm.accuracies(arm.split).values())
        seed_dots(panel, y + 0.16, values)
        spread = deviation(values)
        if spread is not None:
            panel.errorbar(
                float(np.mean(values)), y - 0.14, xerr=spread, fmt="D", color=style.GAIN, markersize=5.5, capsize=4,
                linewidth=1.6,
            )  # fmt: skip
    several = len({arm.split for arm in arms}) > 1
    names = [f"{arm.name} ({arm.split})" if several else arm.name for arm in arms]
    panel.set_yticks(range(len(arms)), [style.literal(textwrap.fill(name, _LABEL_WIDTH)) for name in names])
    panel.set_ylim(len(arms) - 0.4, -0.6)
    panel.set_xlabel("Accuracy (%)" if several else f"{arms[0].split.capitalize()} accuracy (%)")
    axes.finish(panel)
    panel.margins(x=0.06)
    entries: list[tuple[Artist, str]] = [(seed_entry(), "a seed")]
    if any(len(arm.completed) > 1 for arm in arms):
        mean = Line2D([], [], color=style.GAIN, marker="D", linewidth=1.6)
        entries.append((mean, "mean ± sample standard deviation"))
    style.legend_below(figure, entries)
    return figure


def cost_plot(comparison: Comparison) -> Figure:
    """Final accuracy against passes, gradient evaluations and wall time: a point per arm, mean and range over seeds.

    Arms of one recipe at several lengths (`recipes`) are joined by a line.
    """
    groups = recipes(comparison.arms)
    points = [[_point(arm) for arm in group] for group in groups]
    costs = style.cost_axes([point["seconds"] for group in points for point in group])
    figure = axes.new_figure(14, 5)
    panels = figure.subplots(1, 3, sharey=True)
    looks = [
        style.arm_style(comparison.arms.index(group[0])) | {"marker": _MARKERS[i % len(_MARKERS)]}
        for i, group in enumerate(groups)
    ]
    for panel, (name, scale, label, unit) in zip(panels, costs, strict=True):
        for look, group in zip(looks, points, strict=True):
            _draw_recipe(panel, look, group, name, scale)
        ends = [point[name] / scale for group in points for point in group]
        style.x_axis(panel, ends, unit, least_share=0.6)
        panel.set_xlabel(label)
        axes.finish(panel)
        panel.tick_params(labelleft=True)
    splits = {arm.split for arm in comparison.arms}
    panels[0].set_ylabel(f"{splits.pop().capitalize()} accuracy (%)" if len(splits) == 1 else "Accuracy (%)")
    names = [", ".join(arm.name for arm in group) for group in groups]
    height = style.arm_legend(figure, list(zip(looks, names, strict=True)), [_range_entry()])
    figure.set_figheight(figure.get_figheight() + height)
    return figure


def costs_differ(arms: Sequence[ComparedArm]) -> bool:
    """Whether there are completed arms of clearly different cost, so that `cost_plot` says something."""
    costs = [_point(arm)["gradient_evaluations"] for arm in arms if _has_figure(arm)]
    return len(costs) > 1 and max(costs) >= _DIFFERENT_COST * min(costs)


def recipes(arms: Sequence[ComparedArm]) -> list[list[ComparedArm]]:
    """The completed arms, those together, shortest first, that differ by their length and what scales with it alone."""
    groups: dict[str, list[ComparedArm]] = {}
    for arm in arms:
        if _has_figure(arm):
            settings = compared_settings(arm.config) | dict.fromkeys((*_LENGTH, "seed"))
            groups.setdefault(json.dumps(settings), []).append(arm)
    return [sorted(group, key=lambda arm: arm.config.total_epochs) for group in groups.values()]


def seed_dots(panel: Axes, y: float, values: Sequence[float], **look: Any) -> None:
    """A dot per seed around height y, one slightly above the other, so that equal values do not hide each other."""
    for i, value in enumerate(values):
        panel.plot(value, y + 0.05 * (i - (len(values) - 1) / 2), **(_DOT | look))


def seed_entry(**look: Any) -> Line2D:
    """The legend's entry for `seed_dots`."""
    return Line2D([], [], **(_DOT | look))


def _has_figure(arm: ComparedArm) -> bool:
    return bool(arm.accuracies(arm.split))


def _point(arm: ComparedArm) -> dict[str, float]:
    """Means over the completed seeds, and the range of their accuracies."""
    values = list(arm.accuracies(arm.split).values())
    return {
        "passes": arm.mean_last("epoch"),
        "gradient_evaluations": arm.mean_last("spent"),
        "seconds": arm.mean_last("wall_seconds"),
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
    return Line2D([], [], color=axes.GREY, marker="|", markersize=12, linestyle="none"), "range over seeds"
