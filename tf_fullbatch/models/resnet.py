"""--model=resnet...: residual networks, their shapes by name and their settings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.models.base import (
    NormalisedSettings,
    Published,
    shortcut,
    stem,
    width,
    zero_init_residual,
)

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class ResNetSpec:
    """The shape of a residual network."""

    blocks: tuple[int, ...]
    """Residual blocks in each stage; every stage but the first halves the sides and doubles the width."""
    width: int
    """Channels of the first stage (of the inner convolutions, where the blocks are bottlenecks)."""
    bottleneck: bool = False
    """Blocks of 1x1, 3x3, 1x1 convolutions with four times the channels outside, instead of two 3x3."""
    default_shortcut: str = "pool_conv_norm"
    """What the shortcut "auto" stands for."""


def _wide(*blocks: int, bottleneck: bool = False) -> ResNetSpec:
    """The four-stage family of He et al. 2016, table 1."""
    return ResNetSpec(blocks=blocks, width=64, bottleneck=bottleneck)


def _slim(blocks_per_stage: int) -> ResNetSpec:
    """The CIFAR family of He et al. 2016, section 4.2, `6 n + 2` layers deep."""
    return ResNetSpec(blocks=(blocks_per_stage,) * 3, width=16, default_shortcut="pad")


RESNETS: dict[str, ResNetSpec] = {
    "resnet18": _wide(2, 2, 2, 2),
    "resnet34": _wide(3, 4, 6, 3),
    "resnet50": _wide(3, 4, 6, 3, bottleneck=True),
    "resnet101": _wide(3, 4, 23, 3, bottleneck=True),
    "resnet152": _wide(3, 8, 36, 3, bottleneck=True),
    "resnet20": _slim(3),
    "resnet32": _slim(5),
    "resnet44": _slim(7),
    "resnet56": _slim(9),
    "resnet110": _slim(18),
    "resnet8": ResNetSpec(blocks=(1, 1, 1), width=16),
    "resnet_tiny": ResNetSpec(blocks=(1, 1), width=8),
}


def _both(parameters: int, imagenet: int) -> tuple[Published, ...]:
    """The numbers of parameters behind both stems; torchvision's networks have the shortcut conv_norm."""
    formula = Published(parameters, 32, 10, "by the formula, with a 3x3 stem")
    torchvision = Published(imagenet, 224, 1000, "torchvision's documentation")
    as_many = torchvision._replace(source=f"{torchvision.source} (of --shortcut=conv_norm, as many)")
    of_settings = [
        one._replace(settings=(("shortcut", shortcut),))
        for shortcut, there in (("conv_norm", torchvision), ("pool_conv_norm", as_many))
        for one in (formula, there)
    ]
    return (formula, as_many, *of_settings)


def _table(parameters: int, millions: str) -> tuple[Published, ...]:
    return (Published(parameters, 32, 10, f"by the formula; He et al. 2016, table 6: {millions}M"),)


_PUBLISHED = {
    "resnet18": _both(11_173_962, 11_689_512),
    "resnet34": _both(21_282_122, 21_797_672),
    "resnet50": _both(23_520_842, 25_557_032),
    "resnet101": _both(42_512_970, 44_549_160),
    "resnet152": _both(58_156_618, 60_192_808),
    "resnet20": _table(269_722, "0.27"),
    "resnet32": _table(464_154, "0.46"),
    "resnet44": _table(658_586, "0.66"),
    "resnet56": _table(853_018, "0.85"),
    "resnet110": _table(1_727_962, "1.7"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ResNet(NormalisedSettings):
    """Settings of a residual network (He et al. 2016); `stems`, `shortcuts` and `layers` say what the choices are."""

    published = _PUBLISHED
    width: int | None = width()
    stem: str = stem()
    shortcut: str = shortcut()
    zero_init_residual: bool = zero_init_residual()

    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """The last stage's feature maps, averaged over their pixels, `[batch, features]`.

        Raises:
            ValueError: If a side of the image is shorter than the network's total stride.
        """
        from tf_fullbatch.models.residual_blocks import resnet_features

        return resnet_features(x, RESNETS[name], self, seed)
