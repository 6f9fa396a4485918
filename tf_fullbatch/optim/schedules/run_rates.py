"""The learning rate of every epoch of a run: that of its own schedule, then those of the passes appended to it."""

import itertools
from dataclasses import dataclass

from tf_fullbatch.optim.schedules.rates import EpochRates


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Passes that have a schedule.

    Attributes:
        epochs: How many.
        rates: Their learning rates; its epochs are counted from the stretch's first pass.
    """

    epochs: int
    rates: EpochRates


@dataclass(frozen=True, slots=True)
class RunRates:
    """One learning rate per epoch, stretch after stretch; past the end of the last its schedule goes on.

    Attributes:
        stretches: The run's own passes, then those that were appended.
    """

    stretches: tuple[Stretch, ...]

    @property
    def peak(self) -> float:
        """The peak rate of the run's own schedule."""
        return self.stretches[0].rates.peak

    @property
    def epochs(self) -> int:
        """Passes in all."""
        return sum(stretch.epochs for stretch in self.stretches)

    @property
    def last_epoch(self) -> int:
        """An epoch from which on the rate no longer changes."""
        last = self.stretches[-1]
        return self.epochs - last.epochs + last.rates.last_epoch

    def rate_at_epoch(self, t: int) -> float:
        """The learning rate of epoch t = 0, 1, ..."""
        *earlier, last = self.stretches
        for stretch in earlier:
            if t < stretch.epochs:
                return stretch.rates.rate_at_epoch(t)
            t -= stretch.epochs
        return last.rates.rate_at_epoch(t)

    def remarks(self) -> list[str]:
        """What is to be said of a training: passes that move nothing, jumps of the rate, an end at the peak rate."""
        rates = [self.rate_at_epoch(t) for t in range(self.epochs)]
        found = []
        still = [t + 1 for t, rate in enumerate(rates) if rate == 0]
        if still:
            have = "has" if len(still) == 1 else "have"
            found.append(
                f"{len(still):,} of {self.epochs:,} passes {have} the learning rate 0, in which no weight moves: "
                f"{_runs(still)}"
            )
        found += self._jumps()
        last = self.stretches[-1]
        schedule, share = last.rates, rates[-1] / last.rates.peak
        decays = schedule.rate_at_epoch(schedule.last_epoch) < _NEARLY * schedule.peak
        if decays and share >= _NEARLY and last.epochs > 1:
            reason = f"the schedule has a warmup of {schedule.warmup_epochs:g} of {last.epochs:,} epochs"
            if last.epochs < schedule.horizon_epochs:
                reason = (
                    f"the schedule ends after {schedule.horizon_epochs:g} epochs (--schedule_epochs), the training "
                    f"after {self.epochs:,}"
                )
            found.append(f"the last pass has {share:.0%} of the peak learning rate: {reason}")
        return found

    def _jumps(self) -> list[str]:
        """Of appended passes that have the run's own peak rate again, far above where the passes before them ended."""
        found = []
        for before, appended in itertools.pairwise(self.stretches):
            end = before.rates.rate_at_epoch(before.epochs - 1)
            if appended.rates.peak >= max(self.peak, _FAR * end):
                found.append(
                    f"the appended passes go up to the rate {appended.rates.peak:.3g}, those before them end at "
                    f"{end:.2g}: --extend_learning_rate says another"
                )
        return list(dict.fromkeys(found))


_FAR = 10
"""Times the rate before appended passes from which on they may undo what was learned."""
_NEARLY = 0.9
"""Share of the peak rate at which a training that ends there has hardly decayed."""


def _runs(numbers: list[int]) -> str:
    """Ascending numbers, those that follow each other as "3 to 7"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]} to {p[-1]}" for p in parts)
