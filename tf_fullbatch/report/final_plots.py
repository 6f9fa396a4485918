"""The figure at the end of training: every arm beside the others, and against what it cost."""

import json
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tf_fullbatch.config.comparing import compared_settings
from tf_fullbatch.display import axes
from tf_fullbatch.report import style
from tf_fullbatch.report.arms import ComparedArm
from tf_fullbatch.report.drawing import Drawing, others_note, split_words
from tf_fullbatch.report.quantities import Quantity, quantity_words
from tf_fullbatch.report.ranking import BEST, FEW, ranked
from tf_fullbatch.report.statistics import deviation

_MARKERS = "osD^vPX"
_DOT: dict[str, Any] = {
    "marker": "o", "color": "#000000", "markersize": 5.5, "alpha": 0.6, "linestyle": "none",
}  # fmt: skip
_LENGTH = ("epochs", "schedule_epochs", "warmup_epochs", "decay_epochs", "penalty_warmup_epochs")
"""Settings in which a longer run of the same recipe may differ."""
_DIFFERENT_COST = 1.25
_LABEL_WIDTH = 40
_FAR = 10.0
NAMED = 40
"""Arms whose names have room at an axis."""
_MANY_DOTS = "#8A8A8A"
_GREY: dict[str, Any] = {"color": "#BDBDBD", "marker": "o", "zorder": 1}


def final_plot(arms: Sequence[ComparedArm]) -> Figure:
    """Each arm's figure, top to bottom: completed seeds as dots, and their mean with standard deviation.

    All arms are compared by one quantity. A figure that is far beyond those of the others is written at the edge.
    """
    figure = axes.new_figure(12, 1.5 + 0.42 * len(arms))
    panel = figure.subplots()
    edge = _edge(arms)
    for y, arm in enumerate(arms):
        values = list(arm.figures().values())
        inside = [value for value in values if value <= edge]
        seed_dots(panel, y + 0.16, inside)
        spread = deviation(values)
        if spread is not None and len(inside) == len(values):
            panel.errorbar(
                float(np.mean(values)), y - 0.14, xerr=spread, fmt="D", color=style.GAIN, markersize=5.5, capsize=4,
                linewidth=1.6,
            )  # fmt: skip
        if not values:
            _at_the_edge(panel, y, "no completed run with this figure")
        beyond = [arm.quantity.text(value) for value in values if value > edge]
        if beyond:
            _at_the_edge(panel, y, f"{', '.join(beyond)} \N{RIGHTWARDS ARROW}")
    several = len({arm.split for arm in arms}) > 1
    names = [f"{arm.name} ({arm.split})" if several else arm.name for arm in arms]
    panel.set_yticks(range(len(arms)), [style.literal(textwrap.fill(name, _LABEL_WIDTH)) for name in names])
    panel.set_ylim(len(arms) - 0.4, -0.6)
    panel.set_xlabel(_label(arms))
    axes.finish(panel)
    panel.margins(x=0.06)
    entries: list[tuple[Artist, str]] = [(seed_entry(), "a seed")]
    if any(len(arm.completed) > 1 for arm in arms):
        mean = Line2D([], [], color=style.GAIN, marker="D", linewidth=1.6)
        entries.append((mean, "mean ± sample standard deviation"))
    style.legend_below(figure, entries)
    return figure


def ordered_plot(arms: Sequence[ComparedArm]) -> Figure:
    """Arms in the order of their means, those without last: as many as fit by their names, more by `ranking_plot`."""
    if len(arms) > NAMED:
        return ranking_plot(arms)
    return final_plot([arms[k] for k in ranked(arms)])


def ranking_plot(arms: Sequence[ComparedArm]) -> Figure:
    """The figures of many arms, the best first: seeds as dots, means as lines; the best have their names."""
    order = [k for k in ranked(arms) if arms[k].figures()]
    figure = axes.new_figure(14, 5.5)
    panel = figure.subplots()
    edge = _edge(arms)
    found = [np.minimum(list(arms[k].figures().values()), edge) for k in order]
    groups = [[place] for place in range(min(BEST, len(order)))] + [list(range(BEST, len(order)))]
    for group in groups:
        colour = style.arm_style(group[0])["color"] if len(group) == 1 else _MANY_DOTS
        dots = np.array([(place + 1, value) for place in group for value in found[place]]).reshape(-1, 2)
        ends = [(place + 1 + side, found[place].mean()) for place in group for side in (-0.4, 0.4, np.nan)]
        x, y = np.array(ends).reshape(-1, 2).T
        panel.plot(x, y, linewidth=2, color=colour)
        panel.plot(*dots.T, marker="o", markersize=3, alpha=0.6, linestyle="none", color=colour)
    panel.set_xlabel(f"Place of the arm's mean among {len(order)}")
    panel.set_ylabel(_label(arms))
    axes.finish(panel)
    panel.set_xlim(0, len(order) + 1)
    entries = [(style.arm_style(place), arms[k].name) for place, k in enumerate(order[:BEST])]
    entries = [
        ({"color": look["color"]}, f"{place}. {name}") for place, (look, name) in enumerate(entries, start=1)
    ]
    height = style.arm_legend(figure, entries, [(seed_entry(color=_MANY_DOTS), "a seed")])
    figure.set_figheight(figure.get_figheight() + height)
    return figure


