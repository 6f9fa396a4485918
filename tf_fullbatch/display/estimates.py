"""Numbers with their standard errors, one below the other."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tf_fullbatch.display.axes import GREY, finish, new_figure

_COLOUR = "#0072B2"


class Row(NamedTuple):
    """A number that may be an estimate.

    Attributes:
        label: What it is.
        value: The number.
        standard_error: Of it; None or nan where there is none.
    """

    label: str
    value: float
    standard_error: float | None = None


def draw_estimates(rows: Sequence[Row], title: str = "") -> Figure:
    """Points with bars of two standard errors to both sides, and their numbers beside them.

    Args:
        rows: From the top down.
        title: Shown above.
    """
    picture = new_figure(7.5, 1.4 + 0.42 * len(rows))
    panel = picture.subplots()
    places = range(len(rows))
    errors = [_error(row) for row in rows]
    values = [row.value for row in rows]
    panel.errorbar(values, places, xerr=[2 * e for e in errors], fmt="o", color=_COLOUR, capsize=3)
    panel.set_yticks(list(places), [row.label for row in rows])
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.axvline(0, color=GREY, linewidth=0.8)
    panel.set_xlabel("Value, with two standard errors to both sides" if any(errors) else "Value")
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    for place, row, error in zip(places, rows, errors, strict=True):
        text = f"{row.value:.4g}" + (f" ± {error:.2g}" if error else "")
        panel.annotate(text, (row.value, place), (0, 7), textcoords="offset points", fontsize=9, ha="center")
    finish(panel)
    panel.margins(x=0.12)
    if title:
        picture.suptitle(title, fontsize=12, fontweight="bold")
    return picture


def _error(row: Row) -> float:
    error = row.standard_error
    return 0.0 if error is None or not math.isfinite(error) else error
