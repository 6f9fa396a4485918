"""--schedule=steps: a warmup, then a rate that falls at given epochs."""

from dataclasses import dataclass

from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.schedules.base import Lengths, ScheduleSettings, warmup
from tf_fullbatch.settings.fields import check_ranges, setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps(ScheduleSettings):
    """`(t + 1) / W` for t < W, then 1; times `decay_factor` for each of `decay_epochs` that t has reached."""

    decay_epochs: tuple[float, ...] = setting(
        (), "Epochs at which --schedule=steps lowers the rate.", above=0
    )
    decay_factor: float = setting(0.1, "Factor of --schedule=steps.", above=0, maximum=1)

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.decay_epochs:
            raise UserError(
                "--schedule=steps with --decay_epochs=: --schedule=steps needs --decay_epochs, and no other schedule "
                "takes them."
            )

    def factor(self, t: int, lengths: Lengths) -> float:
        """The rate at each time, see the class."""
        reached = sum(t >= epoch for epoch in self.decay_epochs)
        return warmup(t, lengths) * self.decay_factor**reached

    def check(self, horizon_epochs: float) -> None:
        """Refuses epochs that do not ascend or lie beyond the horizon.

        Raises:
            UserError: They do.
        """
        epochs = self.decay_epochs
        if list(epochs) != sorted(set(epochs)) or epochs[-1] >= horizon_epochs:
            given = ",".join(f"{epoch:g}" for epoch in epochs)
            raise UserError(
                f"--decay_epochs={given}: give ascending epochs before the schedule's end, {horizon_epochs:g}."
            )
