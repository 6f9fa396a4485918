"""What all figures share: their size, their grid, and logarithmic axes with ticks that can be read."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import (
    FuncFormatter,
    LogFormatterSciNotation,
    LogLocator,
    MaxNLocator,
    NullLocator,
    SymmetricalLogLocator,
)

GREY = "#555555"
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
"""Tick labels without powers of ten."""
_DECADES = 20.0
"""Where the largest of values is so many times the smallest, their axis is logarithmic."""
_NEXT_TO_ZERO = 0.05
"""So many of the smallest values make no range."""
_MOST_DECADES = 1e6
"""The largest of values over the end of an axis' linear part."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches wide and high, that keeps its labels inside."""
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.1))
    FigureCanvasAgg(figure)
    return figure


def finish(panel: Axes, nothing: str = "not measured") -> None:
    """Grid, spines, and a word where there is nothing to draw."""
    panel.grid(True, color="#DDDDDD", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    if not panel.lines:
        panel.text(0.5, 0.5, nothing, transform=panel.transAxes, ha="center", va="center", color=GREY)


def log_y(panel: Axes, ends: tuple[float, float] | None = None) -> None:
    """A logarithmic y axis where any value is positive; what is not positive is left out of it.

    Args:
        panel: Where the curves are drawn.
        ends: The smallest and the largest value to be seen; None for those of all curves.
    """
    low, high = (float(panel.dataLim.minposy), float(panel.dataLim.y1)) if ends is None else ends
    if np.isfinite(low) and 0 < low <= high:
        panel.set_yscale("log", nonpositive="mask")
        panel.set_ylim(*_log_limits(panel.yaxis, low, high))


def scale_of(values: np.ndarray) -> str:
    """The scale of an axis that suits values: linear; log over decades; symlog over decades of both signs.

    Args:
        values: All that is drawn; what is not finite does not count.
    """
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(sizes) or np.quantile(sizes, _NEXT_TO_ZERO) * _DECADES >= sizes.max():
        return "linear"
    return "log" if np.nanmin(values) > 0 else "symlog"


def fit_y(panel: Axes, values: np.ndarray) -> None:
    """A y axis of the scale that suits `values`, all that is drawn."""
    scale = scale_of(values)
    if scale == "log":
        log_y(panel)
    elif scale == "symlog":
        sizes = np.abs(values[np.isfinite(values) & (values != 0)])
        smallest = max(float(np.quantile(sizes, _NEXT_TO_ZERO)), float(sizes.max()) / _MOST_DECADES)
        linear = 10.0 ** np.ceil(np.log10(smallest))  # at a tick, so that none stands between it and 0
        locator = SymmetricalLogLocator(base=10, linthresh=linear)
        locator.set_params(numticks=8)
        panel.set_yscale("symlog", linthresh=linear, linscale=1.0)
        panel.yaxis.set_major_locator(locator)
        panel.yaxis.set_minor_locator(NullLocator())


def spans(panel: Axes, decades: float) -> bool:
    """Whether the positive values drawn in a panel span more than so many powers of ten, by their largest each."""
    tops = [
        np.nanmax(y)
        for line in panel.lines
        if len(y := np.asarray(line.get_ydata(), float)) and np.any(y > 0)
    ]
    return bool(tops) and np.log10(max(tops) / min(tops)) > decades


def falling_log_x(panel: Axes) -> None:
    """A logarithmic x axis that falls to the right, where any value is positive."""
    low, high = float(panel.dataLim.minposx), float(panel.dataLim.x1)
    if np.isfinite(low) and 0 < low <= high:
        panel.set_xscale("log", nonpositive="mask")
        panel.set_xlim(*reversed(_log_limits(panel.xaxis, low, high)))


def pass_axis(panel: Axes, last: float) -> None:
    """The x axis of passes over the training set, from 0 to the last."""
    panel.set_xlim(0, 1.02 * last if last > 0 else 1)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=last >= 3, steps=[1, 2, 2.5, 5, 10]))


def _log_limits(axis: Axis, low: float, high: float) -> tuple[float, float]:
    """Gives a logarithmic axis ticks that suit these ends, and returns its limits."""
    decades = np.log10(high / low)
    margin = 10 ** (0.04 * decades + 0.01)
    steps = (1.0,) if decades > 3 else (1.0, 2.0, 5.0) if decades > 0.7 else tuple(range(1, 10))
    axis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(PLAIN if decades <= 3 else LogFormatterSciNotation())
    return low / margin, high * margin
