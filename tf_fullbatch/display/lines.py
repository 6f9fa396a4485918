"""A curve of a run in a panel: many points as local means in a band, few with markers."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

_MOST_POINTS = 4000
_BINS = 500
_FEWEST_WITHOUT_MARKERS = 40


def draw_curve(
    panel: Axes,
    x: pd.Series,
    y: pd.Series,
    color: str,
    label: str,
    linestyle: str = "-",
    zorder: float = 2,
) -> None:
    """One curve, or nothing where no point is finite; many points become local means in a band."""
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        return
    if finite.sum() > _MOST_POINTS:
        bins = decimate(x[finite], y[finite], _BINS)
        x, y = bins["x"], bins["y"]
        panel.fill_between(
            x, bins["low"], bins["high"], color=color, alpha=0.2, linewidth=0, zorder=zorder - 1
        )
    marker = "o" if finite.sum() < _FEWEST_WITHOUT_MARKERS else ""
    panel.plot(
        x,
        y,
        color=color,
        label=label,
        linestyle=linestyle,
        linewidth=1.7,
        marker=marker,
        markersize=4,
        zorder=zorder,
    )


def decimate(x: pd.Series, y: pd.Series, bins: int) -> pd.DataFrame:
    """Cuts a curve into `bins` stretches of neighbouring points: mean x, mean y, and as low and high its 5 and 95 %."""
    stretches = pd.DataFrame({"x": x, "y": y}).groupby((np.arange(1, len(x) + 1) * bins - 1) // len(x))
    low, high = (stretches["y"].quantile(share) for share in (0.05, 0.95))
    return stretches.mean().assign(low=low, high=high)
