"""Learning curves at equal compute, what they leave between training and test, and what the gradient does."""

import operator
from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_fullbatch.display import axes
from tf_fullbatch.report import style
from tf_fullbatch.report.arms import ComparedArm
from tf_fullbatch.report.drawing import Drawing, Drawn, draw, ends, exploded, keep_out, split_words
from tf_fullbatch.report.quantities import ACCURACY, error_words, loss_words
from tf_fullbatch.report.series import Curve

_CLIPPED_BINS = 40
_CLIPPED = "Clipped steps (%)"
_DECADES_OF_RATES = 1.5
_EXPLODED_NORM = 1000.0


def learning_curves(drawing: Drawing) -> Figure:
    """Error (loss, without accuracies) and training loss, rows of panels, against what they cost, columns."""
    arms = drawing.comparison.arms
    quantity = drawing.comparison.quantities[0]
    name = "error" if quantity is ACCURACY else "loss"
    rows = (
        drawing.curves(lambda series: series.evaluations(name)),
        drawing.curves(lambda series: series.steps("loss")),
    )
    columns = style.cost_axes(ends((*rows[0], *rows[1]), "seconds", 1.0))
    figure = axes.new_figure(14, 8)
    panels = figure.subplots(2, 3, sharey="row", sharex="col")
    for row_of_panels, drawn in zip(panels, rows, strict=True):
        for panel, (cost, scale, _, _) in zip(row_of_panels, columns, strict=True):
            draw(panel, drawn, cost, scale)
    panels[0, 0].set_ylabel(f"{split_words(arms)} {error_words(quantity, drawing.comparison.runs)}")
    panels[1, 0].set_ylabel(f"Training {loss_words(drawing.comparison.runs)}")
    for column, (cost, scale, label, unit) in enumerate(columns):
        panels[1, column].set_xlabel(label)
        style.x_axis(panels[1, column], ends((*rows[0], *rows[1]), cost, scale), unit)
    for row_of_panels, drawn in zip(panels, rows, strict=True):
        axes.log_y(row_of_panels[0])
        keep_out(row_of_panels[0], drawn, exploded(drawn))
        for panel in row_of_panels:
            axes.finish(panel)
            panel.tick_params(labelbottom=True, labelleft=True)
    drawing.legend(figure, (*rows[0], *rows[1]))
    return figure


def generalisation(drawing: Drawing) -> Figure:
    """Training error, test loss, and by how much the test is above the training, against passes."""
    arms, runs = drawing.comparison.arms, drawing.comparison.runs
    losses = drawing.curves(lambda series: series.evaluations("loss"))
    outside = exploded(losses)
    beyond = [drawn.arm for drawn in outside]
    split, loss = split_words(arms), loss_words(runs)
    figure = axes.new_figure(14, 9 if ACCURACY in drawing.comparison.quantities else 5)
    if ACCURACY in drawing.comparison.quantities:
        panels = figure.subplots(2, 2, sharex=True)
        (training, error_gap), (test, loss_gap) = panels
        errors = drawing.curves(lambda series: _training_errors(series.steps("accuracy")))
        draw(training, errors, "passes")
        training.set_ylabel("Training error (%)")
        axes.log_y(training)
        _gap(error_gap, drawing.curves(lambda series: series.evaluations("error_gap")), [])
        error_gap.set_ylabel(f"{split} error minus training error (points)")
    else:
        panels = figure.subplots(1, 2, sharex=True, squeeze=False)
        test, loss_gap = panels[0]
    draw(test, losses, "passes")
    axes.log_y(test)
    keep_out(test, losses, outside)
    test.set_ylabel(f"{split} {loss}")
    gaps = drawing.curves(lambda series: series.evaluations("loss_gap"))
    _gap(loss_gap, gaps, [drawn for drawn in gaps if drawn.arm in beyond])
    loss_gap.set_ylabel(f"{split} minus training {loss}")
    for panel in panels.flat:
        axes.finish(panel)
        panel.tick_params(labelbottom=True)
    for panel in panels[-1]:
        panel.set_xlabel("Passes over the training set")
    trained = drawing.curves(lambda series: series.steps("loss"))
    style.x_axis(test, ends(trained, "passes", 1.0), "passes")
    drawing.legend(figure, losses)
    return figure


def along_training(drawing: Drawing) -> Figure:
    """Learning rate, gradient norms and, where arms have them, clipped steps and penalty, against passes."""
    quantities = [
        (drawing.curves(operator.methodcaller("steps", column)), label, 1.0)
        for column, label in (
            ("learning_rate", "Learning rate"),
            ("gradient_norm", "Gradient norm before clipping (L2)"),
            ("mean_squared_micro_batch_gradient_norm", "Mean squared micro-batch gradient norm"),
        )
    ]
    if clipping(drawing):
        clipped = drawing.curves(lambda series: series.steps("clipped", _CLIPPED_BINS), _clips)
        quantities.append((clipped, _CLIPPED, 100.0))
    if penalised(drawing):
        penalties = drawing.curves(lambda series: series.steps("penalty"), _is_penalised)
        quantities.append((penalties, "Penalty (nats)", 1.0))
    columns = 2 if len(quantities) == 4 else 3
    rows = -(-len(quantities) // columns)
    figure = axes.new_figure(14, 1 + 4 * rows)
    panels = list(figure.subplots(rows, columns, sharex=True, squeeze=False).flat)
    for unused in panels[len(quantities) :]:
        unused.remove()
    for panel, (drawn, label, factor) in zip(panels, quantities, strict=False):
        draw(panel, drawn, "passes", factor=factor, linear=label == _CLIPPED)
        panel.set_ylabel(label)
        _scale(panel, drawn, label)
        axes.finish(panel)
        panel.tick_params(labelbottom=True)
        panel.set_xlabel("Passes over the training set")
    style.x_axis(panels[0], ends(quantities[0][0], "passes", 1.0), "passes")
    drawing.legend(figure, quantities[0][0])
    return figure


def clipping(drawing: Drawing) -> bool:
    """Whether an arm has a clipping threshold."""
    return any(_clips(arm) for arm in drawing.comparison.arms)


def penalised(drawing: Drawing) -> bool:
    """Whether an arm has a penalty."""
    return any(_is_penalised(arm) for arm in drawing.comparison.arms)


def _clips(arm: ComparedArm) -> bool:
    return arm.config.step.clip_norm is not None


def _is_penalised(arm: ComparedArm) -> bool:
    return arm.config.step.penalty != "none"


def _scale(panel: Axes, drawn: Sequence[Drawn], label: str) -> None:
    if label == _CLIPPED:
        panel.set_ylim(-4, 104)
    elif label == "Learning rate" and not axes.spans(panel, _DECADES_OF_RATES):
        panel.set_ylim(bottom=0)
    else:
        axes.log_y(panel)
        keep_out(panel, drawn, exploded(drawn, _EXPLODED_NORM))


def _gap(panel: Axes, drawn: Sequence[Drawn], outside: Sequence[Drawn]) -> None:
    """Curves around 0; those `outside` are not looked at for the axis."""
    draw(panel, drawn, "passes", linear=True)
    panel.axhline(0, color=axes.GREY, linewidth=0.8, zorder=0.5)
    keep_out(panel, drawn, outside)


def _training_errors(curves: Sequence[Curve]) -> list[Curve]:
    """Accuracies as fractions as errors in percent."""
    ends = {"mean": "mean", "low": "high", "high": "low"}
    return [
        replace(
            curve, points=curve.points | {name: 100 * (1 - curve.points[of]) for name, of in ends.items()}
        )
        for curve in curves
    ]
