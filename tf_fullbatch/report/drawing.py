"""Curves of arms in panels: a few arms each in a look of its own, of many the best, the others grey."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tf_fullbatch.display import axes
from tf_fullbatch.report import style
from tf_fullbatch.report.arms import ComparedArm, Comparison
from tf_fullbatch.report.ranking import BEST, FEW, ranked
from tf_fullbatch.report.series import ArmSeries, Curve

_GREY_LINE: dict[str, Any] = {"color": "#BDBDBD", "linewidth": 0.6, "zorder": 1}
_EXPLODED = 100.0
_WEAK_LINE = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """An arm's curves of one quantity.

    Attributes:
        arm: The arm.
        curves: Its curves.
        look: How they look; None for one of many.
    """

    arm: ComparedArm
    curves: list[Curve]
    look: dict[str, Any] | None


class Drawing:
    """What the figures of a comparison share: the curves of its arms, and how each arm looks.

    Args:
        comparison: The comparison.

    Attributes:
        comparison: The comparison.
        looks: How each arm looks; None for those of many that have no look of their own.
        best: The indices of the arms that have one, the best first; all, in order, where they are few.
    """

    def __init__(self, comparison: Comparison):
        self.comparison = comparison
        count = len(comparison.arms)
        self.best = list(range(count)) if count <= FEW else ranked(comparison.arms)[:BEST]
        self.looks: list[dict[str, Any] | None] = [None] * count
        for k, index in enumerate(self.best):
            self.looks[index] = style.arm_style(k)
        self._series: list[ArmSeries] | None = None

    @property
    def many(self) -> bool:
        """Whether some arms are grey."""
        return len(self.best) < len(self.comparison.arms)

    @property
    def series(self) -> list[ArmSeries]:
        """The curves of each arm."""
        if self._series is None:
            self._series = [ArmSeries(arm) for arm in self.comparison.arms]
        return self._series

    def curves(
        self, of: Callable[[ArmSeries], list[Curve]], among: Callable[[ComparedArm], bool] = lambda arm: True
    ) -> list[Drawn]:
        """The curves of all arms, or of those `among` them."""
        three = zip(self.comparison.arms, self.series, self.looks, strict=True)
        return [Drawn(arm, of(series), look) for arm, series, look in three if among(arm)]

    def legend(self, figure: Figure, drawn: Sequence[Drawn]) -> None:
        """The arms' names below a figure, with a note on what an arm's figure is of where they differ."""
        arms = self.comparison.arms
        several = len({arm.figure for arm in arms}) > 1
        entries = []
        for index in self.best:
            arm, look = arms[index], self.looks[index]
            assert look is not None
            entries.append((look, f"{arm.name} ({arm.split})" if several else arm.name))
        curves = [curve for one in drawn if one.look is not None for curve in one.curves]
        notes: list[tuple[Artist, str]] = []
        if self.many:
            notes.append(others_note(len(arms) - len(self.best)))
        if any(curve.has_range for curve in curves):
            notes.append(style.band_note())
        if any(not curve.completed for curve in curves):
            notes.append(style.unfinished_note())
        height = style.arm_legend(figure, entries, notes)
        figure.set_figheight(figure.get_figheight() + height)


def others_note(count: int) -> tuple[Artist, str]:
    """The legend's entry for arms that have no look of their own."""
    return Line2D([], [], **_GREY_LINE | {"linewidth": 1.5}), f"{count} other arms"


def draw(
    panel: Axes,
    arms: Sequence[Drawn],
    name: str,
    scale: float = 1.0,
    factor: float = 1.0,
    *,
    linear: bool = False,
) -> None:
    """Draws curves: means as lines with a band for the range, a cross where a run that is not completed ends.

    Args:
        panel: Where.
        arms: What.
        name: What against, a name of `Curve.points`.
        scale: By which that is divided.
        factor: By which the curves are multiplied.
        linear: Whether the y axis will be linear; a band has no place for 0 on a logarithmic one.
    """
    grey = [curve.points for drawn in arms if drawn.look is None for curve in drawn.curves]
    draw_grey(panel, [(points[name] / scale, factor * points["mean"]) for points in grey])
    for drawn in arms:
        for curve in drawn.curves if drawn.look is not None else ():
            assert drawn.look is not None
            x, y = curve.points[name] / scale, factor * curve.points["mean"]
            marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(x) == 1 else {}
            if not curve.completed:
                marker = style.ends_here(len(x))
            width = 1.8 if curve.completed else _WEAK_LINE
            panel.plot(x, y, linewidth=width, **drawn.look, **marker)
            if curve.has_range:
                low, high = factor * curve.points["low"], factor * curve.points["high"]
                there = (low > 0) | linear
                panel.fill_between(x, low, high, there, color=drawn.look["color"], alpha=0.16, linewidth=0)


def draw_grey(panel: Axes, lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Draws lines as one with gaps, which is drawn and written in a fraction of the time."""
    if lines:
        x, y = (
            np.concatenate([part for one in side for part in (one, [np.nan])])
            for side in zip(*lines, strict=True)
        )
        panel.plot(x, y, **_GREY_LINE)


def ends(arms: Sequence[Drawn], name: str, scale: float) -> list[float]:
    """Where each arm's longest curve ends."""
    return [max(curve.points[name][-1] / scale for curve in drawn.curves) for drawn in arms if drawn.curves]


def exploded(arms: Sequence[Drawn], factor: float = _EXPLODED) -> list[Drawn]:
    """The arms whose curves go more than `factor` times beyond the highest points of a quarter of all arms."""
    tops = {
        k: max(curve.points["high"].max() for curve in arm.curves) for k, arm in enumerate(arms) if arm.curves
    }
    if len(tops) < 2:
        return []
    usual = float(np.quantile(list(tops.values()), 0.25, method="lower"))
    return [arms[k] for k, top in tops.items() if top > factor * usual > 0]


def keep_out(panel: Axes, arms: Sequence[Drawn], outside: Sequence[Drawn]) -> None:
    """Lets the y axis end where the arms that are not `outside` end, and says who leaves it."""
    curves = [curve for arm in arms if arm not in outside for curve in arm.curves]
    if not (outside and curves):
        return
    positive = panel.get_yscale() == "log"
    low = min(_lowest(curve, positive) for curve in curves)
    high = max(float(curve.points["high"].max()) for curve in curves)
    if positive:
        axes.log_y(panel, (low, high))
    else:
        margin = 0.05 * (high - low) or 1.0
        panel.set_ylim(low - margin, high + margin)
    tops = [
        f"{arm.arm.name} (to {max(curve.points['high'].max() for curve in arm.curves):.2g})"
        for arm in outside
    ]
    more = f" and {len(tops) - 2} more" if len(tops) > 2 else ""
    text = style.literal(f"beyond the axis: {', '.join(tops[:2])}{more}")
    panel.set_title(text, fontsize=9, color=axes.GREY, loc="right", pad=3)


def _lowest(curve: Curve, positive: bool) -> float:
    low = curve.points["low"]
    return float(np.min(low[low > 0] if positive else low, initial=np.inf))


def split_words(arms: Sequence[ComparedArm]) -> str:
    """Test, validation, or both, of arms that have a figure."""
    splits = {arm.split for arm in arms if any(run.started for run in arm.runs)}
    return splits.pop().capitalize() if len(splits) == 1 else "Test or validation"
