"""What becomes of the training samples whose labels were changed: fitted as changed, or right all the same."""

from collections.abc import Callable

from matplotlib.figure import Figure

from tf_fullbatch.data.controls.settings import CLEAN, NOISY
from tf_fullbatch.display import axes
from tf_fullbatch.report import style
from tf_fullbatch.report.arms import ComparedArm
from tf_fullbatch.report.drawing import Drawing, draw, ends
from tf_fullbatch.report.equal_loss_plots import draw_falling
from tf_fullbatch.report.quantities import loss_words
from tf_fullbatch.report.series import ArmSeries, Curve

_ROWS = ((NOISY, "Changed labels, fitted as changed (%)"), (CLEAN, "Changed labels, right all the same (%)"))


def changes_labels(drawing: Drawing) -> bool:
    """Whether an arm was trained on labels that were changed, and evaluated on these samples."""
    return any(map(_changes, drawing.comparison.arms))


def memorisation(drawing: Drawing) -> Figure:
    """Accuracies on the changed samples by both labels, rows of panels, at equal compute and at equal training loss."""
    figure = axes.new_figure(14, 8)
    panels = figure.subplots(2, 2, sharex="col", sharey=True)
    rows = [drawing.curves(_accuracies(split), _changes) for split, _ in _ROWS]
    columns = style.cost_axes(ends(rows[0], "seconds", 1.0))
    cost, scale, label, unit = next(column for column in columns if column[0] == "gradient_evaluations")
    for (by_cost, by_loss), drawn, (_, words) in zip(panels, rows, _ROWS, strict=True):
        draw(by_cost, drawn, cost, scale, linear=True)
        draw_falling(by_loss, drawn)
        by_cost.set_ylabel(words)
    for panel in panels.flat:
        panel.set_ylim(-4, 104)
        axes.finish(panel)
        panel.tick_params(labelbottom=True, labelleft=True)
    style.x_axis(panels[1, 0], ends(rows[0], cost, scale), unit)
    panels[1, 0].set_xlabel(label)
    axes.falling_log_x(panels[1, 1])
    panels[1, 1].set_xlabel(f"Training {loss_words(drawing.comparison.runs)}, falling")
    drawing.legend(figure, (*rows[0], *rows[1]))
    return figure


def _accuracies(split: str) -> Callable[[ArmSeries], list[Curve]]:
    return lambda series: series.evaluations("accuracy", split)


def _changes(arm: ComparedArm) -> bool:
    return any((run.evaluations["split"] == NOISY).any() for run in arm.runs)
