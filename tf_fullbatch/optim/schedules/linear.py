"""--schedule=linear: a warmup, then a straight line to 0."""

from dataclasses import dataclass

from tf_fullbatch.optim.schedules.base import Lengths, ScheduleSettings, decay_progress, warmup


@dataclass(frozen=True, kw_only=True, slots=True)
class Linear(ScheduleSettings):
    """`(t + 1) / W` for t < W, then `1 - s`, s = (t - W) / (horizon - W); 0 after s = 1."""

    def factor(self, t: int, lengths: Lengths) -> float:
        """The rate at each time, see the class."""
        return min(warmup(t, lengths), 1 - decay_progress(t, lengths))
