"""What each ingredient adds, as a waterfall; and paired differences over seeds with their intervals."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from tf_fullbatch.display import axes
from tf_fullbatch.report import style
from tf_fullbatch.report.arms import SPLITS, ComparedArm
from tf_fullbatch.report.differences import PairedDifference
from tf_fullbatch.report.final_plots import seed_dots, seed_entry
from tf_fullbatch.report.quantities import ACCURACY, MINUS, QUANTITIES, Quantity, number, quantity_words
from tf_fullbatch.report.statistics import interval

_BAR = 0.44
_PUBLISHED_BELOW = 0.36
_LABEL_WIDTH = 28
_PAIR_DOT: dict[str, Any] = {"color": style.GAIN, "markersize": 6, "alpha": 0.75}


def waterfall(arms: Sequence[ComparedArm]) -> Figure:
    """The figure of each arm, top to bottom: seeds as dots, the mean a line, a bar for the gain over the arm before.

    Means and gains are over the seeds all arms have, see `shared_seeds`; other seeds are open dots. Published figures
    stand below each arm's own as open markers.
    """
    figure = axes.new_figure(12, 1.7 + 0.78 * len(arms))
    panel = figure.subplots()
    quantity, split = kind = waterfall_figure(arms)
    seeds = shared_seeds(arms)
    figures = [arm.finals(*kind) for arm in arms]
    for y, arm in enumerate(arms):
        if y:
            _gain_bar(panel, y, figures[y - 1], figures[y], seeds, quantity)
        _seeds_and_mean(panel, y, figures[y], seeds, _mean(figures[y], seeds))
        if quantity is ACCURACY:
            _published(panel, y, arm)
    panel.set_yticks(range(len(arms)), [style.literal(textwrap.fill(arm.name, _LABEL_WIDTH)) for arm in arms])
    panel.set_ylim(len(arms) - 0.4, -0.6)
    panel.set_xlabel(
        f"{split.capitalize()} {quantity_words(quantity, [run for arm in arms for run in arm.runs])}"
    )
    axes.finish(panel)
    panel.grid(False, axis="y")
    panel.use_sticky_edges = False  # bars that begin at the lowest value would take its margin
    panel.margins(x=0.1)
    _waterfall_legend(figure, arms)
    return figure


def waterfall_figure(arms: Sequence[ComparedArm]) -> tuple[Quantity, str]:
    """What a waterfall shows: accuracy, or loss where no arm has one; of the test split, else of validation."""
    kinds = [(quantity, split) for quantity in QUANTITIES for split in SPLITS]
    return next((kind for kind in kinds if any(arm.finals(*kind) for arm in arms)), kinds[0])


def shared_seeds(arms: Sequence[ComparedArm]) -> list[int]:
    """The seeds that all arms with a completed run have completed, so that a gain is never one of seeds."""
    kind = waterfall_figure(arms)
    completed = [set(arm.finals(*kind)) for arm in arms if arm.finals(*kind)]
    return sorted(set.intersection(*completed)) if completed else []


def difference_plot(differences: Sequence[PairedDifference]) -> Figure:
    """Each pair's differences as dots; with several seeds their mean and its 95 % interval. All are of one quantity."""
    figure = axes.new_figure(12, 1.6 + 0.62 * len(differences))
    panel = figure.subplots()
    panel.axvline(0, color=axes.GREY, linewidth=1.2)
    for y, pair in enumerate(differences):
        values = list(pair.differences.values())
        seed_dots(panel, y + 0.18, values, **_PAIR_DOT)
        if pair.interval is not None and pair.interval.half_width is not None:
            panel.errorbar(
                pair.interval.mean, y - 0.15, xerr=pair.interval.half_width, fmt="D", color="#000000",
                markersize=6, capsize=5, linewidth=1.6,
            )  # fmt: skip
        if not values:
            panel.text(0, y, " no seed completed in both", va="center", color=axes.GREY)
    splits = {pair.split for pair in differences}
    panel.set_yticks(range(len(differences)), [_pair_label(pair, len(splits) > 1) for pair in differences])
    panel.set_ylim(len(differences) - 0.4, -0.6)
    words = splits.pop() if len(splits) == 1 else "test or validation"
    quantity = differences[0].quantity
    unit = f" ({quantity.unit})" if quantity.unit else ""
    panel.set_xlabel(f"Difference in {words} {quantity.name}{unit}")
    axes.finish(panel)
    panel.grid(False, axis="y")
    panel.margins(x=0.08)
    _difference_legend(figure, differences)
    return figure


