"""Sweeps as pictures: two settings as a heat map with its numbers, one as a line with its points."""

from collections.abc import Hashable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tf_fullbatch.display import axes
from tf_fullbatch.report import style
from tf_fullbatch.report.quantities import Quantity
from tf_fullbatch.report.sweeps import Sweep, is_number

_MOST_NUMBERS = 200
_FAR = 10.0
_LOG_FROM = 8.0
_MANY_TICKS = 12


def sweep_plot(sweep: Sweep) -> Figure:
    """The heat map of two settings, or the line of one."""
    return heat_map(sweep) if len(sweep.settings) == 2 else line_plot(sweep)


def heat_map(sweep: Sweep) -> Figure:
    """A cell per pair of values: the mean over seeds as a colour and as a number; a frame around what was chosen.

    The setting with more values goes across. Losses that are far beyond the others do not stretch the colours.
    """
    across, up = (1, 0) if len(sweep.values[1]) >= len(sweep.values[0]) else (0, 1)
    columns, rows = sweep.values[across], sweep.values[up]
    means = np.full((len(rows), len(columns)), np.nan)
    for place, figures in sweep.figures.items():
        if len(figures):
            means[rows.index(place[up]), columns.index(place[across])] = np.mean(figures)
    figure = axes.new_figure(min(14.0, 3.4 + 1.05 * len(columns)), 1.9 + 0.6 * len(rows))
    panel = figure.subplots()
    panel.set_facecolor("#E8E8E8")
    low, high = usual_range(means[np.isfinite(means)], sweep.quantity)
    colours = "viridis" if sweep.quantity.higher_is_better else "viridis_r"
    image = panel.imshow(means, cmap=colours, vmin=low, vmax=high, aspect="auto", origin="lower")
    if means.size <= _MOST_NUMBERS:
        _write_numbers(panel, means, sweep)
    for place in sweep.chosen:
        corner = columns.index(place[across]) - 0.48, rows.index(place[up]) - 0.48
        panel.add_patch(
            Rectangle(corner, 0.96, 0.96, fill=False, edgecolor=style.LOSS, linewidth=3, zorder=3)
        )
    panel.set_xticks(range(len(columns)), list(map(value_text, columns)))
    panel.set_yticks(range(len(rows)), list(map(value_text, rows)))
    panel.set_xlabel(sweep.settings[across])
    panel.set_ylabel(sweep.settings[up])
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)
    bar = figure.colorbar(
        image, ax=panel, extend="max" if np.nanmax(means, initial=-np.inf) > high else "neither"
    )
    bar.set_label(sweep.label)
    bar.outline.set_visible(False)
    return figure


def line_plot(sweep: Sweep) -> Figure:
    """A point per value: the mean over seeds joined by a line, the seeds as dots; a ring around what was chosen."""
    (values,) = sweep.values
    numbers = [value for value in values if is_number(value)]
    places = {value: float(value) for value in numbers}  # type: ignore[arg-type]
    logarithmic = min(places.values()) > 0 and max(places.values()) >= _LOG_FROM * min(places.values())
    figure = axes.new_figure(9, 5)
    panel = figure.subplots()
    figures = {value: np.array(sweep.figures.get((value,), ()), float) for value in numbers}
    drawn = {value: found for value, found in figures.items() if len(found)}
    means = np.array([found.mean() for found in drawn.values()])
    _, high = usual_range(means, sweep.quantity)
    x = [places[value] for value in drawn]
    panel.plot(x, means, color=style.GAIN, marker="D", markersize=6, linewidth=1.6)
    for value, found in drawn.items():
        if len(found) > 1:
            panel.plot(np.full(len(found), places[value]), found, linestyle="none", marker="o", markersize=5,
                       color="#000000", alpha=0.6)  # fmt: skip
    for (value,) in sweep.chosen:
        if value in drawn:
            panel.plot(places[value], drawn[value].mean(), marker="o", markersize=15, markerfacecolor="none",
                       markeredgecolor=style.LOSS, markeredgewidth=2)  # fmt: skip
    if logarithmic:
        panel.set_xscale("log")
    if len(numbers) <= _MANY_TICKS:
        panel.xaxis.set_major_locator(FixedLocator(list(places.values())))
        panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: value_text(value)))
    panel.set_xlabel(sweep.settings[0])
    panel.set_ylabel(sweep.label)
    axes.finish(panel)
    if len(means) and means.max() > high:
        panel.set_ylim(top=high + 0.05 * (high - panel.get_ylim()[0]))
    return figure


def _write_numbers(panel: Axes, means: np.ndarray, sweep: Sweep) -> None:
    """Each cell's number, in black or in white, whatever stands out."""
    (image,) = panel.images
    for (y, x), mean in np.ndenumerate(means):
        if not np.isfinite(mean):
            panel.text(x, y, "-", ha="center", va="center", color=axes.GREY)
            continue
        red, green, blue, _ = image.cmap(image.norm(mean))
        light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.55
        text = sweep.quantity.text(float(mean))
        panel.text(x, y, text, ha="center", va="center", color="#000000" if light else "#FFFFFF", fontsize=10)


def usual_range(means: np.ndarray, quantity: Quantity) -> tuple[float, float]:
    """The smallest and the largest mean; of losses the largest that is not far beyond the median."""
    if not len(means):
        return 0.0, 1.0
    inside = means
    if not quantity.higher_is_better:
        inside = means[means <= _FAR * np.quantile(means, 0.5, method="lower")]
    return float(means.min()), float(inside.max() if len(inside) else means.max())


def value_text(value: Hashable) -> str:
    """A value of a setting as a flag takes it."""
    if value is None:
        return "none"
    return f"{value:.6g}" if is_number(value) else style.literal(str(value))
