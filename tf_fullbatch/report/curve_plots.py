"""Learning curves at equal compute and at equal loss, and what the gradient does, arms beside each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_fullbatch.display import axes
from tf_fullbatch.report import style
from tf_fullbatch.report.arms import ComparedArm, Comparison
from tf_fullbatch.report.series import Curve, error_curves, metric_curves

_CLIPPED_BINS = 40
_COARSE_BINS = 40
_WEAK_LINE = 1.0


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The curves of an arm and how they look."""

    curves: list[Curve]
    index: int


def learning_curves(comparison: Comparison) -> Figure:
    """Error and training loss (rows of panels) against passes, gradient evaluations and wall time (columns)."""
    errors = _all(comparison, error_curves)
    losses = _all(comparison, lambda arm: metric_curves(arm, "loss"))
    columns = style.cost_axes(_ends((*errors, *losses), "seconds", 1.0))
    figure = axes.new_figure(14, 8)
    panels = figure.subplots(2, 3, sharey="row", sharex="col")
    for row_of_panels, quantity in zip(panels, (errors, losses), strict=True):
        for panel, (name, scale, _, _) in zip(row_of_panels, columns, strict=True):
            _draw(panel, quantity, name, scale)
    panels[0, 0].set_ylabel(f"{_split_words(comparison)} error (%)")
    panels[1, 0].set_ylabel("Training loss (nats)")
    for column, (name, scale, label, unit) in enumerate(columns):
        panels[1, column].set_xlabel(label)
        style.x_axis(panels[1, column], _ends((*errors, *losses), name, scale), unit)
    for row_of_panels in panels:
        axes.log_y(row_of_panels[0])
        for panel in row_of_panels:
            axes.finish(panel)
            panel.tick_params(labelbottom=True, labelleft=True)
    _legend(figure, comparison, (*errors, *losses))
    return figure


def along_training(comparison: Comparison) -> Figure:
    """Gradient norm, clipped steps, squared micro-batch gradient norms and penalty against passes."""
    clips = [arm for arm in comparison.arms if arm.config.step.clip_norm is not None]
    penalised = [arm for arm in comparison.arms if arm.config.step.penalty != "none"]
    norms = _all(comparison, lambda arm: metric_curves(arm, "gradient_norm"))
    clipped = _all(comparison, lambda arm: metric_curves(arm, "clipped", _CLIPPED_BINS), clips)
    squares = _all(comparison, lambda arm: metric_curves(arm, "mean_squared_micro_batch_gradient_norm"))
    penalties = _all(comparison, lambda arm: metric_curves(arm, "penalty"), penalised)
    figure = axes.new_figure(14, 9)
    panels = figure.subplots(2, 2, sharex=True).flatten()
    quantities = (
        (norms, "Gradient norm before clipping (L2)", "not measured"),
        (clipped, "Clipped steps (%)", "not measured" if clips else "no arm clips"),
        (squares, "Mean squared micro-batch gradient norm", "not measured"),
        (penalties, "Penalty (nats)", "not measured" if penalised else "no arm has a penalty"),
    )
    for panel, (quantity, label, nothing) in zip(panels, quantities, strict=True):
        _draw(panel, quantity, "passes", 1.0, factor=100.0 if quantity is clipped else 1.0)
        panel.set_ylabel(label)
        if quantity is clipped:
            panel.set_ylim(-4, 104)
        else:
            axes.log_y(panel)
        axes.finish(panel, nothing)
        panel.tick_params(labelbottom=True)
    for panel in panels[2:]:
        panel.set_xlabel("Passes over the training set")
    style.x_axis(panels[0], _ends(norms, "passes", 1.0), "passes")
    _legend(figure, comparison, norms)
    return figure


def at_equal_loss(comparison: Comparison) -> Figure:
    """Error and squared micro-batch gradient norms against training loss, which falls to the right."""
    errors = _all(comparison, error_curves)
    squares = _all(
        comparison, lambda arm: metric_curves(arm, "mean_squared_micro_batch_gradient_norm", _COARSE_BINS)
    )
    figure = axes.new_figure(14, 5.5)
    panels = figure.subplots(1, 2, sharex=True)
    labels = (f"{_split_words(comparison)} error (%)", "Mean squared micro-batch gradient norm")
    for panel, quantity, label in zip(panels, (errors, squares), labels, strict=True):
        _draw(panel, quantity, "training_loss", 1.0)
        axes.log_y(panel)
        panel.set_ylabel(label)
        panel.set_xlabel("Training loss (nats), falling")
        axes.finish(panel)
    axes.falling_log_x(panels[0])
    _legend(figure, comparison, (*errors, *squares))
    return figure


def _all(
    comparison: Comparison,
    curves: Callable[[ComparedArm], list[Curve]],
    arms: Sequence[ComparedArm] | None = None,
) -> list[_Drawn]:
    chosen = comparison.arms if arms is None else arms
    return [_Drawn(curves(arm), i) for i, arm in enumerate(comparison.arms) if arm in chosen]


def _draw(panel: Axes, arms: Sequence[_Drawn], name: str, scale: float, factor: float = 1.0) -> None:
    for drawn in arms:
        look = style.arm_style(drawn.index)
        for curve in drawn.curves:
            x, y = curve.points[name] / scale, factor * curve.points["mean"]
            marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(x) == 1 else {}
            if not curve.completed:
                marker = {
                    "marker": "x",
                    "markersize": 7,
                    "markevery": [len(x) - 1],
                    "markeredgewidth": 1.8,
                    "zorder": 4,
                }
            width = 1.8 if curve.completed else _WEAK_LINE
            panel.plot(x, y, linewidth=width, **look, **marker)
            if curve.has_range:
                low, high = factor * curve.points["low"], factor * curve.points["high"]
                panel.fill_between(x, low, high, color=look["color"], alpha=0.16, linewidth=0)


def _ends(arms: Sequence[_Drawn], name: str, scale: float) -> list[float]:
    """Where each arm's longest curve ends."""
    return [
        max(curve.points[name].iloc[-1] / scale for curve in drawn.curves) for drawn in arms if drawn.curves
    ]


def _split_words(comparison: Comparison) -> str:
    splits = {arm.split for arm in comparison.arms if any(run.started for run in arm.runs)}
    return splits.pop().capitalize() if len(splits) == 1 else "Test or validation"


def _legend(figure: Figure, comparison: Comparison, arms: Sequence[_Drawn]) -> None:
    """The arms' names; with a note on what an arm's error is of where they differ."""
    several = len({arm.split for arm in comparison.arms}) > 1
    names = [f"{arm.name} ({arm.split})" if several else arm.name for arm in comparison.arms]
    curves = [curve for drawn in arms for curve in drawn.curves]
    notes = []
    if any(curve.has_range for curve in curves):
        notes.append(style.band_note())
    if any(not curve.completed for curve in curves):
        notes.append(style.unfinished_note())
    arms_drawn = [(style.arm_style(i), name) for i, name in enumerate(names)]
    height = style.arm_legend(figure, arms_drawn, notes)
    figure.set_figheight(figure.get_figheight() + height)