def cost_plot(drawing: Drawing, quantity: Quantity) -> Figure:
    """The figure against passes, gradient evaluations and wall time: a point per arm, mean and range over seeds.

    Arms of one recipe at several lengths (`recipes`) are joined by a line.
    """
    arms = drawing.comparison.arms
    groups = recipes(drawing.comparison.compared_by(quantity))
    points = [[_point(arm) for arm in group] for group in groups]
    costs = style.cost_axes([point["seconds"] for group in points for point in group])
    figure = axes.new_figure(14, 5)
    panels = figure.subplots(1, 3, sharey=True)
    own = [drawing.looks[arms.index(group[0])] for group in groups]
    looks = [
        _GREY if look is None else look | {"marker": _MARKERS[i % len(_MARKERS)]}
        for i, look in enumerate(own)
    ]
    for panel, (name, scale, label, unit) in zip(panels, costs, strict=True):
        for look, group in zip(looks, points, strict=True):
            _draw_recipe(panel, look, group, name, scale)
        ends = [point[name] / scale for group in points for point in group]
        style.x_axis(panel, ends, unit, least_share=0.6)
        panel.set_xlabel(label)
        axes.finish(panel)
        panel.tick_params(labelleft=True)
    panels[0].set_ylabel(_label([arm for group in groups for arm in group]))
    edge = _edge([arm for group in groups for arm in group])
    if np.isfinite(edge):
        panels[0].set_ylim(top=edge + 0.05 * (edge - panels[0].get_ylim()[0]))
    names = [", ".join(arm.name for arm in group) for group in groups]
    notes = [_range_entry()]
    grey = sum(look is None for look in own)
    if grey:
        notes.insert(0, others_note(grey))
    entries = [(look, name) for look, name, mine in zip(looks, names, own, strict=True) if mine is not None]
    height = style.arm_legend(figure, entries, notes)
    figure.set_figheight(figure.get_figheight() + height)
    return figure


def costs_differ(arms: Sequence[ComparedArm]) -> bool:
    """Whether there are completed arms of clearly different cost, so that `cost_plot` says something."""
    costs = [_point(arm)["gradient_evaluations"] for arm in arms if arm.figures()]
    return len(costs) > 1 and max(costs) >= _DIFFERENT_COST * min(costs)


def many(arms: Sequence[ComparedArm]) -> bool:
    """Whether these are shown in an order of their own (`ordered_plot`)."""
    return len(arms) > FEW


def recipes(arms: Sequence[ComparedArm]) -> list[list[ComparedArm]]:
    """The completed arms, those together, shortest first, that differ by their length and what scales with it alone."""
    groups: dict[str, list[ComparedArm]] = {}
    for arm in arms:
        if arm.figures():
            settings = compared_settings(arm.config) | dict.fromkeys((*_LENGTH, "seed"))
            groups.setdefault(json.dumps(settings), []).append(arm)
    return [sorted(group, key=lambda arm: arm.passes) for group in groups.values()]


def seed_dots(panel: Axes, y: float, values: Sequence[float], **look: Any) -> None:
    """A dot per seed around height y, one slightly above the other, so that equal values do not hide each other."""
    for i, value in enumerate(values):
        panel.plot(value, y + 0.05 * (i - (len(values) - 1) / 2), **(_DOT | look))


def seed_entry(**look: Any) -> Line2D:
    """The legend's entry for `seed_dots`."""
    return Line2D([], [], **(_DOT | look))


def _label(arms: Sequence[ComparedArm]) -> str:
    """What these arms are compared by."""
    words = quantity_words(arms[0].quantity, [run for arm in arms for run in arm.runs])
    return f"{split_words(arms)} {words}"


def _edge(arms: Sequence[ComparedArm]) -> float:
    """The largest figure to be drawn: losses may explode; infinite where none is far beyond the others."""
    tops = [
        max(arm.figures().values()) for arm in arms if arm.figures() and not arm.quantity.higher_is_better
    ]
    far = _FAR * float(np.quantile(tops, 0.5, method="lower")) if tops else 0.0
    inside = [top for top in tops if top <= far]
    return max(inside) if inside and len(inside) < len(tops) else float("inf")


def _at_the_edge(panel: Axes, y: float, text: str) -> None:
    panel.annotate(
        text,
        (0.995, y),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="center",
        color=axes.GREY,
        fontsize=9,
    )


def _point(arm: ComparedArm) -> dict[str, float]:
    """Means over the completed seeds, and the range of their figures."""
    values = list(arm.figures().values())
    return {
        "passes": arm.mean_last("epoch"),
        "gradient_evaluations": arm.mean_last("spent"),
        "seconds": arm.mean_last("wall_seconds"),
        "figure": float(np.mean(values)),
        "low": min(values),
        "high": max(values),
    }


def _draw_recipe(
    panel: Axes, look: dict[str, Any], points: Sequence[dict[str, float]], name: str, scale: float
) -> None:
    x = [point[name] / scale for point in points]
    y = np.array([point["figure"] for point in points])
    below, above = y - [point["low"] for point in points], [point["high"] for point in points] - y
    panel.errorbar(x, y, yerr=[below, above], markersize=7, capsize=3, linewidth=1.4, **look)


def _range_entry() -> tuple[Artist, str]:
    return Line2D([], [], color=axes.GREY, marker="|", markersize=12, linestyle="none"), "range over seeds"
