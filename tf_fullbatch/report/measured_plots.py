"""What arms measured along training, a panel per kind of figure."""

import operator
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_fullbatch.analysis.measures.registry import quantity
from tf_fullbatch.display import axes
from tf_fullbatch.records.measured import Kind
from tf_fullbatch.report import style
from tf_fullbatch.report.arms import ComparedArm
from tf_fullbatch.report.drawing import Drawing, Drawn, draw, ends, exploded, keep_out

_COLUMNS = 3
_EXPLODED = 1000.0


def along_measures(drawing: Drawing, kinds: Sequence[Kind]) -> Figure:
    """A panel per kind with a line per arm that has it, against passes."""
    columns = min(_COLUMNS, len(kinds))
    rows = -(-len(kinds) // columns)
    figure = axes.new_figure(14 if columns == _COLUMNS else 5 * columns + 1, 1 + 3.6 * rows)
    panels = list(figure.subplots(rows, columns, sharex=True, squeeze=False).flat)
    for unused in panels[len(kinds) :]:
        unused.remove()
    everything: list[Drawn] = []
    for panel, kind in zip(panels, kinds, strict=False):
        drawn = drawing.curves(operator.methodcaller("measured", kind), _has(kind))
        _panel(panel, kind, drawn)
        everything += drawn
    last = ends(everything, "passes", 1.0)
    shortest = min((end for end in last if end > 0), default=1.0)
    style.x_axis(panels[0], last, "passes", least_share=_first(everything) / shortest)
    drawing.legend(figure, everything)
    return figure


def _first(drawn: Sequence[Drawn]) -> float:
    """A little before the first measurement that was not made before any step."""
    passes = [curve.points["passes"] for one in drawn for curve in one.curves]
    return 0.8 * min((float(x[x > 0].min()) for x in passes if (x > 0).any()), default=1.0)


def _has(kind: Kind) -> Callable[[ComparedArm], bool]:
    return lambda arm: any(kind in run.measured for run in arm.runs)


def _panel(panel: Axes, kind: Kind, drawn: Sequence[Drawn]) -> None:
    what = quantity(kind.measure, kind.quantity)
    outside = exploded(drawn, _EXPLODED)
    within = [one for one in drawn if one not in outside]
    values = [curve.points["mean"] for one in within for curve in one.curves]
    shown = np.concatenate(values) if values else np.empty(0)
    draw(panel, drawn, "passes", linear=axes.scale_of(shown) != "log")
    if what.level is not None:
        panel.axhline(what.level, color=axes.GREY, linestyle="--", linewidth=1.0, zorder=0.5)
    axes.fit_y(panel, shown)
    keep_out(panel, drawn, outside)
    label = str(kind)
    panel.set_ylabel(f"{label[0].upper()}{label[1:]}{f' ({what.unit})' if what.unit else ''}")
    panel.set_xlabel("Passes over the training set")
    axes.finish(panel)
    panel.tick_params(labelbottom=True)
