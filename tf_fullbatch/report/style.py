"""How the report's figures look: a colour and a line per arm, axes, and the files they are saved to."""

import io
import math
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from tf_fullbatch.display import axes
from tf_fullbatch.display.axes import PLAIN
from tf_fullbatch.records.files import write_bytes

# Okabe and Ito's colours, told apart by colour-blind readers (jfly.uni-koeln.de/color, 2002), without their yellow,
# which is too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GAIN, LOSS = "#0072B2", "#D55E00"
# Neighbours differ in both, so that curves that coincide show through each other.
_LINES = ("-", (0, (4, 1.3)), (0, (1.4, 0.9)), (0, (6, 1.2, 1.4, 1.2)))
COUNT = EngFormatter(sep="")
"""A tick's number with a thousands letter: 2500000 -> "2.5M"."""
_MOST_IN_A_LEGEND_LINE = 4
_LEGEND_WIDTH = 40
# Without the salt the names inside an SVG are random: the figures of the same records are the same files. Publishers
# want the fonts of a PDF embedded as TrueType (type 42), not as type 3.
_FILES: Any = {"svg.hashsalt": "tf_fullbatch", "pdf.fonttype": 42}
_KINDS: dict[str, dict[str, Any]] = {
    "svg": {"metadata": {"Date": None}},
    "png": {"dpi": 130, "pil_kwargs": {"compress_level": 3}},
    "pdf": {"metadata": {"CreationDate": None}},
}


def arm_style(index: int) -> dict[str, Any]:
    """Colour and line of the index-th arm: 28 combinations."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": _LINES[index % len(_LINES)]}


def literal(text: str) -> str:
    """A text that matplotlib shows as it stands: no dollar sign begins a formula."""
    return text.replace("$", r"\$")


def save(figure: Figure, folder: Path, name: str) -> None:
    """Writes folder/name.svg, .png and .pdf, each whole; the layout is made once."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing"
        )  # a name's characters that the font lacks are boxes
        layout = figure.get_layout_engine()
        if layout is not None and figure.axes:
            layout.execute(figure)
            figure.set_layout_engine("none")
        for kind, options in _KINDS.items():
            picture = io.BytesIO()
            with mpl.rc_context(_FILES):
                figure.savefig(picture, format=kind, **options)
            write_bytes(folder / f"{name}.{kind}", picture.getvalue())


def arm_legend(
    figure: Figure, arms: Sequence[tuple[dict[str, Any], str]], notes: Sequence[tuple[Artist, str]] = ()
) -> float:
    """A legend of the arms below all panels; returns its height in inches, by which the figure is to grow.

    Args:
        figure: The figure.
        arms: How each is drawn, and its name.
        notes: Further entries.
    """
    handles: list[Artist] = [Line2D([], [], linewidth=2, **look) for look, _ in arms]
    handles += [artist for artist, _ in notes]
    labels = [literal(textwrap.fill(name, _LEGEND_WIDTH)) for _, name in arms]
    labels += [text for _, text in notes]
    columns = min(_MOST_IN_A_LEGEND_LINE, len(labels))
    if max((len(line) for label in labels for line in label.splitlines()), default=0) > 28:
        columns = min(columns, 3)
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=10,
        handlelength=3.2,
    )
    lines = [label.count("\n") + 1 for label in labels]
    per_column = -(-len(labels) // columns)
    return 0.2 * max(
        sum(lines[k : k + per_column]) + 0.2 * per_column for k in range(0, len(lines), per_column)
    )


def legend_below(figure: Figure, entries: Sequence[tuple[Artist, str]]) -> None:
    """A legend of a line or two below all panels."""
    if not entries:
        return
    handles, labels = zip(*entries, strict=True)
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False, fontsize=10
    )


def band_note() -> tuple[Artist, str]:
    """The legend's entry for the range over seeds."""
    return Patch(color=axes.GREY, alpha=0.2, linewidth=0), "range over seeds"


def unfinished_note() -> tuple[Artist, str]:
    """The legend's entry for a run that is not completed."""
    return Line2D(
        [], [], color=axes.GREY, linewidth=1, marker="x", markersize=7, markeredgewidth=1.8
    ), "run not completed: ends here"


def ends_here(points: int) -> dict[str, Any]:
    """A cross at the end of a line of so many points."""
    return {
        "marker": "x", "markersize": 7, "markevery": [points - 1], "markeredgewidth": 1.8, "zorder": 4,
    }  # fmt: skip


def x_axis(panel: Axes, ends: Sequence[float], unit: str, *, least_share: float = 1 / 30) -> None:
    """The x axis of curves of these lengths: logarithmic where one is at least 4 times as long as another.

    Args:
        panel: Its x values are numbers of `unit`.
        ends: Where each arm's curve ends.
        unit: Shown with plain numbers; "" for numbers with thousands letters.
        least_share: Where a logarithmic axis begins, as a share of the shortest length.
    """
    ends = [end for end in ends if np.isfinite(end) and end > 0]
    if not ends:
        return
    longest, shortest = max(ends), min(ends)
    if longest >= 4 * shortest:
        panel.set_xscale("log", nonpositive="mask")
        panel.set_xlim(least_share * shortest, 1.08 * longest)
        panel.xaxis.set_major_locator(LogLocator(subs=(1.0,) if longest > 100 * shortest else (1.0, 3.0)))
        panel.xaxis.set_minor_locator(NullLocator())
    else:
        panel.set_xlim(0, 1.03 * longest)
        panel.locator_params(axis="x", nbins=6)
    panel.xaxis.set_major_formatter(PLAIN if unit else COUNT)


def cost_axes(seconds: Sequence[float]) -> tuple[tuple[str, float, str, str], ...]:
    """(quantity, scale, label, unit) of the three axes of cost; the unit as `x_axis` takes it.

    Args:
        seconds: Wall times that are to be shown.
    """
    size, unit = time_unit(seconds)
    return (
        ("passes", 1.0, "Passes over the training set", "passes"),
        ("gradient_evaluations", 1.0, "Gradient evaluations (samples)", ""),
        ("seconds", size, f"Wall time ({unit})", unit),
    )


def time_unit(ends: Sequence[float]) -> tuple[float, str]:
    """(seconds per unit, name) of a unit that suits the shortest and the longest of these times in seconds."""
    ends = [end for end in ends if end > 0]
    middle = math.sqrt(min(ends) * max(ends)) if ends else 0.0
    units = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"))
    return next(((size, name) for size, name in units if middle >= 2 * size), (1.0, "seconds"))
