"""--schedule=cosine: a warmup, then half a cosine."""

from dataclasses import dataclass

from tf_fullbatch.optim.schedules.base import Lengths, ScheduleSettings, decay_progress, half_cosine, warmup


@dataclass(frozen=True, kw_only=True, slots=True)
class Cosine(ScheduleSettings):
    """`(t + 1) / W` for t < W, then `(1 + cos(pi * s)) / 2`, s = (t - W) / (horizon - W); 0 after s = 1."""

    def factor(self, t: int, lengths: Lengths) -> float:
        """The rate at each time, see the class."""
        return min(warmup(t, lengths), half_cosine(decay_progress(t, lengths)))
