"""Settings of update batches, loss, optimizer and learning rate."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tf_fullbatch.optim.base import LearningRate, OptimizerSettings
from tf_fullbatch.optim.losses.base import LossSettings
from tf_fullbatch.optim.losses.own import OwnLoss
from tf_fullbatch.optim.losses.registry import LOSSES
from tf_fullbatch.optim.own import OwnOptimizer
from tf_fullbatch.optim.registry import OPTIMIZERS
from tf_fullbatch.optim.schedules.base import ScheduleSettings
from tf_fullbatch.optim.schedules.rates import EpochRates
from tf_fullbatch.optim.schedules.registry import SCHEDULES
from tf_fullbatch.settings import own_parts
from tf_fullbatch.settings.components import Group, chosen_by, described
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import keras

BASE_BATCH_SIZE = 128
"""The update batch that --learning_rate is meant for where it scales with the batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig(Group):
    """Update batches, loss, optimizer and learning rate."""

    batch_size: int | None = setting(
        None,
        "Samples per update: full (the whole training set) or a number; 128 with --shuffle is SGD.",
        minimum=1,
        none_word="full",
    )
    shuffle: bool = setting(False, "Draw a new order of the samples each epoch.")
    loss: str = setting("cross_entropy", f"{described(LOSSES)}.", choices=tuple(LOSSES), or_code=True)
    chosen_loss: LossSettings = chosen_by("loss", LOSSES, (own_parts.names_code, OwnLoss))
    optimizer: str = setting(
        "gradient_descent", f"{described(OPTIMIZERS)}.", choices=tuple(OPTIMIZERS), or_code=True
    )
    learning_rate: float = setting(0.1, "Peak learning rate.", above=0)
    learning_rate_scaling: str = setting(
        "none",
        f"linear: multiply the learning rate by update batch size / {BASE_BATCH_SIZE} (Goyal et al. 2017).",
        choices=("none", "linear"),
    )
    chosen_optimizer: OptimizerSettings | OwnOptimizer = chosen_by(
        "optimizer", OPTIMIZERS, (own_parts.names_code, OwnOptimizer)
    )
    decay_norm_and_bias: bool = setting(True, "Decay normalisation scales and biases too, as published.")
    schedule: str = setting(
        "published", f"Learning rate over epochs: {described(SCHEDULES)}.", choices=tuple(SCHEDULES)
    )
    warmup_epochs: float = setting(0, "Epochs of linear warmup.", minimum=0)
    schedule_epochs: float | None = setting(
        None, "Horizon of the schedule in epochs (published: 4000 for 3000 epochs). Unset: --epochs.", above=0
    )
    chosen_schedule: ScheduleSettings = chosen_by("schedule", SCHEDULES)

    def __post_init__(self) -> None:
        Group.__post_init__(self)
        for name, chosen in (("optimizer", self.chosen_optimizer), ("loss", self.chosen_loss)):
            if isinstance(chosen, OwnOptimizer | OwnLoss):
                own_parts.source_of(name, getattr(self, name))
                chosen.options  # noqa: B018, refuses what is no option

    def build_optimizer(self, learning_rate: LearningRate) -> "keras.optimizers.Optimizer":
        """The optimizer, built in or not.

        Raises:
            UserError: One that is not built in cannot be had.
        """
        if isinstance(self.chosen_optimizer, OwnOptimizer):
            return self.chosen_optimizer.build(self.optimizer, learning_rate)
        return self.chosen_optimizer.build(learning_rate)

    def build_loss(self) -> Any:
        """The training loss, built in or not; of several outputs a list or dictionary of losses.

        Raises:
            UserError: One that is not built in cannot be had.
        """
        return self.chosen_loss.build(self.loss)

    def rates(self, update_batch_size: int, epochs: float) -> EpochRates:
        """The learning rate of every epoch of a run.

        With `learning_rate_scaling="linear"` the peak is `learning_rate * update_batch_size / BASE_BATCH_SIZE`.

        Args:
            update_batch_size: Samples whose gradient makes one step.
            epochs: Length of training, the schedule's horizon where there is no `schedule_epochs`.

        Raises:
            ValueError: A schedule that cannot be.

        Source: Goyal et al. 2017 (arXiv 1706.02677), the linear scaling rule.
        """
        scale = update_batch_size / BASE_BATCH_SIZE if self.learning_rate_scaling == "linear" else 1
        return EpochRates(
            schedule=self.chosen_schedule,
            peak=self.learning_rate * scale,
            warmup_epochs=self.warmup_epochs,
            horizon_epochs=self.schedule_epochs or epochs,
        )
