"""Residual networks: their shapes by name, and the features that such a shape computes."""

from dataclasses import dataclass, replace

import keras

from tf_fullbatch.models.layers import (
    STEM_STRIDES,
    LayerChoices,
    activate,
    apply_stem,
    conv_norm,
    resolve_stem,
    shortcut,
)

BOTTLENECK_EXPANSION = 4


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


def residual_block(
    x: keras.KerasTensor, width: int, stride: int, bottleneck: bool, choices: LayerChoices, prefix: str
) -> keras.KerasTensor:
    """`activation(residual(x) + shortcut(x))` (He et al. 2016, figure 5).

    A bottleneck strides in its 3x3 convolution, as later publications do (He et al. 2019, ResNet-B).

    Args:
        x: `[batch, height, width, channels]`.
        width: Channels of the 3x3 convolutions.
        stride: 1, or 2 to halve the sides.
        bottleneck: 1x1, 3x3, 1x1 convolutions instead of two 3x3.
        choices: The network's layer choices.
        prefix: Start of the layers' names.

    Returns:
        `[batch, ceil(height / stride), ceil(width / stride), width]`; a bottleneck has four times `width`.
    """
    if bottleneck:
        filters = width * BOTTLENECK_EXPANSION
        y = conv_norm(x, width, 1, 1, choices, prefix, 1, active=True)
        y = conv_norm(y, width, 3, stride, choices, prefix, 2, active=True)
        y = conv_norm(y, filters, 1, 1, choices, prefix, 3, active=False)
    else:
        filters = width
        y = conv_norm(x, width, 3, stride, choices, prefix, 1, active=True)
        y = conv_norm(y, width, 3, 1, choices, prefix, 2, active=False)
    around = shortcut(x, filters, stride, choices, prefix)
    y = keras.layers.Add(name=f"{prefix}_add")([y, around])
    return activate(y, choices, f"{prefix}_{choices.activation}")


def resnet_features(x: keras.KerasTensor, spec: ResNetSpec, choices: LayerChoices) -> keras.KerasTensor:
    """The feature maps of a residual network's last stage.

    Args:
        x: Normalised pixels, `[batch, height, width, channels]`.
        spec: The network's shape.
        choices: The network's layer choices; "auto" and a width of None are resolved here.

    Returns:
        `[batch, rows, columns, features]`, the sides divided by the total stride and rounded up.

    Raises:
        ValueError: If a side of the image is shorter than the network's total stride.
    """
    height, columns = x.shape[1:3]
    stem = resolve_stem(choices.stem, height, columns)
    kind = spec.default_shortcut if choices.shortcut == "auto" else choices.shortcut
    choices = replace(choices, stem=stem, shortcut=kind)
    width = spec.width if choices.width is None else choices.width
    total_stride = STEM_STRIDES[stem] * 2 ** (len(spec.blocks) - 1)
    if min(height, columns) < total_stride:
        raise ValueError(
            f"Images of {height}x{columns} pixels are too small: with the stem {stem!r} this network needs "
            f"sides of at least {total_stride}. Use larger images, the stem 'cifar' or fewer stages."
        )
    x = apply_stem(x, width, choices)
    for stage, blocks in enumerate(spec.blocks):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            prefix = f"stage{stage + 1}_block{block}"
            x = residual_block(x, width * 2**stage, stride, spec.bottleneck, choices, prefix)
    return x
