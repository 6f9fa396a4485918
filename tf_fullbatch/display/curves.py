"""A run's curves as a picture: cross-entropy, error, gradient norm and learning rate against passes over the data.

Of a run without accuracies: loss, update norm, gradient norm and learning rate.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from tf_fullbatch.display.axes import GREY, PLAIN, finish, log_y, new_figure, pass_axis
from tf_fullbatch.display.lines import draw_curve
from tf_fullbatch.records.files import write_bytes

# Okabe and Ito's colours, told apart by colour-blind readers (jfly.uni-koeln.de/color, 2002).
_TRAIN, _PENALISED, _VALIDATION, _TEST = "#0072B2", "#E69F00", "#009E73", "#D55E00"
_OBJECTIVE, _MICRO_BATCHES = "#56B4E9", "#CC79A7"
# What a step has, where there are no splits to tell apart.
_STEP = "#000000"

# Below a tenth of a percent the error axis is linear, so that 0 has a place on it.
_ERROR_LINEAR_BELOW = 0.1

_STYLES = {
    ("validation", "raw"): (_VALIDATION, "-", "validation"),
    ("validation", "ema"): (_VALIDATION, "--", "validation, EMA weights"),
    ("validation", "swa"): (_VALIDATION, "--", "validation, SWA weights"),
    ("test", "raw"): (_TEST, "-", "test"),
    ("test", "ema"): (_TEST, "--", "test, EMA weights"),
    ("test", "swa"): (_TEST, "--", "test, SWA weights"),
}


def plot_curves(
    metrics: pd.DataFrame,
    evaluations: pd.DataFrame,
    path: str | Path,
    title: str = "",
    clip_norm: float | None = None,
) -> None:
    """Writes the picture of a run as a PNG file.

    Args:
        metrics: metrics.csv; blank and NaN cells leave gaps.
        evaluations: evaluations.csv.
        path: The file, replaced whole.
        title: Shown above the panels.
        clip_norm: The gradient clipping threshold, drawn as a line where given.

    Raises:
        UserError: The file cannot be written.
    """
    picture = io.BytesIO()
    draw_curves(metrics, evaluations, title, clip_norm).savefig(picture, format="png", dpi=130)
    write_bytes(path, picture.getvalue())


def draw_curves(
    metrics: pd.DataFrame, evaluations: pd.DataFrame, title: str = "", clip_norm: float | None = None
) -> Figure:
    """The figure of `plot_curves`, with the panels cross-entropy, error, gradient norm and learning rate in order.

    Where no accuracy was recorded, the second panel has the update norm.
    """
    figure = new_figure(11, 7.6)
    has_accuracy = _any(metrics["accuracy"], evaluations["accuracy"])
    loss, second, gradient, rate = panels = figure.subplots(2, 2, sharex=True).flatten()
    _loss_panel(loss, metrics, evaluations, "Objective" if has_accuracy else "Loss")
    if has_accuracy:
        _error_panel(second, metrics, evaluations)
    else:
        _update_panel(second, metrics)
    _gradient_panel(gradient, metrics, clip_norm)
    _rate_panel(rate, metrics)
    for panel in (gradient, rate):
        panel.set_xlabel("Passes over the training set")
    for panel in panels:
        finish(panel)
        panel.tick_params(labelbottom=True)
    pass_axis(rate, float(pd.concat([pd.Series([0.0]), metrics["epoch"], evaluations["epoch"]]).max()))
    _shared_legend(figure, [loss, second] if has_accuracy else [loss])
    if title:
        figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def _any(*columns: pd.Series) -> bool:
    return any(bool(column.notna().any()) for column in columns)


def _loss_panel(panel: Axes, metrics: pd.DataFrame, evaluations: pd.DataFrame, otherwise: str) -> None:
    """`otherwise` is what the axis is called where there are no cross-entropies."""
    epoch, objective = metrics["epoch"], metrics["loss"]
    penalised = metrics["penalised_objective"]
    has_one = _any(metrics["cross_entropy"], evaluations["cross_entropy"])
    shown = _cross_entropy(metrics)
    if _differs(penalised, objective):
        draw_curve(panel, epoch, penalised, _PENALISED, label="training, objective with penalty")
    if _differs(objective, shown):
        draw_curve(panel, epoch, objective, _OBJECTIVE, label="training, objective", linestyle=":")
    draw_curve(panel, epoch, shown, _TRAIN, label="training")
    _evaluation_curves(panel, evaluations, _cross_entropy)
    panel.set_ylabel("Cross-entropy (nats)" if has_one else otherwise)
    log_y(panel)


def _cross_entropy(rows: pd.DataFrame) -> pd.Series:
    """Cross-entropies; objectives where there are none."""
    return rows["cross_entropy"].fillna(rows["loss"])


def _differs(curve: pd.Series, other: pd.Series) -> bool:
    finite = np.isfinite(curve)
    return bool(np.any(curve[finite] != other[finite]))


def _error_panel(panel: Axes, metrics: pd.DataFrame, evaluations: pd.DataFrame) -> None:
    error = 100 * (1 - metrics["accuracy"])
    draw_curve(panel, metrics["epoch"], error, _TRAIN, label="training")
    _evaluation_curves(panel, evaluations, lambda rows: 100 * (1 - rows["accuracy"]))
    panel.set_ylabel("Classification error (%)")
    if not panel.lines:
        return
    panel.set_yscale("symlog", linthresh=_ERROR_LINEAR_BELOW, linscale=0.4)
    lowest = min(np.nanmin(np.asarray(line.get_ydata(), float)) for line in panel.lines)
    ticks = [0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]
    below = [tick for tick in ticks if 0 < tick <= lowest] or [-0.02]
    panel.yaxis.set_major_locator(FixedLocator(ticks))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(PLAIN)
    panel.set_ylim(below[-1], 105)


def _update_panel(panel: Axes, metrics: pd.DataFrame) -> None:
    draw_curve(panel, metrics["epoch"], metrics["update_norm"], _STEP, label="update")
    panel.set_ylabel("Update norm (L2)")
    log_y(panel)


def _gradient_panel(panel: Axes, metrics: pd.DataFrame, clip_norm: float | None) -> None:
    epoch = metrics["epoch"]
    rms = np.sqrt(metrics["mean_squared_micro_batch_gradient_norm"])
    draw_curve(panel, epoch, rms, _MICRO_BATCHES, label="micro-batches (RMS)")
    draw_curve(panel, epoch, metrics["gradient_norm"], _STEP, label="update batch")
    if clip_norm is not None:
        panel.axhline(
            clip_norm, color=GREY, linestyle="--", linewidth=1.2, label=f"clipping threshold {clip_norm:g}"
        )
    panel.set_ylabel("Gradient norm before clipping (L2)" if clip_norm else "Gradient norm (L2)")
    log_y(panel)
    if panel.lines:
        # Above the axes, where no curve can run beneath it; narrow enough not to widen them.
        panel.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1.01),
            borderaxespad=0,
            ncols=3,
            frameon=False,
            fontsize=8.5,
            columnspacing=1.2,
            handlelength=1.6,
        )


def _rate_panel(panel: Axes, metrics: pd.DataFrame) -> None:
    rate = metrics["learning_rate"]
    draw_curve(panel, metrics["epoch"], rate, _STEP, label="learning rate")
    panel.set_ylabel("Learning rate")
    if panel.lines:
        top = 1.05 * np.nanmax(rate) or 1.0
        panel.set_ylim(-0.02 * top, top)


def _shared_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend below all panels for the curves that several of them share."""
    entries: dict[str, Artist] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
        if panel.collections:
            entries["5 % to 95 % of the steps around"] = Patch(color=_TRAIN, alpha=0.2, linewidth=0)
    if entries:
        figure.legend(
            entries.values(), entries.keys(), loc="outside lower center", ncols=6, frameon=False, fontsize=9.5
        )


def _evaluation_curves(
    panel: Axes, evaluations: pd.DataFrame, figure: Callable[[pd.DataFrame], pd.Series]
) -> None:
    for (split, weights), (color, style, label) in _STYLES.items():
        rows = evaluations[(evaluations["split"] == split) & (evaluations["weights"] == weights)]
        draw_curve(panel, rows["epoch"], figure(rows), color, label=label, linestyle=style, zorder=3)
