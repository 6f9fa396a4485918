"""Networks and their layers as lines of text."""

from collections.abc import Sequence

from tf_fullbatch.display.text import format_count, format_table
from tf_fullbatch.models.base import Published
from tf_fullbatch.models.layer_cost import LayerCost, totals

_HEADINGS = ("model", "parameters", "multiply-adds", "MiB/sample", "published")
_WIDTHS = (13, 13, 10)
_MIB = 2**20
_KIB = 2**10


def list_heading(names: Sequence[str]) -> str:
    """The first two lines of a list of networks, whose lines come one by one."""
    heading = _line(_HEADINGS[0], _HEADINGS[1:4], _HEADINGS[4], names)
    return f"{heading}\n{_line('-' * _width(names), ['-' * width for width in _WIDTHS], '-' * 9, names)}"


def list_line(name: str, costs: Sequence[LayerCost], published: str, names: Sequence[str]) -> str:
    """A network's line in a list.

    Args:
        name: The network's.
        costs: Its layers.
        published: See `published_text`.
        names: Of all networks in the list.
    """
    parameters, multiply_adds, kept = totals(costs)
    mark = "+" if any(cost.multiply_adds is None for cost in costs) else ""
    numbers = (f"{parameters:,}", f"{format_count(multiply_adds)}{mark}", f"{kept / _MIB:.2f}")
    return _line(name, numbers, published, names)


def refused_line(name: str, reason: str, names: Sequence[str]) -> str:
    """The line of a network that does not take the images or the settings."""
    return _line(name, ("-", "-", "-"), f"not counted: {reason}", names)


def published_text(published: Sequence[Published], side: int, channels: int, classes: int) -> str:
    """The published number of parameters of the same images and classes, or else the first there is, and its source."""
    same = [one for one in published if (one.side, 3, one.classes) == (side, channels, classes)]
    if same:
        return f"{same[0].parameters:,}: {same[0].source}"
    if published:
        one = published[0]
        return f"{one.parameters:,} ({one.side}x{one.side}x3, {one.classes} classes): {one.source}"
    return "-"


def layer_table(costs: Sequence[LayerCost]) -> str:
    """Every layer of a network, and the sums."""
    rows = [
        (
            cost.name,
            cost.kind,
            "x".join(map(str, cost.output)),
            f"{cost.parameters:,}" if cost.parameters else "",
            "?" if cost.multiply_adds is None else f"{cost.multiply_adds:,}" if cost.multiply_adds else "",
            f"{cost.kept_bytes / _KIB:,.1f}" if cost.kept_bytes else "",
        )
        for cost in costs
    ]
    parameters, multiply_adds, kept = totals(costs)
    rows.append(("all", "", "", f"{parameters:,}", f"{multiply_adds:,}", f"{kept / _KIB:,.1f}"))
    headings = ("layer", "kind", "output", "parameters", "multiply-adds", "KiB/sample")
    return format_table(headings, rows, "<<>>>>")


def _line(name: str, numbers: Sequence[str], published: str, names: Sequence[str]) -> str:
    cells = [f"{number:>{width}}" for number, width in zip(numbers, _WIDTHS, strict=True)]
    return "  ".join([f"{name:<{_width(names)}}", *cells, published])


def _width(names: Sequence[str]) -> int:
    return max(map(len, [_HEADINGS[0], *names]))
