"""Pictures of losses around weights: along lines, between two networks, in a plane, and a training's path over it.

Surfaces are those of `analysis.landscape` and `analysis.connecting_paths`. Points that are not computed or not finite
leave gaps.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from tf_fullbatch.analysis.barriers import barrier_of
from tf_fullbatch.analysis.surfaces import Surface
from tf_fullbatch.display.axes import GREY, finish, log_y, new_figure, spans
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.files import write_bytes

if TYPE_CHECKING:  # their files import TensorFlow
    from tf_fullbatch.analysis.paths import PathLosses, Plane

# Okabe and Ito's colours, told apart by colour-blind readers (jfly.uni-koeln.de/color, 2002).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_PATH = "#D55E00"

_LEVELS = 24
_LOG_ABOVE_DECADES = 1.0
_SHORT = FuncFormatter(lambda value, _: f"{value:.3g}")


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes a figure as a PNG file, replaced whole.

    Raises:
        UserError: The file cannot be written.
    """
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    write_bytes(path, picture.getvalue())


def draw_lines(
    surfaces: Mapping[str, Surface], title: str = "", along: str = "Coordinate along the direction"
) -> Figure:
    """Losses along lines, and errors beneath where there are accuracies.

    Args:
        surfaces: Label -> surface of one axis; several networks, or several kinds of statistics.
        title: Shown above.
        along: What the axis is.

    Raises:
        UserError: A surface has more axes than one.
    """
    return _line_panels(surfaces, title, along)[0]


def draw_barriers(paths: Mapping[str, Surface], title: str = "") -> Figure:
    """Losses along paths between two networks, each with its chord and the height of its barrier.

    Args:
        paths: Label -> path, of `line_losses` or `curve_losses`; of one that is not complete no height is given.
        title: Shown above.

    Raises:
        UserError: A surface has more axes than one.
    """
    figure, panels = _line_panels(
        {_with_height(name, path): path for name, path in paths.items()}, title, "Place on the path"
    )
    for colour, path in zip(_cycle(len(paths)), paths.values(), strict=True):
        ends = path.coordinates[0][[0, -1]]
        for panel, values in zip(panels, (path.loss, 100 * (1 - path.accuracy)), strict=False):
            panel.plot(ends, values[[0, -1]], color=colour, linestyle=":", linewidth=1.2)
    return figure


def draw_plane(
    surface: Surface, title: str = "", along: Sequence[str] = ("First direction", "Second direction")
) -> Figure:
    """Contours of the loss in a plane, its centre marked; logarithmic where it spans more than a power of ten.

    Args:
        surface: Of two axes.
        title: Shown above.
        along: What the axes are.

    Raises:
        UserError: The surface has not two axes.
    """
    figure = new_figure(7.2, 6)
    panel = figure.subplots()
    _contours(figure, panel, surface, along)
    panel.plot([0], [0], marker="+", color=_PATH, markersize=12, markeredgewidth=2, linestyle="none")
    if title:
        figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def draw_path(
    surface: Surface,
    plane: "Plane",
    losses: "PathLosses",
    steps: Sequence[float] | None = None,
    title: str = "",
) -> Figure:
    """A training's path over the losses of its plane, and beside it the loss it had and the loss of the plane below it.

    Args:
        surface: Of two axes, along `plane.directions` about `plane.centre`.
        plane: Of the checkpoints.
        losses: Along the path.
        steps: `[T]`, the checkpoints' steps; None to number them.
        title: Shown above.

    Raises:
        UserError: The surface has not two axes.
    """
    figure = new_figure(12, 5.6)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    along = [f"Principal direction {i + 1} ({share:.1%})" for i, share in enumerate(plane.explained_variance)]
    _contours(figure, left, surface, along)
    x, y = plane.coordinates[:, 0], plane.coordinates[:, 1]
    left.plot(x, y, color=_PATH, linewidth=1.6, marker="o", markersize=3.5)
    left.plot(
        x[-1:], y[-1:], color=_PATH, marker="*", markersize=14, markeredgecolor="white", linestyle="none"
    )
    at = np.arange(len(x)) if steps is None else np.asarray(steps)
    right.plot(at, losses.path, color=_PATH, linewidth=1.7, label="at the checkpoints")
    right.plot(
        at, losses.plane, color=_COLOURS[0], linewidth=1.7, linestyle="--", label="of the plane below them"
    )
    right.set_xlabel("Checkpoint" if steps is None else "Step")
    right.set_ylabel(_loss_label(surface))
    if spans(right, _LOG_ABOVE_DECADES):
        log_y(right)
    finish(right)
    right.legend(frameon=False, fontsize=9.5)
    if title:
        figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def _line_panels(surfaces: Mapping[str, Surface], title: str, along: str) -> tuple[Figure, list[Axes]]:
    """A figure with the panel of losses, and that of errors where any is known."""
    has_errors = any(np.isfinite(s.accuracy).any() for s in surfaces.values())
    figure = new_figure(7.5, 6.8 if has_errors else 4.4)
    panels = list(figure.subplots(1 + has_errors, 1, sharex=True, squeeze=False)[:, 0])
    for colour, (name, surface) in zip(_cycle(len(surfaces)), surfaces.items(), strict=True):
        _refuse_axes(surface, 1)
        for panel, values in zip(panels, (surface.loss, 100 * (1 - surface.accuracy)), strict=False):
            shown = np.where(np.isfinite(values), values, np.nan)
            panel.plot(surface.coordinates[0], shown, color=colour, linewidth=1.7, label=name)
    panels[0].set_ylabel(_loss_label(*surfaces.values()))
    if spans(panels[0], _LOG_ABOVE_DECADES):
        log_y(panels[0])
    if has_errors:
        panels[1].set_ylabel("Classification error (%)")
    for panel in panels:
        finish(panel)
    panels[-1].set_xlabel(along)
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9.5)
    if title:
        figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure, panels


