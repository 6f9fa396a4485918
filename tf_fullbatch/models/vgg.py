"""--model=vgg...: plain convolutional networks (Simonyan & Zisserman 2015), their shapes by name and their settings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.errors import UserError
from tf_fullbatch.models.base import NormalisedSettings, Published, image_sides, require_sides, width
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import keras

CLASSIFIERS = ("auto", "mean", "hidden")

_LARGE_IMAGE_SIDE = 96
_WIDTHS = (1, 2, 4, 8, 8)


@dataclass(frozen=True, kw_only=True, slots=True)
class VGGSpec:
    """The shape of a VGG (Simonyan & Zisserman 2015, table 1)."""

    convolutions: tuple[int, ...]
    """3x3 convolutions before each of the five poolings."""
    published: tuple[Published, ...] = ()
    """Published numbers of parameters."""


def _spec(convolutions: tuple[int, ...], parameters: int, imagenet: int, without_norms: int) -> VGGSpec:
    """A shape with its numbers of parameters, the first two with BatchNorm."""
    cifar = Published(parameters, 32, 10, "by the formula, with one linear layer as CIFAR-10 is trained with")
    large = Published(imagenet, 224, 1000, "torchvision's documentation (with _bn)")
    plain = Published(without_norms, 224, 1000, "torchvision's documentation", (("norm", "none"),))
    return VGGSpec(convolutions=convolutions, published=(cifar, large, plain))


VGGS: dict[str, VGGSpec] = {
    "vgg11": _spec((1, 1, 2, 2, 2), 9_231_114, 132_868_840, 132_863_336),
    "vgg13": _spec((2, 2, 2, 2, 2), 9_416_010, 133_053_736, 133_047_848),
    "vgg16": _spec((2, 2, 3, 3, 3), 14_728_266, 138_365_992, 138_357_544),
    "vgg19": _spec((2, 2, 4, 4, 4), 20_040_522, 143_678_248, 143_667_240),
}

_PUBLISHED = {name: spec.published for name, spec in VGGS.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class VGG(NormalisedSettings):
    """Settings of a VGG."""

    published = _PUBLISHED
    width: int | None = width()
    conv_bias: bool = setting(
        True,
        "Biases of VGG's convolutions before a normalisation too, as published; after BatchNorm they do nothing.",
    )
    classifier: str = setting(
        "auto",
        "Behind VGG's convolutions: mean (over pixels) or hidden (two layers of 4,096 units, as published); auto: mean "
        "below 96 pixels.",
        choices=CLASSIFIERS,
    )

    def __post_init__(self) -> None:
        NormalisedSettings.__post_init__(self)
        if self.weight_standardisation and self.conv_bias:
            raise UserError(
                "--weight_standardisation with --conv_bias: its convolutions have no bias; give --noconv_bias."
            )

    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """Five times convolutions and maxima of 2x2 pixels, then the chosen classifier's features, `[batch, features]`.

        Stages have 1, 2, 4, 8 and 8 times `width` channels, 64 unless it is given. A side of one pixel is not pooled
        any more, so that images of 8 pixels and more will do.

        Raises:
            ValueError: A side of the image is shorter than 8 pixels.
        """
        from tf_fullbatch.models.vgg_layers import WIDTH, classifier_features, vgg_maps

        require_sides(x, 8, "")
        kind = self.classifier
        if kind == "auto":
            kind = "mean" if min(image_sides(x)) < _LARGE_IMAGE_SIDE else "hidden"
        widths = [(self.width or WIDTH) * factor for factor in _WIDTHS]
        maps = vgg_maps(x, list(zip(VGGS[name].convolutions, widths, strict=True)), self, seed)
        return classifier_features(maps, kind, self, seed)
