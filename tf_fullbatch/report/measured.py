"""What the arms of a comparison measured along training: which kinds are shown, in tables and for other programs."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from tf_fullbatch.analysis.measures.registry import quantity
from tf_fullbatch.display.text import counted, format_count
from tf_fullbatch.records.measured import Kind
from tf_fullbatch.report.arms import ComparedArm, Comparison
from tf_fullbatch.report.quantities import LOSS
from tf_fullbatch.report.ranking import FEW, ranked
from tf_fullbatch.report.run_records import LARGEST, RecordedRun
from tf_fullbatch.report.statistics import half_width_factor, interval
from tf_fullbatch.report.tables import Table

MOST_KINDS = 15
"""So many kinds of figures are shown; measured.csv has all."""
_SIGNIFICANT = "%.10g"


def kinds_of(comparison: Comparison) -> list[Kind]:
    """The kinds of figures that figures draw and any arm has, those of a measure together, in the order recorded."""
    found = dict.fromkeys(kind for run in comparison.runs for kind in run.measured)
    measures = list(dict.fromkeys(kind.measure for kind in found))
    drawn = [kind for kind in found if quantity(kind.measure, kind.quantity).drawn != "not"]
    return sorted(drawn, key=lambda kind: measures.index(kind.measure))


def shown_kinds(comparison: Comparison) -> list[Kind]:
    """Those of `kinds_of` that are shown.

    Of many: of each measure the first quantity and those with a level that means something, then its others, and last
    further eigenvalues or variables of them.
    """
    kinds = kinds_of(comparison)
    seen: Counter[tuple[str, ...]] = Counter()
    order = {}
    for kind in kinds:
        first = seen[kind.measure, kind.quantity] == 0
        if first:
            seen[kind.measure,] += 1
        place = 0 if quantity(kind.measure, kind.quantity).level is not None else seen[kind.measure,]
        order[kind] = (seen[kind.measure, kind.quantity], place)
        seen[kind.measure, kind.quantity] += 1
    chosen = set(sorted(kinds, key=order.__getitem__)[:MOST_KINDS])
    return [kind for kind in kinds if kind in chosen]


def finals_table(comparison: Comparison) -> Table | None:
    """The last figures of each arm with their spread over seeds, its time at the edge, and what measuring cost.

    Of several eigenvalues, or variables, it has the first. None where no completed run measured anything.
    """
    firsts = {(kind.measure, kind.quantity): kind for kind in reversed(shown_kinds(comparison))}
    kinds = list(reversed(firsts.values()))
    if not kinds:
        return None
    arms = comparison.arms
    order = ranked(arms) if len(arms) > FEW else range(len(arms))
    lines = [_line(arms[k], kinds) for k in order if any(run.measured for run in arms[k].runs)]
    shown = pd.DataFrame(lines).dropna(axis="columns", how="all").fillna("-")
    if len(shown.columns) < 2:
        return None
    return Table(
        tuple(shown), list(shown.itertuples(index=False, name=None)), "<" + ">" * (len(shown.columns) - 1)
    )


def measured_csv(comparison: Comparison) -> str | None:
    """Mean, sample standard deviation and number over the completed runs of each arm of all that was measured, as CSV.

    One line per arm, step, measure, quantity and `of`; what is not finite is left out. None where nothing was measured.
    """
    tables = [
        run.measurements.assign(arm=arm.name)
        for arm in comparison.arms
        for run in arm.completed
        if run.measurements is not None
    ]
    if not tables:
        return None
    every = pd.concat(tables)
    every = every[every["value"].abs() <= LARGEST].fillna({"of": ""})
    groups = every.groupby(["arm", "step", "epoch", "measure", "quantity", "of"], sort=False)["value"]
    found = groups.agg(mean="mean", std="std", n="count").reset_index()
    return str(found.to_csv(index=False, lineterminator="\n", float_format=_SIGNIFICANT))


def _line(arm: ComparedArm, kinds: Sequence[Kind]) -> dict[str, str | None]:
    spent = [run.measuring_evaluations for run in arm.completed if run.measuring_evaluations is not None]
    line: dict[str, str | None] = {
        "arm": arm.name,
        "gradient evaluations of measuring": format_count(float(np.mean(spent))) if spent else None,
        "at the edge of stability": _edge_cell(arm.completed),
    }
    for kind in kinds:
        unit = quantity(kind.measure, kind.quantity).unit
        values = [run.last_measured(kind) for run in arm.completed]
        line[f"{kind}{f' ({unit})' if unit else ''}"] = _text([v for v in values if v is not None])
    return line


def _text(values: Sequence[float]) -> str | None:
    if not values:
        return None
    found = interval(values)
    return LOSS.text(found.mean, found.deviation)


def _edge_cell(runs: Sequence[RecordedRun]) -> str | None:
    """Mean ratio of sharpness to its threshold at the edge with its interval, and how many seeds were there."""
    told = [run for run in runs if run.tells_edge]
    if not told:
        return None
    edges = [run.edge for run in told if run.edge is not None]
    if not edges:
        return "not found"
    mean = float(np.mean([edge.mean_ratio for edge in edges]))
    low, high = edges[0].interval
    if len(edges) > 1:
        half = half_width_factor(len(edges)) * float(np.std([edge.mean_ratio for edge in edges], ddof=1))
        low, high = mean - half, mean + half
    between = f" ({low:.3f} to {high:.3f})" if np.isfinite(low) else ""
    seeds = "" if len(edges) == len(told) else f", {len(edges)} of {counted(len(told), 'seed')}"
    return f"{mean:.3f}{between} from step {min(edge.entry_step for edge in edges)}{seeds}"
