"""Settings of update batches, loss, optimizer and learning rate."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.losses.base import LossSettings
from tf_fullbatch.optim.losses.own import OwnLoss
from tf_fullbatch.optim.losses.registry import LOSSES
from tf_fullbatch.optim.methods.base import LearningRate, OptimizerSettings
from tf_fullbatch.optim.methods.own import OwnOptimizer
from tf_fullbatch.optim.methods.registry import OPTIMIZERS
from tf_fullbatch.optim.schedules.base import ScheduleSettings
from tf_fullbatch.optim.schedules.rates import EpochRates
from tf_fullbatch.optim.schedules.registry import SCHEDULES
from tf_fullbatch.optim.schedules.run_rates import RunRates, Stretch
from tf_fullbatch.settings import part_names
from tf_fullbatch.settings.components import Group, chosen_by, described
from tf_fullbatch.settings.fields import refuse_without_effect, setting

if TYPE_CHECKING:
    import keras

BASE_BATCH_SIZE = 128
"""The update batch that --learning_rate is meant for where it scales with the batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extension:
    """Passes appended to a run, by `--extend_epochs`.

    Attributes:
        epochs: How many; their schedule's horizon.
        learning_rate: Its peak.
        warmup_epochs: Its warmup.
        schedule: Its name.
    """

    epochs: int
    learning_rate: float
    warmup_epochs: float
    schedule: str


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
    chosen_loss: LossSettings = chosen_by("loss", LOSSES, (part_names.names_code, OwnLoss))
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
        "optimizer", OPTIMIZERS, (part_names.names_code, OwnOptimizer)
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
    extend_epochs: tuple[int, ...] = setting(
        (),
        "Passes appended after --epochs, from the last weights, with a schedule of their own: 100 or 100,50. A "
        "finished run that is given more of them is extended.",
        minimum=1,
        affects_results=False,
    )
    extend_learning_rate: tuple[float, ...] = setting(
        (),
        "Peak learning rate of each of --extend_epochs. Unset: --learning_rate.",
        above=0,
        affects_results=False,
    )
    extend_warmup_epochs: tuple[float, ...] = setting(
        (),
        "Epochs of linear warmup of each of --extend_epochs. Unset: --warmup_epochs.",
        minimum=0,
        affects_results=False,
    )
    extend_schedule: tuple[str, ...] = setting(
        (),
        "Schedule of each of --extend_epochs, over these alone. Unset: --schedule.",
        choices=tuple(SCHEDULES),
        affects_results=False,
    )

    def __post_init__(self) -> None:
        Group.__post_init__(self)
        for name in _OF_EACH:
            given = getattr(self, f"extend_{name}")
            if len(given) not in (0, len(self.extend_epochs)):
                raise UserError(
                    f"--extend_{name}={','.join(map(str, given))}: give one for each of --extend_epochs, "
                    f"{len(self.extend_epochs)} in all, or leave it out."
                )
        for extension in self.extensions:
            self._check_extension(extension)

    @property
    def extensions(self) -> tuple[Extension, ...]:
        """What is appended to the run, with what was left open as the run has it."""
        each = {
            name: getattr(self, f"extend_{name}") or (getattr(self, name),) * len(self.extend_epochs)
            for name in _OF_EACH
        }
        columns = zip(self.extend_epochs, *each.values(), strict=True)
        return tuple(Extension(**dict(zip(("epochs", *each), values, strict=True))) for values in columns)

    def refuse_a_rate_without_effect(self) -> None:
        """Refuses settings of the learning rate where the method's search finds the length of steps, and nothing else
        depends on it.

        Raises:
            UserError: One of them is given.
        """
        method = self.chosen_optimizer
        if method.ignores_the_rate:
            reason = f"with --optimizer={self.optimizer}, whose search finds the length of steps"
            refuse_without_effect(self, _OF_THE_RATE, reason)

    def _check_extension(self, extension: Extension) -> None:
        """Refuses a schedule that does not fit the passes that are appended.

        Raises:
            UserError: It does not.
        """
        given = f"--extend_epochs={extension.epochs}"
        if extension.warmup_epochs > extension.epochs:
            raise UserError(
                f"{given} with a warmup of {extension.warmup_epochs:g} epochs, which is longer: lower it by "
                "--extend_warmup_epochs."
            )
        if extension.schedule == "steps" != self.schedule:
            raise UserError(
                "--extend_schedule=steps needs the run's --schedule=steps, whose --decay_epochs it takes."
            )
        try:
            self._schedule_of(extension).check(extension.epochs)
        except UserError as error:
            raise UserError(
                f"{given} with --schedule=steps: {error} Or name another --extend_schedule."
            ) from error

    def _schedule_of(self, extension: Extension) -> ScheduleSettings:
        return (
            self.chosen_schedule if extension.schedule == self.schedule else SCHEDULES[extension.schedule]()
        )

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

    def rates(self, update_batch_size: int, epochs: int) -> RunRates:
        """The learning rate of every epoch of a run.

        With `learning_rate_scaling="linear"` peaks are `learning_rate * update_batch_size / BASE_BATCH_SIZE`.

        Args:
            update_batch_size: Samples whose gradient makes one step.
            epochs: The run's own passes, its schedule's horizon where there is no `schedule_epochs`.

        Raises:
            ValueError: A schedule that cannot be.

        Source: Goyal et al. 2017 (arXiv 1706.02677), the linear scaling rule.
        """
        scale = update_batch_size / BASE_BATCH_SIZE if self.learning_rate_scaling == "linear" else 1
        own = EpochRates(
            schedule=self.chosen_schedule,
            peak=self.learning_rate * scale,
            warmup_epochs=self.warmup_epochs,
            horizon_epochs=self.schedule_epochs or epochs,
        )
        stretches = [Stretch(epochs=epochs, rates=own)]
        for extension in self.extensions:
            rates = EpochRates(
                schedule=self._schedule_of(extension),
                peak=extension.learning_rate * scale,
                warmup_epochs=extension.warmup_epochs,
                horizon_epochs=extension.epochs,
            )
            stretches.append(Stretch(epochs=extension.epochs, rates=rates))
        return RunRates(tuple(stretches))


_OF_THE_RATE = ("learning_rate", "learning_rate_scaling", "schedule", "warmup_epochs", "schedule_epochs")
"""Settings that say the learning rate."""

_OF_EACH = ("learning_rate", "warmup_epochs", "schedule")
"""What each of `extend_epochs` has by `extend_NAME`, and otherwise as the run has it by NAME."""
