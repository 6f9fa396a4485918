"""What an optimizer's settings are asked for."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    import keras

LearningRate: TypeAlias = "float | keras.optimizers.schedules.LearningRateSchedule"


class OptimizerSettings(Settings, ABC):
    """Settings of an optimizer, which it is built from; importing them imports no TensorFlow."""

    __slots__ = ()
    summary: ClassVar[str] = ""
    """What --help says of it, in brackets after its name."""

    @abstractmethod
    def build(self, learning_rate: LearningRate) -> "keras.optimizers.Optimizer":
        """The optimizer; it gets the reduced, clipped gradient once per step.

        Args:
            learning_rate: A constant rate, or a Keras schedule of the step.
        """


def weight_decay() -> Any:
    """The field of the flag --weight_decay, for every optimizer that has it."""
    return setting(5e-4, "Weight decay: coupled L2 for gradient_descent, decoupled for adamw.", minimum=0)
