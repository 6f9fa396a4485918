"""Text for people: numbers with a sensible number of digits, aligned tables, the final summary of a run."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tf_fullbatch.data.controls.settings import CLEAN, NOISY
from tf_fullbatch.errors import Outcome
from tf_fullbatch.records.measured import Kind

_THOUSANDS = ("", "k", "M", "G", "T", "P")


def format_count(value: float) -> str:
    """Three significant digits with a thousands letter: 61234 -> "61.2k", 87.3 -> "87.3"."""
    if not math.isfinite(value):
        return str(value)
    power = 0
    while abs(value) >= 999.5 and power < len(_THOUSANDS) - 1:
        value /= 1000
        power += 1
    digits = 0 if abs(value) >= 99.95 or value == 0 else 1 if abs(value) >= 9.995 else 2
    return f"{value:.{digits}f}{_THOUSANDS[power]}"


def format_duration(seconds: float) -> str:
    """The two largest units: 0.25 -> "250ms", 7.31 -> "7.3s", 3720 -> "1h02m", 180000 -> "2d02h"."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60}h{minutes % 60:02d}m"
    hours = round(seconds / 3600)
    return f"{hours // 24}d{hours % 24:02d}h"


def format_percentage(fraction: float | None) -> str:
    """A fraction as a percentage with two decimals: 0.95698 -> "95.70 %"; "-" for None."""
    return "-" if fraction is None else f"{100 * fraction:.2f} %"


def format_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[object]],
    align: str = "",
) -> str:
    """A table of text: columns two spaces apart, a rule under the headings, no line end after the last line.

    Args:
        headers: One heading per column.
        rows: The cells of each row; None is shown as "-", everything else as `str` shows it.
        align: One character per column, `<` (left) or `>` (right); left for all columns where it is empty.

    Raises:
        ValueError: A row or `align` does not have one item per column.
    """
    align = align or "<" * len(headers)
    if len(align) != len(headers) or set(align) - set("<>"):
        raise ValueError(f"align is {align!r}; expected one of < and > for each of {len(headers)} columns")
    cells = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    for number, row in enumerate(cells):
        if len(row) != len(headers):
            raise ValueError(f"row {number} has {len(row)} cells; expected {len(headers)}, one per heading")
    widths = [max(1, *map(len, column)) for column in zip(headers, *cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        padded = [f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)]
        return "  ".join(padded).rstrip()

    rule = ["-" * width for width in widths]
    return "\n".join(map(line, [headers, rule, *cells]))


def summary_table(summary: Mapping[str, Any]) -> str:
    """The end of a run in a few lines, from the content of its summary.json (see `records.summary`)."""
    lines = [
        ("outcome", _ended(summary)),
        (
            "trained",
            f"{counted(summary['steps'], 'step')}, {_passes(summary['epochs'])} over the training set",
        ),
    ]
    final = summary["final"]
    if final["train"]:
        lines.append(("training, last step", _figures(final["train"])))
    for split in ("validation", "test", NOISY, CLEAN):
        for weights, figures in final.get(split, {}).items():
            step = f", step {figures['step']}" if figures["step"] != summary["steps"] else ""
            lines.append((f"{split.replace('_', ' ')}{_suffix(weights)}{step}", _figures(figures)))
    if summary["best"]:
        lines.append(("best by validation", _best_line(summary["best"])))
    lines += _measuring_lines(summary.get("measuring"))
    if any(summary.get("search", {}).values()):
        lines.append(("searches", _searches_line(summary["search"])))
    lines.append(("wall time", format_duration(float(summary["wall_seconds"]))))
    if summary["images_per_second"] is not None:
        lines.append(("speed", f"{format_count(float(summary['images_per_second']))} samples/s"))
    lines += [("device", summary["device"]), ("output", summary["output_dir"])]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines)


def _ended(summary: Mapping[str, Any]) -> str:
    """How a run ended, in a few words: why, where there is more to it, is an error's line, unless it is no error."""
    outcome = Outcome[summary["outcome"]]
    return str(summary["message"]) if outcome.is_finished else outcome.value.partition(":")[0]


def _searches_line(counts: Mapping[str, int]) -> str:
    """What went otherwise than the method's own way."""
    told = [f"{counted(counts['fallbacks'], 'step')} along the negative gradient instead of the direction"]
    if counts.get("skipped_pairs"):
        told.append(f"{counted(counts['skipped_pairs'], 'pair')} of too little curvature left out")
    return ", ".join(told)


def _suffix(weights: str) -> str:
    return "" if weights == "raw" else f" ({weights} weights)"


def counted(count: int, noun: str) -> str:
    """A number of things in words: "1 step", "2 steps"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Sequence[str], most: int) -> str:
    """Names separated by commas, of many the first and how many more."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _passes(epochs: float | str | None) -> str:
    if epochs is None:
        return "no pass"
    return "1 pass" if float(epochs) == 1 else f"{float(epochs):.6g} passes"


def _figures(figures: Mapping[str, Any]) -> str:
    parts = []
    if figures.get("accuracy") is not None:
        parts.append(f"accuracy {format_percentage(float(figures['accuracy']))}")
    return ", ".join([*parts, *loss_texts(figures, ".4g")]) or "-"


def loss_texts(figures: Mapping[str, Any], digits: str) -> list[str]:
    """The cross-entropy, and the objective where there is none or it reads differently: ["objective 0.52"].

    Args:
        figures: `cross_entropy` and `loss`, which may be absent or None.
        digits: How to write a number, such as ".4g".
    """
    found = {
        name: figures.get(key) for name, key in (("cross-entropy", "cross_entropy"), ("objective", "loss"))
    }
    written = {name: format(float(value), digits) for name, value in found.items() if value is not None}
    if len(set(written.values())) == 1:  # no smoothing, nothing regularised
        written = dict([next(iter(written.items()))])
    return [f"{name} {text}" for name, text in written.items()]


def _measuring_lines(measuring: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What was measured last, what measuring took beside training, and the time at the edge of stability."""
    if not measuring:
        return []
    figures = [
        f"{Kind(name, figure['quantity'], figure['of'])} {float(figure['value']):.4g}"
        for name, figure in measuring["last"].items()
    ]
    spent, trained = (
        format_count(float(measuring[key]))
        for key in ("gradient_evaluations", "training_gradient_evaluations")
    )
    took = format_duration(float(measuring["seconds"]))
    lines = [
        ("measured last", ", ".join(figures)),
        (
            "measuring",
            f"{counted(measuring['measurements'], 'time')}: {spent} gradient evaluations per sample (training: "
            f"{trained}), {took}",
        ),
    ]
    return lines + ([("edge of stability", _edge(measuring["edge"]))] if "edge" in measuring else [])


def _edge(edge: Mapping[str, Any] | None) -> str:
    if edge is None:
        return "not found"
    low, high = (float(end) for end in edge["interval"])
    interval = f" (95 % interval {low:.4g} to {high:.4g})" if math.isfinite(low) else ""
    end = "the end" if edge["exit_step"] is None else f"step {edge['exit_step']}"
    return (
        f"from step {edge['entry_step']} to {end}, {counted(edge['dwell'], 'step')} at it; sharpness "
        f"{float(edge['mean_ratio']):.4g} of the threshold{interval}"
    )


def _best_line(best: Mapping[str, Any]) -> str:
    text = f"step {best['step']}{_suffix(best['weights'])}: {_figures(best['validation'])}"
    if best.get("test"):
        text += f"; test {_figures(best['test'])}"
    return text