def _pair_label(pair: PairedDifference, with_split: bool) -> str:
    split = f" ({pair.split})" if with_split else ""
    return style.literal(textwrap.fill(f"{pair.first} {MINUS} {pair.second}{split}", 2 * _LABEL_WIDTH))


def _mean(figures: dict[int, float], seeds: Sequence[int]) -> float | None:
    values = [figures[seed] for seed in seeds if seed in figures]
    return float(np.mean(values)) if values else None


def _gain_bar(
    panel: Axes,
    y: int,
    earlier: dict[int, float],
    later: dict[int, float],
    seeds: Sequence[int],
    quantity: Quantity,
) -> None:
    """A bar from one mean to the next, with the gain and, of several seeds, its interval."""
    if not (earlier and later and seeds):
        return
    gains = interval([later[seed] - earlier[seed] for seed in seeds])
    before, gain = float(np.mean([earlier[seed] for seed in seeds])), gains.mean
    text = quantity.signed(gain, gains.deviation)
    if gains.half_width is not None:
        text += f" ± {number(gains.half_width, quantity.decimals_of(gain, gains.deviation))}"
    nothing = text.partition(" ")[0].strip("0.") == ""
    color = axes.GREY if nothing else style.GAIN if quantity.better(gain, 0) else style.LOSS
    panel.barh(y, gain, left=before, height=_BAR, color=color, alpha=0.3, linewidth=0)
    panel.plot(
        [before, before], [y - 1 + _BAR / 2, y + _BAR / 2], color=axes.GREY, linewidth=0.9, linestyle=":"
    )
    label = panel.annotate(
        text, (before + gain / 2, y - _BAR / 2), (0, 3), textcoords="offset points", ha="center",
        va="bottom", fontsize=10, fontweight="bold", color=color, zorder=5,
    )  # fmt: skip
    label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8})


def _seeds_and_mean(
    panel: Axes, y: int, figures: dict[int, float], seeds: Sequence[int], mean: float | None
) -> None:
    if not figures:
        panel.annotate(
            "no completed run with this figure",
            (0.01, y),
            xycoords=("axes fraction", "data"),
            va="center",
            color=axes.GREY,
        )
        return
    if mean is not None and len(seeds) > 1:
        panel.plot([mean, mean], [y - _BAR / 2, y + _BAR / 2], color="#000000", linewidth=2.2)
    shared = {seed: value for seed, value in figures.items() if seed in seeds}
    others = [value for seed, value in figures.items() if seed not in seeds]
    seed_dots(panel, y, list(shared.values()))
    seed_dots(panel, y, others, markerfacecolor="none")


def _published(panel: Axes, y: int, arm: ComparedArm) -> None:
    if arm.published is not None:
        panel.errorbar(
            arm.published.accuracy, y + _PUBLISHED_BELOW, xerr=arm.published.spread, fmt="D", color="#9A5B86",
            markerfacecolor="none", markersize=6, capsize=3, linewidth=1.2,
        )  # fmt: skip


def _waterfall_legend(figure: Figure, arms: Sequence[ComparedArm]) -> None:
    seeds = shared_seeds(arms)
    quantity, split = waterfall_figure(arms)
    every = {seed for arm in arms for seed in arm.finals(quantity, split)}
    entries: list[tuple[Artist, str]] = []
    if seeds:
        entries.append((seed_entry(), "a seed"))
    if every - set(seeds):
        entries.append((seed_entry(markerfacecolor="none"), "a seed not completed in every arm"))
    if len(seeds) > 1:
        entries.append((Line2D([], [], color="#000000", linewidth=2.2), "mean over seeds"))
    unit = f" ({quantity.unit})" if quantity.unit else ""
    bars = {to_hex(bar.get_facecolor()).upper() for bar in figure.axes[0].patches}
    words = {
        style.GAIN: f"better than the arm above{unit}",
        style.LOSS: f"worse{unit}",
    }
    entries += [
        (Patch(color=color, alpha=0.3, linewidth=0), text) for color, text in words.items() if color in bars
    ]
    if quantity is ACCURACY and any(arm.published for arm in arms):
        marker = Line2D([], [], marker="D", color="#9A5B86", markerfacecolor="none", linestyle="none")
        entries.append((marker, "published"))
    style.legend_below(figure, entries)


def _difference_legend(figure: Figure, differences: Sequence[PairedDifference]) -> None:
    entries: list[tuple[Artist, str]] = [(seed_entry(**_PAIR_DOT), "a seed")]
    if any(len(pair.differences) > 1 for pair in differences):
        mean = Line2D([], [], marker="D", color="#000000", linewidth=1.6)
        entries.append((mean, "mean and 95 % interval (Student's t)"))
    style.legend_below(figure, entries)
