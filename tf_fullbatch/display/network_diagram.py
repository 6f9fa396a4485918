"""A network as a picture: its parts from the pixels down to the logits, and what each costs."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from tf_fullbatch.display.text import format_count
from tf_fullbatch.models.layer_cost import Part

_COLUMNS = (
    ("parameters", 7.15, "#4477aa"),
    ("multiply-adds", 8.75, "#228833"),
    ("MiB/sample", 10.35, "#aa3377"),
)
_BAR = 1.4
_LEFT, _RIGHT, _OUTPUT = 0.6, 5.0, 5.25
_VIEWS = {"Reshape", "Rescaling", "Flatten", "InputLayer", "Identity"}
_SHORT = {
    "BatchNormalization": "BatchNorm",
    "LayerNormalization": "LayerNorm",
    "GroupNormalization": "GroupNorm",
    "GlobalAveragePooling2D": "mean over pixels",
    "AveragePooling2D": "AveragePool",
    "MaxPooling2D": "MaxPool",
}
_DPI = 130


def save_diagram(path: str | Path, title: str, image: tuple[int, ...], parts: Sequence[Part]) -> None:
    """Writes the picture of a network: a box per part, a line around blocks that add or join inputs to outputs.

    Args:
        path: The file; its ending says the format.
        title: A line above it.
        image: Shape of the inputs, without the batch.
        parts: From pixels to logits; what does nothing but reshape or scale is left out.
    """
    shown = [part for part in parts if set(part.kinds) - _VIEWS]
    figure = Figure(figsize=(12, 1.3 + 0.62 * (len(shown) + 1)), dpi=_DPI)
    FigureCanvasAgg(figure)
    panel = figure.add_axes((0, 0, 1, 1))
    panel.set(xlim=(0, 12), ylim=(-len(shown) - 0.7, 1.6))
    panel.axis("off")
    panel.text(_LEFT, 1.15, title, fontsize=13, fontweight="bold", va="center")
    panel.text(_OUTPUT, 0.55, "output", fontsize=9, color="0.4", va="center")
    for heading, x, color in _COLUMNS:
        panel.text(x, 0.55, heading, fontsize=9, color=color, va="center")
    _box(panel, 0, "images", "", "#eeeeee")
    panel.text(_OUTPUT, 0, "x".join(map(str, image)), fontsize=9, va="center")
    for i, part in enumerate(shown, 1):
        _draw(panel, -i, part, shown)
    figure.savefig(path)


def _draw(panel: Axes, y: float, part: Part, shown: Sequence[Part]) -> None:
    """One part: its box, the arrow to it, and its numbers with bars that say how they compare."""
    panel.annotate("", (2.8, y + 0.31), (2.8, y + 0.69), arrowprops={"arrowstyle": "->", "color": "0.4"})
    name = part.name + (f"   and {part.repeats - 1} more like it" if part.repeats > 1 else "")
    kinds = ", ".join(
        f"{count} {_SHORT.get(kind, kind)}" if count > 1 else _SHORT.get(kind, kind)
        for kind, count in part.kinds.items()
        if kind not in _VIEWS | {"GetItem", "Cast"}
    )
    _box(panel, y, name, kinds, "#dde8f3" if part.totals.parameters else "#eeeeee")
    for kind, style in (("Add", "-"), ("Concatenate", "--")):
        if kind in part.kinds and "block" in part.name:
            panel.plot(
                [2.8, 0.35, 0.35, 2.8],
                [y + 0.44, y + 0.44, y - 0.37, y - 0.37],
                style,
                color="0.4",
                linewidth=1,
                zorder=0,
            )
    panel.text(_OUTPUT, y, "x".join(map(str, part.output)), fontsize=9, va="center")
    for k, (number, (_, x, color)) in enumerate(zip(part.totals, _COLUMNS, strict=True)):
        largest = max(one.totals[k] for one in shown) or 1
        panel.barh(y, _BAR * number / largest, 0.5, left=x, color=color, alpha=0.25)
        text = f"{number / 2**20:.2f}" if k == 2 else format_count(number)
        panel.text(x + 0.05, y, text if number else "", fontsize=9, va="center")


def _box(panel: Axes, y: float, name: str, kinds: str, color: str) -> None:
    box = FancyBboxPatch(
        (_LEFT, y - 0.3),
        _RIGHT - _LEFT,
        0.6,
        "round,pad=0,rounding_size=0.08",
        facecolor=color,
        edgecolor="0.4",
    )
    panel.add_patch(box)
    panel.text(_LEFT + 0.12, y + (0.11 if kinds else 0), name, fontsize=9.5, va="center")
    shown = kinds if len(kinds) <= 74 else f"{kinds[:71]}..."
    panel.text(_LEFT + 0.12, y - 0.14, shown, fontsize=7, color="0.35", va="center")
