"""A run's measurements as a picture: a panel for each group of quantities, against passes over the data."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_fullbatch.analysis.edge import Edge
from tf_fullbatch.analysis.measures.base import Quantity
from tf_fullbatch.analysis.measures.registry import quantity
from tf_fullbatch.display.axes import GREY, finish, fit_y, new_figure, pass_axis
from tf_fullbatch.display.lines import draw_curve
from tf_fullbatch.display.text import counted
from tf_fullbatch.records.files import write_bytes
from tf_fullbatch.records.measured import Kind, curves_of

# Okabe and Ito's colours, told apart by colour-blind readers (jfly.uni-koeln.de/color, 2002).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MOST_PANELS = 24
_MOST_LINES = 20
_STANDARD_ERROR = "_standard_error"
_ALL_IN = "measurements.csv"
_LONGEST = 34

Curves = Mapping[Kind, pd.DataFrame]


@dataclass(slots=True)
class MeasuredPanel:
    """What is drawn in one panel.

    Attributes:
        measure: The measure it is of.
        heading: What its quantities are.
        kinds: They, each with what it is.
    """

    measure: str
    heading: str
    kinds: dict[Kind, Quantity] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Words for the axis, with the unit: "Noise scale (samples)"."""
        words = dict.fromkeys([self.measure.replace("_", " "), self.heading.replace("_", " ")])
        units = {what.unit for what in self.kinds.values()}
        unit = f" ({units.pop()})" if len(units) == 1 and units != {""} else ""
        text = ": ".join(words) + unit
        return text[0].upper() + text[1:]


def panels_of(curves: Curves) -> list[MeasuredPanel]:
    """The panels in which a run's measurements are drawn, those of a measure together, in the order recorded."""
    order = list(dict.fromkeys(kind.measure for kind in curves))
    panels: dict[tuple[str, str], MeasuredPanel] = {}
    for kind in sorted(curves, key=lambda kind: order.index(kind.measure)):
        what = quantity(kind.measure, kind.quantity)
        if what.drawn != "not":
            heading = what.panel or kind.quantity
            panel = panels.setdefault((kind.measure, heading), MeasuredPanel(kind.measure, heading))
            panel.kinds[kind] = what
    return list(panels.values())


def plot_measurements(
    measurements: pd.DataFrame, path: str | Path, title: str = "", edge: Edge | None = None
) -> None:
    """Writes the picture of what a run measured as a PNG file.

    Args:
        measurements: measurements.csv, not empty; values that have no meaning leave gaps.
        path: The file, replaced whole.
        title: Shown above the panels.
        edge: When the run was at the edge of stability, shaded beside the ratio of sharpness to its threshold.

    Raises:
        UserError: The file cannot be written.
    """
    picture = io.BytesIO()
    draw_measurements(measurements, title, edge).savefig(picture, format="png", dpi=130)
    write_bytes(path, picture.getvalue())


