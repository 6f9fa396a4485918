"""What a training loss is asked for."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from tf_fullbatch.settings.fields import Settings

if TYPE_CHECKING:
    import keras


class LossSettings(Settings, ABC):
    """Settings of a loss; importing them imports no TensorFlow."""

    __slots__ = ()
    summary: ClassVar[str] = ""
    """What --help says of it, in brackets after its name."""

    @abstractmethod
    def build(self, name: str) -> "keras.losses.Loss | Any":
        """The loss that `--loss=name` stands for; of several outputs a list or dictionary, as `compile` takes it.

        Raises:
            UserError: It cannot be had.
        """
