"""Sweeps: arms, or the trials of an arm, that differ in one setting or in two, each on a line or a grid."""

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tf_fullbatch.config.comparing import compared_settings, differing_settings
from tf_fullbatch.config.run import Config
from tf_fullbatch.report.arms import ComparedArm, Comparison, differing_files
from tf_fullbatch.report.drawing import split_words
from tf_fullbatch.report.quantities import ACCURACY, LOSS, Quantity, quantity_words
from tf_fullbatch.report.run_records import Status

_FEWEST_ON_A_LINE = 3
_FEWEST_IN_A_GRID = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """What was measured at each value of one setting or two.

    Attributes:
        title: What is shown, in a line.
        settings: The names of the settings, one or two.
        values: Their values in order, one tuple per setting; None is a setting's own word for nothing.
        figures: Values of the settings -> the figures of the seeds.
        quantity: What they are.
        label: It in words, with its unit.
        chosen: Values of the settings that were chosen by validation; none for arms.
        arm: The arm whose trials they are; None where each place is an arm.
    """

    title: str
    settings: tuple[str, ...]
    values: tuple[tuple[Hashable, ...], ...]
    figures: Mapping[tuple[Hashable, ...], Sequence[float]]
    quantity: Quantity
    label: str
    chosen: tuple[tuple[Hashable, ...], ...] = ()
    arm: str | None = None


def sweeps_of(comparison: Comparison) -> list[Sweep]:
    """The sweeps of a comparison: those that its arms are, then those of each arm's trials."""
    found = []
    for quantity in comparison.quantities:
        arms = comparison.compared_by(quantity)
        settings = swept_settings([arm.config for arm in arms])
        if settings and not differing_files(arms):
            found.append(_sweep_of_arms(arms, settings, quantity))
    of_trials = (_sweep_of_trials(name, trials) for name, trials in comparison.trials)
    return found + [sweep for sweep in of_trials if sweep is not None]


def swept_settings(configs: Sequence[Config]) -> tuple[str, ...]:
    """The settings that configurations sweep over: one of three values or more, or two of two values or more.

    Others may differ that follow from one of the two, as a warmup that is scaled with the length, and a penalty that
    is none where its strength is 0. Empty where it is no sweep.
    """
    values = [compared_settings(config) for config in configs]
    names = [name for name in differing_settings(configs) if name != "seed"]
    columns = {name: [_hashable(one[name]) for one in values] for name in names}
    if "penalty_strength" in columns and _is_switch(columns):
        del columns["penalty"]
    if len(columns) == 1:
        ((name, column),) = columns.items()
        numbers = [value for value in column if isinstance(value, int | float)]
        return (name,) if len(set(numbers)) >= _FEWEST_ON_A_LINE and len(set(column)) == len(column) else ()
    for a, b in itertools.combinations(columns, 2):
        others = [column for name, column in columns.items() if name not in (a, b)]
        follow = all(_follows(other, columns[a]) or _follows(other, columns[b]) for other in others)
        if follow and _is_grid(columns[a], columns[b]):
            return (a, b)
    return ()


def _is_switch(columns: Mapping[str, Sequence[Hashable]]) -> bool:
    """Whether the penalty is none exactly where its strength is 0, and else one and the same."""
    penalties, strengths = columns.get("penalty", ()), columns["penalty_strength"]
    off = [penalty == "none" for penalty in penalties]
    return len(set(penalties)) == 2 and off == [not strength for strength in strengths]


def _follows(column: Sequence[Hashable], other: Sequence[Hashable]) -> bool:
    """Whether the values of one setting are a function of another's."""
    return len(set(zip(other, column, strict=True))) == len(set(other))


def _is_grid(a: Sequence[Hashable], b: Sequence[Hashable]) -> bool:
    """Whether pairs of values are met once each, and each value with several of the other setting's."""
    pairs = list(zip(a, b, strict=True))
    if len(set(pairs)) < len(pairs) or len(pairs) < _FEWEST_IN_A_GRID:
        return False
    return min(map(a.count, a)) > 1 and min(map(b.count, b)) > 1


def _sweep_of_arms(arms: Sequence[ComparedArm], settings: tuple[str, ...], quantity: Quantity) -> Sweep:
    places = [tuple(_hashable(compared_settings(arm.config)[name]) for name in settings) for arm in arms]
    words = quantity_words(quantity, [run for arm in arms for run in arm.runs])
    label = f"{split_words(arms)} {words}"
    return Sweep(
        title=f"{label} by {' and '.join(settings)}",
        settings=settings,
        values=tuple(ordered({place[k] for place in places}) for k in range(len(settings))),
        figures={place: list(arm.figures().values()) for place, arm in zip(places, arms, strict=True)},
        quantity=quantity,
        label=label,
    )


def _sweep_of_trials(arm: str, trials: pd.DataFrame) -> Sweep | None:
    """The sweep of an arm's lines of trials.csv; None where it is over more than two settings, or a single value."""
    settings = swept_in(trials)
    if not 1 <= len(settings) <= 2 or (len(settings) == 1 and not is_number(trials[settings[0]].iloc[0])):
        return None
    by = str(trials["choose_by"].iloc[0])
    quantity = ACCURACY if by.endswith("accuracy") else LOSS
    percent = quantity is ACCURACY or by.endswith("error")
    places = list(trials[list(settings)].itertuples(index=False, name=None))
    figures: dict[tuple[Hashable, ...], list[float]] = {place: [] for place in places}
    for place, figure, status in zip(places, trials["figure"], trials["status"], strict=True):
        if status == Status.COMPLETED.value and np.isfinite(figure):
            figures[place].append(100 * figure if percent else figure)
    label = f"{by.replace('_', ' ').capitalize()}{' (%)' if percent else ''}"
    return Sweep(
        title=f"{label} of the trials of {arm} by {' and '.join(settings)}",
        settings=settings,
        values=tuple(ordered({place[k] for place in places}) for k in range(len(settings))),
        figures=figures,
        quantity=quantity,
        label=label,
        chosen=tuple(dict.fromkeys(itertools.compress(places, trials["chosen"]))),
        arm=arm,
    )


def swept_in(trials: pd.DataFrame) -> tuple[str, ...]:
    """The settings that an arm's lines of trials.csv have several values of."""
    names = list(trials.columns)
    return tuple(name for name in names[1 : names.index("seed")] if _is_swept(trials[name]))


def _is_swept(values: pd.Series) -> bool:
    there = values[values.notna() & (values != "")]
    return len(there) == len(values) and there.nunique() > 1


def ordered(values: set[Hashable]) -> tuple[Hashable, ...]:
    """Numbers by size, then words by the alphabet, nothing last."""
    numbers = sorted(value for value in values if is_number(value))  # type: ignore[type-var]
    return (
        *numbers,
        *sorted((value for value in values if not is_number(value)), key=lambda v: (v is None, str(v))),
    )


def is_number(value: Hashable) -> bool:
    """Whether a value has a place on an axis."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _hashable(value: object) -> Hashable:
    return tuple(value) if isinstance(value, list) else value
