"""Where training stands: steps and epochs, and the means over an epoch's steps."""

from dataclasses import dataclass

from tf_fullbatch.data.pipeline import BatchPlan


@dataclass(frozen=True, slots=True)
class Timeline:
    """Maps the optimizer's step counter to epochs, for one call of `fit`.

    `fit` begins at the start of an epoch: epoch `first_step // steps_per_epoch`, so that a run continued
    from a checkpoint draws the augmentations and orders that it would have drawn uninterrupted.

    Attributes:
        plan: How an epoch is cut into steps.
        first_step: Optimizer updates completed when `fit` began.
    """

    plan: BatchPlan
    first_step: int

    @property
    def first_epoch(self) -> int:
        """Index of the epoch that `fit` begins with."""
        return self.first_step // self.plan.steps_per_epoch

    def epoch(self, step: int) -> int:
        """Index of the epoch in which update `step` (0-based) happens."""
        return self.first_epoch + (step - self.first_step) // self.plan.steps_per_epoch

    def step_in_epoch(self, step: int) -> int:
        """Position of update `step` (0-based) within its epoch."""
        return (step - self.first_step) % self.plan.steps_per_epoch

    def epochs_completed(self, steps: int) -> float:
        """Epochs completed after `steps` updates, with a fraction."""
        return self.first_epoch + (steps - self.first_step) / self.plan.steps_per_epoch


class EpochMeans:
    """Sample-weighted means of named figures over the steps of an epoch."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._samples = 0

    def add(self, samples: int, figures: dict[str, float]) -> dict[str, float]:
        """Adds a step's figures and returns the means so far."""
        self._samples += samples
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + samples * value
        return {name: total / self._samples for name, total in self._sums.items()}
