"""--schedule=constant: a warmup, then the peak."""

from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.optim.schedules.base import Lengths, ScheduleSettings, warmup


@dataclass(frozen=True, kw_only=True, slots=True)
class Constant(ScheduleSettings):
    """`(t + 1) / W` for t < W, then 1."""

    summary: ClassVar[str] = "warmup from lr / warmup"

    def factor(self, t: int, lengths: Lengths) -> float:
        """The rate at each time, see the class."""
        return warmup(t, lengths)
