"""What the runs of a study cost, in units that no machine decides."""

import math
from dataclasses import dataclass

from tf_fullbatch.config.run import Config


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a run.

    Attributes:
        passes: Over the training set, at most.
        training_samples: Samples of the training set; None where the data are not there to be counted.
        gradient_evaluations: Per sample and pass; at least, where `asks`.
        asks: Whether the method asks for as many as it needs.
        goal: Gradient evaluations per sample after which the run ends; None where it makes all passes.
    """

    passes: int
    training_samples: int | None
    gradient_evaluations: int
    asks: bool = False
    goal: float | None = None

    @property
    def per_sample(self) -> int:
        """Gradient evaluations of a sample in all; at least, where `is_open`."""
        passes = self.passes
        if self.goal is not None:
            passes = min(passes, math.ceil(self.goal / self.gradient_evaluations))
        return passes * self.gradient_evaluations

    @property
    def is_open(self) -> bool:
        """Whether it may be more than `total`, but for the overrun of a last step."""
        ends = self.goal is not None and self.passes * self.gradient_evaluations >= self.goal
        return self.asks and not ends

    @property
    def samples(self) -> int | None:
        """Samples seen in all; at most, where the method asks and there is a goal."""
        if self.training_samples is None:
            return None
        passes = self.passes if self.asks else self.per_sample // self.gradient_evaluations
        return passes * self.training_samples

    @property
    def total(self) -> int | None:
        """Gradient evaluations in all; at least, where `is_open`."""
        return None if self.training_samples is None else self.training_samples * self.per_sample


def cost_of(config: Config) -> Cost:
    """The cost of a run with these settings.

    Raises:
        UserError: There is no such data set, or it has too few samples for these settings, as far as that is known.
    """
    from tf_fullbatch.data.splits import check_sizes  # NumPy, for which --help would wait

    data = config.data
    available = data.count_training_samples()
    samples = data.train_size
    if available is not None:
        check_sizes(available, data.train_size, data.validation_size)
        samples = data.train_size or available - data.validation_size
    if config.controls.changes_count:
        copies = config.controls.copies()
        known = isinstance(copies, int) and config.controls.leave_out is None
        samples = samples + int(copies or 0) if samples is not None and known else None
    if samples is not None:
        config.check_training_set(samples)
        samples *= config.step.copies_per_pass
    asks, goal = config.optimizer.chosen_optimizer.asks, config.runtime.stop_after_evaluations
    return Cost(config.total_epochs, samples, config.step.gradient_evaluations, asks, goal)
