"""The features that a residual network of pre-activation blocks computes."""

from dataclasses import dataclass

import keras

from tf_fullbatch.models.layers import (
    LayerChoices,
    activate,
    convolution,
    layer_seed,
    mean_over_pixels,
    normalise,
)
from tf_fullbatch.models.residual_blocks import BOTTLENECK_EXPANSION
from tf_fullbatch.models.shortcuts import shortcut
from tf_fullbatch.models.stems import apply_stem, checked_stem


@dataclass(frozen=True, kw_only=True, slots=True)
class PreActivationShape:
    """The shape of a network of pre-activation blocks."""

    blocks: tuple[int, ...]
    """Blocks in each stage; every stage but the first halves the sides."""
    stem_width: int
    """Channels of the stem."""
    widths: tuple[int, ...]
    """Channels of each stage (of the inner convolutions, where the blocks are bottlenecks)."""
    bottleneck: bool = False
    """Blocks of 1x1, 3x3, 1x1 convolutions with four times the channels outside, instead of two 3x3."""
    shortcut: str = "conv"
    """What is around a block that changes shapes."""
    dropout: float = 0.0
    """Share of the activations before a block's last convolution that are dropped in training."""


def preactivation_features(
    x: keras.KerasTensor, shape: PreActivationShape, stem: str, choices: LayerChoices
) -> keras.KerasTensor:
    """The feature maps of the last stage, normalised, activated and averaged over their pixels.

    The first block takes the stem's activated outputs as they are, and the last one's sum is normalised and activated
    (He et al. 2016, "Identity mappings", appendix).

    Args:
        x: Normalised pixels, `[batch, height, width, channels]`.
        shape: The network's shape.
        stem: What --stem names.
        choices: The network's layer choices.

    Returns:
        `[batch, features]`.

    Raises:
        ValueError: If a side of the image is shorter than the network's total stride.
    """
    stem = checked_stem(stem, x, len(shape.blocks) - 1)
    x = apply_stem(x, shape.stem_width, stem, choices)
    for stage, blocks in enumerate(shape.blocks):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            prefix = f"stage{stage + 1}_block{block}"
            is_activated = stage == block == 0
            x = _block(x, shape, shape.widths[stage], stride, choices, prefix, is_activated)
    return mean_over_pixels(_activated(x, choices, "final", ""))


def _block(
    x: keras.KerasTensor,
    shape: PreActivationShape,
    width: int,
    stride: int,
    choices: LayerChoices,
    prefix: str,
    is_activated: bool,
) -> keras.KerasTensor:
    """`x + branch(activated x)`; where shapes change, `shortcut(activated x) + branch(activated x)`.

    Each convolution of the branch takes what is normalised and activated (figure 4e of the paper); the first one
    strides, as in the authors' code.
    """
    kernels = (1, 3, 1) if shape.bottleneck else (3, 3)
    filters = width * BOTTLENECK_EXPANSION if shape.bottleneck else width
    before = x if is_activated else _activated(x, choices, prefix, 1)
    y = before
    for number, kernel_size in enumerate(kernels, 1):
        last = number == len(kernels)
        if number > 1:
            y = _activated(y, choices, prefix, number)
        if last and shape.dropout:
            name = f"{prefix}_dropout"
            y = keras.layers.Dropout(shape.dropout, seed=layer_seed(choices.seed, name), name=name)(y)
        channels, step = filters if last else width, stride if number == 1 else 1
        y = convolution(y, channels, kernel_size, step, choices, f"{prefix}_conv{number}")
    changes = stride > 1 or x.shape[-1] != filters
    around = shortcut(before, filters, stride, shape.shortcut, choices, prefix) if changes else x
    return keras.layers.Add(name=f"{prefix}_add")([y, around])


def _activated(
    x: keras.KerasTensor, choices: LayerChoices, prefix: str, number: int | str
) -> keras.KerasTensor:
    x = normalise(x, choices, f"{prefix}_norm{number}")
    return activate(x, choices, f"{prefix}_{choices.activation}{number}")
