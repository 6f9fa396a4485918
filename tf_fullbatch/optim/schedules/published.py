"""--schedule=published: that of the published runs."""

from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.optim.schedules.base import Lengths, ScheduleSettings, half_cosine


@dataclass(frozen=True, kw_only=True, slots=True)
class Published(ScheduleSettings):
    """The schedule of the published runs, which spends its first epoch at rate 0.

    `t <= W: t / W`;  `t > W: (1 + cos(pi * (t - W - 1) / T)) / 2`, with T the horizon. Without a warmup the cosine
    starts at t = 0: `(1 + cos(pi * t / T)) / 2`. It reaches 0 at t = W + 1 + T (T without a warmup) and stays there,
    where PyTorch's cosine would rise again.

    Source: Geiping et al. 2022 (arXiv 2109.14119), as its code computes it.
    """

    summary: ClassVar[str] = "warmup from 0, cosine"

    def factor(self, t: int, lengths: Lengths) -> float:
        """The rate at each time, see the class."""
        warmup = lengths.warmup_epochs
        if warmup == 0:
            return half_cosine(t / lengths.horizon_epochs)
        if t <= warmup:
            return t / warmup
        return half_cosine((t - warmup - 1) / lengths.horizon_epochs)
