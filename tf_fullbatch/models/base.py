"""What a family of networks is asked for."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    import keras

ACTIVATIONS = ("relu", "silu", "gelu", "softplus", "tanh")


class NetworkSettings(Settings, ABC):
    """Settings of a family of networks; importing them imports no TensorFlow."""

    __slots__ = ()

    @abstractmethod
    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """The network between the pixels and the linear head, of stock Keras layers.

        Args:
            name: The network's name: what --model names.
            x: Normalised pixels, `[batch, height, width, channels]`.
            seed: Seed of the initial weights; each layer takes `layers.layer_seed(seed, its name)`.

        Returns:
            `[batch, features]`.

        Raises:
            ValueError: The images are too small for the network.
        """


def width() -> Any:
    """The field of the flag --width, for every family that has it."""
    return setting(
        None, "Channels of the first stage (hidden units of mlp). Unset: the network's own.", minimum=1
    )


def activation() -> Any:
    """The field of the flag --activation, for every family that has it; gelu is the exact one, `x Phi(x)`."""
    return setting("relu", "Activation function.", choices=ACTIVATIONS)
