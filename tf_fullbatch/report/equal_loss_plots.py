"""Arms at the same training loss: which of those that fit alike generalises better?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_fullbatch.display import axes
from tf_fullbatch.report import style
from tf_fullbatch.report.drawing import Drawing, Drawn, draw_grey, exploded, keep_out, split_words
from tf_fullbatch.report.quantities import ACCURACY, error_words, loss_words
from tf_fullbatch.report.series import Curve, falling_only

_COARSE_BINS = 40
_DOT: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 2.6,
    "alpha": 0.35,
    "markeredgewidth": 0,
}
_END: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 6}


def at_equal_loss(drawing: Drawing) -> Figure:
    """Error (loss, without accuracies) and squared micro-batch gradient norms against training loss, falling.

    A line joins the points at which the training loss was lower than ever before in the run, so that it never turns
    back; the others are dots. A large dot is the end of training.
    """
    quantity = drawing.comparison.quantities[0]
    name = "error" if quantity is ACCURACY else "loss"
    errors = drawing.curves(lambda series: series.evaluations(name))
    squares = drawing.curves(
        lambda series: series.steps("mean_squared_micro_batch_gradient_norm", _COARSE_BINS)
    )
    figure = axes.new_figure(14, 5.5)
    panels = figure.subplots(1, 2, sharex=True)
    error = f"{split_words(drawing.comparison.arms)} {error_words(quantity, drawing.comparison.runs)}"
    labels = (error, "Mean squared micro-batch gradient norm")
    for panel, drawn, label in zip(panels, (errors, squares), labels, strict=True):
        draw_falling(panel, drawn)
        axes.log_y(panel)
        keep_out(panel, drawn, exploded(drawn))
        panel.set_ylabel(label)
        panel.set_xlabel(f"Training {loss_words(drawing.comparison.runs)}, falling")
        axes.finish(panel)
    axes.falling_log_x(panels[0])
    drawing.legend(figure, (*errors, *squares))
    return figure


def draw_falling(panel: Axes, drawn: Sequence[Drawn]) -> None:
    """Draws curves against training loss, see `at_equal_loss`; those without a look of their own as grey lines."""
    grey = [
        (curve.points, falling_only(curve.points)) for arm in drawn if not arm.look for curve in arm.curves
    ]
    draw_grey(panel, [(points["training_loss"][f], points["mean"][f]) for points, f in grey])
    for arm in drawn:
        for curve in arm.curves if arm.look else ():
            assert arm.look is not None
            _draw(panel, arm.look, curve)


def _draw(panel: Axes, look: dict[str, Any], curve: Curve) -> None:
    there = np.isfinite(curve.points["training_loss"])
    x, y = curve.points["training_loss"], curve.points["mean"]
    falling = falling_only(curve.points)
    width = 1.8 if curve.completed else 1.0
    if falling.any():
        panel.plot(x[falling], y[falling], linewidth=width, **look)
    others = there & ~falling
    if others.any():
        panel.plot(x[others], y[others], color=look["color"], zorder=1.5, **_DOT)
    if there.any():
        end = _END if curve.completed else style.ends_here(1) | {"linestyle": "none"}
        last = np.flatnonzero(there)[-1]
        panel.plot(x[last], y[last], color=look["color"], **end)
    if curve.has_range and falling.any():
        low, high = curve.points["low"][falling], curve.points["high"][falling]
        panel.fill_between(x[falling], low, high, color=look["color"], alpha=0.16, linewidth=0)
