"""--optimizer=keras:NAME, FILE.py:function or package.module:function: optimizers that are not built in."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.methods.base import LearningRate, optimizer_options
from tf_fullbatch.settings import own_parts, part_names, part_options
from tf_fullbatch.settings.fields import Settings
from tf_fullbatch.settings.keras_parts import KerasParts

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnOptimizer(Settings):
    """A Keras optimizer, or one of the user's own code."""

    ignores_the_rate: ClassVar[bool] = False
    """See `base.OptimizerSettings`."""
    asks: ClassVar[bool] = False
    """See `base.OptimizerSettings`: it is told the gradient alone."""

    optimizer_options: str | None = optimizer_options()

    @property
    def options(self) -> dict[str, Any]:
        """The options, by name."""
        return part_options.parsed_options("optimizer", self.optimizer_options)

    def build(self, value: str, learning_rate: LearningRate) -> "keras.optimizers.Optimizer":
        """The optimizer that `--optimizer=value` names.

        Raises:
            UserError: It cannot be had, does not take these options, or is no Keras optimizer.
        """
        import keras

        if part_names.is_users_code(value):
            function: Any = own_parts.function_of("optimizer", value)
        else:
            function = of_keras().part(value)
        optimizer = own_parts.called(
            "optimizer", value, function, {"learning_rate": learning_rate}, self.options
        )
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            raise UserError(
                f"--optimizer={value} returned a {type(optimizer).__name__}: return a keras.optimizers.Optimizer."
            )
        if not isinstance(optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            raise UserError(
                f"--optimizer={value} returned an optimizer with a rate of its own: hand on the one it is called with, "
                "a schedule; --learning_rate and --schedule say it."
            )
        return optimizer


def of_keras() -> KerasParts:
    """Keras' optimizers."""
    import keras

    base = keras.optimizers.Optimizer
    return KerasParts(
        "optimizer",
        keras.optimizers,
        lambda member: isinstance(member, type) and issubclass(member, base) and member is not base,
    )
