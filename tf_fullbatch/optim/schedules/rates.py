"""The learning rate of every epoch: a schedule with its peak and lengths."""

import math
from dataclasses import dataclass

from tf_fullbatch.optim.schedules.base import Lengths, ScheduleSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochRates:
    """One learning rate per epoch: a warmup followed by a decay.

    The rate of epoch t = 0, 1, ... is `peak * f(t)`, with f the schedule's factor.

    Attributes:
        schedule: The schedule f.
        peak: The rate at the end of the warmup, positive.
        warmup_epochs: Length W of the warmup, in epochs; 0 for none.
        horizon_epochs: Length of the schedule, in epochs, at least W (see `Lengths`).

    Raises:
        ValueError: If a value is out of its range or does not go with the others.
    """

    schedule: ScheduleSettings
    peak: float
    warmup_epochs: float
    horizon_epochs: float

    def __post_init__(self) -> None:
        if not 0 < self.peak < math.inf:
            raise ValueError(f"peak learning rate is {self.peak}; it must be positive and finite.")
        if not 0 < self.horizon_epochs < math.inf:
            raise ValueError(f"horizon_epochs is {self.horizon_epochs}; it must be positive and finite.")
        if not 0 <= self.warmup_epochs <= self.horizon_epochs:
            raise ValueError(
                f"warmup_epochs is {self.warmup_epochs}; it must lie between 0 and "
                f"horizon_epochs = {self.horizon_epochs}."
            )
        self.schedule.check(self.horizon_epochs)

    @property
    def last_epoch(self) -> int:
        """An epoch from which on the rate no longer changes."""
        return math.ceil(self.warmup_epochs + self.horizon_epochs) + 1

    def rate_at_epoch(self, t: int) -> float:
        """The learning rate `peak * f(t)` of epoch t = 0, 1, ..."""
        if t < 0:
            raise ValueError(f"epoch is {t}; epochs are counted from 0.")
        lengths = Lengths(warmup_epochs=self.warmup_epochs, horizon_epochs=self.horizon_epochs)
        return self.peak * self.schedule.factor(t, lengths)
