"""What a family of networks is asked for."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    import keras

ACTIVATIONS = ("relu", "silu", "gelu", "softplus", "tanh")
NORMS = ("batch", "group", "layer", "none")
STEMS = ("auto", "cifar", "imagenet", "efficient")


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


def stem() -> Any:
    """The field of the flag --stem, for every family that has it."""
    return setting(
        "auto",
        "First layers: cifar (3x3), imagenet (7x7 and pooling), efficient (three 3x3 and pooling); auto by image size.",
        choices=STEMS,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalisedSettings(NetworkSettings):
    """Settings of a family of normalised layers (`layers.normalise`, `layers.activate`)."""

    norm: str = setting(
        "batch", "Normalisation: BatchNorm, GroupNorm, LayerNorm (over channels) or none.", choices=NORMS
    )
    activation: str = activation()


def image_sides(x: "keras.KerasTensor") -> tuple[int, int]:
    """Height and width in pixels of a family's inputs.

    Raises:
        ValueError: They are no images.
    """
    if len(x.shape) != 4:
        raise ValueError(
            f"it takes images (height, width, channels), but the inputs have the shape {tuple(x.shape[1:])}: use "
            "--model=mlp or linear, or a --model of your own."
        )
    return x.shape[1], x.shape[2]
