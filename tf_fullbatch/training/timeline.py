"""Where training stands: steps and epochs."""

from dataclasses import dataclass

from tf_fullbatch.data.plan import BatchPlan


@dataclass(frozen=True, slots=True)
class Timeline:
    """Maps the optimizer's step counter to epochs, for one call of `fit`.

    Attributes:
        plan: How an epoch is cut into steps.
        first_step: Optimizer updates completed when `fit` began.
        first_step_in_epoch: How many of them are of the epoch that `fit` goes on with. A run continued from a
            checkpoint draws the augmentations and orders that it would have drawn uninterrupted.
    """

    plan: BatchPlan
    first_step: int
    first_step_in_epoch: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.first_step_in_epoch <= min(self.first_step, self.plan.steps_per_epoch - 1):
            raise ValueError(
                f"{self.first_step_in_epoch} updates of the present epoch cannot be made already: there are "
                f"{self.plan.steps_per_epoch} per epoch, and {self.first_step} were made in all."
            )

    @property
    def first_epoch(self) -> int:
        """Index of the epoch that `fit` begins with, or goes on with."""
        return (self.first_step - self.first_step_in_epoch) // self.plan.steps_per_epoch

    def epoch(self, step: int) -> int:
        """Index of the epoch in which update `step` (0-based) happens."""
        return self.first_epoch + self._since_first_epoch(step) // self.plan.steps_per_epoch

    def step_in_epoch(self, step: int) -> int:
        """Position of update `step` (0-based) within its epoch."""
        return self._since_first_epoch(step) % self.plan.steps_per_epoch

    def epochs_completed(self, steps: int) -> float:
        """Epochs completed after `steps` updates, with a fraction; the same number wherever `fit` began."""
        per_epoch = self.plan.steps_per_epoch
        return (self.first_epoch * per_epoch + self._since_first_epoch(steps)) / per_epoch

    def _since_first_epoch(self, step: int) -> int:
        return step - self.first_step + self.first_step_in_epoch
