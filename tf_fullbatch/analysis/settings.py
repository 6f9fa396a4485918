"""Settings of what is measured along training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tf_fullbatch.analysis.measures.base import MeasureSettings
from tf_fullbatch.analysis.measures.registry import MEASURES
from tf_fullbatch.core.names import STATISTICS
from tf_fullbatch.settings.components import Group, described
from tf_fullbatch.settings.fields import refuse_repeats, refuse_without_effect, setting
from tf_fullbatch.settings.part_options import parsed_options
from tf_fullbatch.settings.several_parts import refuse_unknown, with_options


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
        refuse_unknown("measure", self.measure, MEASURES, "measure")
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
    return with_options("measure", names, MEASURES, options)