def draw_measurements(measurements: pd.DataFrame, title: str = "", edge: Edge | None = None) -> Figure:
    """The figure of `plot_measurements`: a panel per group of quantities, of very many the first."""
    curves = curves_of(measurements)
    every = panels_of(curves)
    shown = every[:_MOST_PANELS]
    columns = min(3 if len(shown) > 4 else 2, len(shown)) or 1
    rows = -(-len(shown) // columns) or 1
    figure = new_figure(5.4 * columns + 0.6, 3.6 * rows + 0.5)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    last = float(measurements["epoch"].max())
    for panel, content in zip(panels, shown, strict=False):
        _draw(panel, content, curves)
        if edge is not None and any(what.level == 1 for what in content.kinds.values()):
            _shade(panel, edge, last)
        pass_axis(panel, last)
        panel.set_xlabel("Passes over the training set")
        finish(panel, "no value has a meaning")
        _legend(panel)
    for unused in panels[len(shown) :]:
        unused.remove()
    left = len(every) - len(shown)
    if left:
        figure.text(0.99, 0.005, f"{counted(left, 'panel')} more: {_ALL_IN} has all", ha="right", color=GREY)
    if title:
        figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def _draw(panel: Axes, content: MeasuredPanel, curves: Curves) -> None:
    lines = [kind for kind, what in content.kinds.items() if what.drawn == "line"]
    bounds = [kind for kind, what in content.kinds.items() if what.drawn == "bound"]
    shown = lines[:_MOST_LINES]
    drawn = [curves[kind]["value"].to_numpy(float) for kind in (*shown, *bounds)]
    colours = dict(zip(shown, _colours(len(shown)), strict=True))
    for kind, colour in colours.items():
        rows = curves[kind]
        values = rows["value"].where(np.isfinite(rows["value"]))
        draw_curve(panel, rows["epoch"], values, colour, _name(kind, content))
    for kind in bounds:
        rows = curves[kind]
        draw_curve(panel, rows["epoch"], rows["value"], GREY, kind.quantity.replace("_", " "), "--")
    for level in {what.level for what in content.kinds.values()} - {None}:
        panel.axhline(level or 0.0, color=GREY, linestyle="--", linewidth=1.0, zorder=1)
    panel.set_ylabel(content.label)
    fit_y(panel, np.concatenate(drawn) if drawn else np.empty(0))
    for kind, colour in colours.items():
        _band(panel, kind, curves, colour)
    notes = [f"{len(lines) - len(shown)} more in {_ALL_IN}"] if len(lines) > len(shown) else []
    notes += list(_not_converged(shown, curves))
    panel.set_title("; ".join(notes), fontsize=8.5, color=GREY, loc="right", pad=3)


def _band(panel: Axes, kind: Kind, curves: Curves, colour: str) -> None:
    """A standard error on either side of a quantity that has one; it does not reach below a logarithmic axis."""
    errors = curves.get(kind._replace(quantity=kind.quantity + _STANDARD_ERROR))
    rows = curves[kind]
    if errors is None or len(errors) != len(rows):
        return
    low, high = rows["value"] - errors["value"], rows["value"] + errors["value"]
    if panel.get_yscale() == "log":
        low = np.maximum(low, panel.get_ylim()[0])
    panel.fill_between(rows["epoch"], low, high, color=colour, alpha=0.2, linewidth=0, zorder=1)


def _name(kind: Kind, content: MeasuredPanel) -> str:
    """A line's name in the legend: what tells it from the others of its panel."""
    quantities = {one.quantity for one in content.kinds}
    words = kind.quantity.replace("_", " ")
    text = kind.of if len(quantities) == 1 and kind.of and not kind.of.isdigit() else f"{words} {kind.of}"
    text = text.strip()
    return text if len(text) <= _LONGEST else f"...{text[-_LONGEST:]}"


def _colours(count: int) -> list[str]:
    """As many colours: those that are told apart where they are enough, else a range of one scale."""
    if count <= len(_COLOURS):
        return list(_COLOURS[:count])
    scale = mpl.colormaps["viridis"]
    return [mpl.colors.to_hex(scale(0.92 * k / (count - 1))) for k in range(count)]


def _not_converged(kinds: Sequence[Kind], curves: Curves) -> Iterator[str]:
    """A note on eigenvalues that an eigensolver gave up on."""
    beside = [kind._replace(quantity=kind.quantity.replace("eigenvalue", "converged")) for kind in kinds]
    found = [
        curves[one]["value"] for kind, one in zip(kinds, beside, strict=True) if one != kind and one in curves
    ]
    failed = sum(int((values == 0).sum()) for values in found)
    if failed:
        yield f"{failed} of {counted(sum(map(len, found)), 'eigenvalue')} not converged"


def _shade(panel: Axes, edge: Edge, last: float) -> None:
    """A full-batch step is a pass."""
    end = last if edge.exit_step is None else float(edge.exit_step)
    label = f"at the edge: mean {edge.mean_ratio:.3g}"
    panel.axvspan(
        float(edge.entry_step), end, color="#E69F00", alpha=0.15, linewidth=0, zorder=0, label=label
    )


def _legend(panel: Axes) -> None:
    """Above the panel, where no curve can run beneath it; none where there is one line, which the axis names."""
    handles, labels = panel.get_legend_handles_labels()
    if len(labels) < 2:
        return
    longest = max(map(len, labels))
    panel.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1.05 if panel.get_title(loc="right") else 1.01),
        borderaxespad=0,
        ncols=max(1, min(5, 84 // (longest + 7))),
        frameon=False,
        fontsize=8,
        columnspacing=1.2,
        handlelength=1.6,
    )
