"""What a schedule is asked for, and what schedules are made of."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.settings.fields import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """Lengths of a schedule.

    Attributes:
        warmup_epochs: Length W of the warmup, in epochs; 0 for none.
        horizon_epochs: Length of the schedule, in epochs, at least W. "published" counts its cosine's length
            from the end of the warmup; the others end at this epoch, warmup included.
    """

    warmup_epochs: float
    horizon_epochs: float


class ScheduleSettings(Settings, ABC):
    """Settings of a schedule f: the learning rate of epoch t is `peak * f(t)`.

    Past its end no schedule rises again or turns negative.
    """

    __slots__ = ()
    summary: ClassVar[str] = ""
    """What --help says of it, in brackets after its name."""

    @abstractmethod
    def factor(self, t: int, lengths: Lengths) -> float:
        """f(t) of epoch t = 0, 1, ..., in [0, 1]."""

    def check(self, horizon_epochs: float) -> None:
        """Refuses settings that do not fit a horizon, a number of epochs.

        Raises:
            UserError: They do not.
        """


def warmup(t: int, lengths: Lengths) -> float:
    """`(t + 1) / W` up to 1."""
    return min(1.0, (t + 1) / lengths.warmup_epochs) if lengths.warmup_epochs else 1.0


def decay_progress(t: int, lengths: Lengths) -> float:
    """How far t is between the warmup's end (0) and the horizon (1)."""
    if t < lengths.warmup_epochs:
        return 0.0
    length = lengths.horizon_epochs - lengths.warmup_epochs
    return min(1.0, (t - lengths.warmup_epochs) / length) if length else 1.0


def half_cosine(progress: float) -> float:
    """`(1 + cos(pi * s)) / 2` for s in [0, 1], held at its ends outside."""
    return (1 + math.cos(math.pi * min(1.0, max(0.0, progress)))) / 2
