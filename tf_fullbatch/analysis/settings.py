"""Settings of what is measured along training."""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tf_fullbatch.analysis.measures.base import MeasureSettings
from tf_fullbatch.analysis.measures.registry import MEASURES
from tf_fullbatch.core.names import STATISTICS
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.components import Group, described
from tf_fullbatch.settings.fields import refuse_repeats, refuse_without_effect, setting
from tf_fullbatch.settings.part_options import parsed_options


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureConfig(Group):
    """What is measured of the whole training set along training, and how often. Training does not depend on it."""

    measure: tuple[str, ...] = setting(
        (),
        f"Measured of the whole training set along training, into measurements.csv, separated by commas: "
        f"{described(MEASURES)}.",
        affects_results=False,
    )
    measure_every: int = setting(
        10,
        "Steps between measurements; also before the first step and after the last.",
        minimum=1,
        affects_results=False,
    )
    measure_statistics: str = setting(
        "batch",
        "What batch normalisation normalises by where it is measured: batch (each micro-batch's own statistics, the "
        "function that training descends), frozen (moving averages) or recalibrated (the set's, at these weights).",
        choices=STATISTICS,
        affects_results=False,
    )
    measure_options: str | None = setting(
        None,
        "Options of measures, MEASURE.KEY=VALUE,...: sharpness.k=3,trace.products=20.",
        affects_results=False,
    )

    def __post_init__(self) -> None:
        Group.__post_init__(self)
        for name in self.measure:
            if name not in MEASURES:
                near = difflib.get_close_matches(name, MEASURES, cutoff=0.4) or list(MEASURES)
                raise UserError(f"--measure={name}: there is no such measure; there are {', '.join(near)}.")
        refuse_repeats(self, ("measure",))
        if not self.measure:
            idle = ("measure_every", "measure_statistics", "measure_options")
            refuse_without_effect(self, idle, "without --measure")
        self.chosen()

    def chosen(self) -> dict[str, MeasureSettings]:
        """Name -> settings of each measure that is asked for.

        Raises:
            UserError: An option of no measure, or out of its range.
        """
        options = parsed_options("measure", self.measure_options, dotted=True)
        return measures_of(self.measure, options)


def measures_of(names: tuple[str, ...], options: Mapping[str, Any]) -> dict[str, MeasureSettings]:
    """Name -> settings of measures.

    Args:
        names: Keys of `MEASURES`.
        options: "measure.key" -> value.

    Raises:
        UserError: An option of no measure that is asked for, or out of its range.
    """
    of_each: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in options.items():
        name, _, option = key.partition(".")
        if name not in of_each or not option:
            raise UserError(
                f"--measure_options={key}={value}: options are MEASURE.KEY=VALUE, of one of {', '.join(names)}."
            )
        accepted = [field.name for field in dataclasses.fields(MEASURES[name])]
        if option not in accepted:
            raise UserError(
                f"--measure_options={key}={value}: {name} has no option {option!r}; it has "
                f"{', '.join(accepted) or 'none'}."
            )
        of_each[name][option] = _WORDS.get(value, value) if isinstance(value, str) else value
    return {name: _with_options(name, given) for name, given in of_each.items()}


_WORDS = {"true": True, "false": False}
"""How flags write what Python has as True and False."""


def _with_options(name: str, given: Mapping[str, Any]) -> MeasureSettings:
    try:
        return MEASURES[name](**given)
    except UserError as error:
        raise UserError(f"--measure_options of {name}: {str(error).removeprefix('--')}") from error
