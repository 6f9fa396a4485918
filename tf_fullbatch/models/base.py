"""What a family of networks is asked for."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.fields import Settings, check_ranges, refuse_without_effect, setting

if TYPE_CHECKING:
    import keras

ACTIVATIONS = ("relu", "silu", "gelu", "softplus", "tanh")
NORMS = ("batch", "ghost", "group", "layer", "none")
SHORTCUTS = ("auto", "pad", "conv", "conv_norm", "pool_conv_norm")
STEMS = ("auto", "cifar", "imagenet", "efficient")


class Published(NamedTuple):
    """A number of trainable parameters to compare a network's own with.

    Attributes:
        parameters: The number.
        side: Side of the images in pixels, of 3 channels.
        classes: Classes.
        source: Where it was published, and as what.
        settings: (name, value) of the settings that it was published with, where they are not the defaults.
    """

    parameters: int
    side: int
    classes: int
    source: str
    settings: tuple[tuple[str, Any], ...] = ()


class NetworkSettings(Settings, ABC):
    """Settings of a family of networks; importing them imports no TensorFlow."""

    __slots__ = ()
    takes_tokens: ClassVar[bool] = False
    """Whether it takes tokens (`text.TextNetwork`), not pixels or numbers."""
    published: ClassVar[Mapping[str, tuple[Published, ...]]] = {}
    """The numbers of parameters that networks were published with, by name."""

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


def patch_size() -> Any:
    """The field of the flag --patch_size, for every family that cuts images into patches."""
    return setting(
        None,
        "Side in pixels of the patches that ViT and ConvNeXt begin with. Unset: the network's own.",
        minimum=1,
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


def shortcut() -> Any:
    """The field of the flag --shortcut, for every family that has it."""
    return setting(
        "auto",
        "Shortcut where shapes change: zero padding, strided 1x1 convolution without or with norm, or average pooling "
        "then 1x1 convolution and norm (the published choice); auto: the network family's own.",
        choices=SHORTCUTS,
    )


def dropout() -> Any:
    """The field of the flag --dropout, for every family that has it."""
    return setting(
        0.0,
        "Share of the activations within each residual branch that are dropped in training (Wide ResNets).",
        minimum=0,
        below=1,
    )


def zero_init_residual() -> Any:
    """The field of the flag --zero_init_residual, for every family whose residual branches end in a scale."""
    return setting(
        False,
        "Begin with the scale of each residual branch's last norm (last gain, without norms) at 0, so that every block "
        "passes its input on (Goyal et al. 2017, section 5.1). Off, as published full-batch experiments were run; on, "
        "as they were meant to be.",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalisedSettings(NetworkSettings):
    """Settings of a family of normalised layers (`layers.normalise`, `layers.activate`).

    Standardised filters are no norm but a setting beside it: they are of the weights, and go with every norm of what is
    convolved (the paper's and its followers' with GroupNorm).
    """

    norm: str = setting(
        "batch",
        "Normalisation: BatchNorm, ghost (BatchNorm over parts of a micro-batch), GroupNorm, LayerNorm (over channels) "
        "or none.",
        choices=NORMS,
    )
    ghost_batch_size: int = setting(
        128,
        "Most samples of a micro-batch that --norm=ghost takes statistics over (Hoffer et al. 2017).",
        minimum=1,
    )
    weight_standardisation: bool = setting(
        False,
        "Convolve with filters of mean 0 and variance 1 over their inputs (Qiao et al. 2019); --norm stays as it is.",
    )
    activation: str = activation()

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.norm != "ghost":
            refuse_without_effect(self, ("ghost_batch_size",), "without --norm=ghost")
        if self.norm == "none":
            refuse_without_effect(self, ("zero_init_residual",), "with --norm=none")
        if self.norm == "none" and self.weight_standardisation:
            raise UserError(
                "--weight_standardisation with --norm=none: outputs would grow in every layer; choose a --norm."
            )


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


def require_sides(x: "keras.KerasTensor", least: int, remedy: str) -> None:
    """Refuses images with a side below `least` pixels.

    Args:
        x: `[batch, height, width, channels]`.
        least: Pixels.
        remedy: What else helps, after "Use larger images".

    Raises:
        ValueError: A side is shorter, or they are no images.
    """
    height, width = image_sides(x)
    if min(height, width) < least:
        raise ValueError(
            f"Images of {height}x{width} pixels are too small: this network needs sides of at least {least}. Use "
            f"larger images{remedy}."
        )