def _contours(figure: Figure, panel: Axes, surface: Surface, along: Sequence[str]) -> None:
    _refuse_axes(surface, 2)
    a, b = surface.coordinates
    panel.set_xlabel(along[0])
    panel.set_ylabel(along[1])
    panel.set_xlim(a[0], a[-1])
    panel.set_ylim(b[0], b[-1])
    loss = np.ma.masked_invalid(surface.loss.T)
    if loss.count() == 0 or min(loss.shape) < 2:
        panel.text(0.5, 0.5, "not computed", transform=panel.transAxes, ha="center", va="center", color=GREY)
        return
    low, high = float(loss.min()), float(loss.max())
    logarithmic = 0 < low < high * 10**-_LOG_ABOVE_DECADES
    if not low < high:
        low, high = low - 0.5, high + 0.5
    norm = (LogNorm if logarithmic else Normalize)(low, high)
    levels = (np.geomspace if logarithmic else np.linspace)(low, high, _LEVELS)
    filled = panel.contourf(a, b, loss, levels=levels, norm=norm, cmap="viridis")
    panel.contour(a, b, loss, levels=levels[1:-1], colors="white", linewidths=0.4, alpha=0.6)
    bar = figure.colorbar(filled, ax=panel, label=_loss_label(surface), pad=0.02)
    if logarithmic:
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1e3 else (1,)))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        bar.ax.yaxis.set_major_locator(MaxNLocator(nbins=8))
    bar.ax.yaxis.set_major_formatter(_SHORT)


def _loss_label(*surfaces: Surface) -> str:
    """The loss, with its statistics where all have the same."""
    kinds = {s.statistics for s in surfaces}
    return f"Loss ({kinds.pop()} statistics)" if len(kinds) == 1 else "Loss"


def _with_height(name: str, path: Surface) -> str:
    if np.isnan(path.loss).any():
        return name
    barrier = barrier_of(path)
    error = "" if np.isnan(barrier.error) else f", of the error {100 * barrier.error:.3g} %"
    return f"{name}: barrier {barrier.loss:.3g}{error}"


def _refuse_axes(surface: Surface, count: int) -> None:
    if len(surface.coordinates) != count:
        raise UserError(
            f"this picture takes a surface of {count} axes, but it has {len(surface.coordinates)}."
        )


def _cycle(count: int) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(count)]
