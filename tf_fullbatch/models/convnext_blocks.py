"""The features that a ConvNeXt computes."""

import keras

from tf_fullbatch.models.convnext import ConvNeXtSpec
from tf_fullbatch.models.layers import float_dtype, mean_over_pixels
from tf_fullbatch.models.learned_array import learned_array, one_per_sample
from tf_fullbatch.models.transformer_layers import gelu_mlp, layer_norm, normal

_LAYER_SCALE = 1e-6


def convnext_features(
    x: keras.KerasTensor, spec: ConvNeXtSpec, width: int, patch: int, seed: int
) -> keras.KerasTensor:
    """The last stage, averaged over its pixels and normalised (Liu et al. 2022, section 2 and figure 4).

    A stem of patches with LayerNorm; stages of blocks, and between two stages LayerNorm and a 2x2 convolution at
    stride 2. No stochastic depth.

    Args:
        x: Normalised pixels, `[batch, height, width, channels]`.
        spec: The network's shape.
        width: Channels of the first stage.
        patch: Side of the stem's patches in pixels; pixels beyond a whole number of patches are left out.
        seed: Seed of the initial weights.

    Returns:
        `[batch, width * 2^(stages - 1)]`, in the head's dtype.
    """
    ones = one_per_sample(x, "stem_samples")
    x = layer_norm(_patches(x, width, patch, seed, "stem_conv"), "stem_norm")
    for stage, blocks in enumerate(spec.blocks):
        if stage:
            name = f"stage{stage + 1}_downsample"
            x = _patches(layer_norm(x, f"{name}_norm"), width * 2**stage, 2, seed, f"{name}_conv")
        for block in range(blocks):
            x = _block(x, ones, seed, f"stage{stage + 1}_block{block}")
    return layer_norm(mean_over_pixels(x), "norm", float_dtype())


def _block(x: keras.KerasTensor, ones: keras.KerasTensor, seed: int, prefix: str) -> keras.KerasTensor:
    """`x + scale * mlp(norm(depthwise 7x7 of x))`; each channel's scale begins as 1e-6."""
    name = f"{prefix}_depthwise"
    y = keras.layers.DepthwiseConv2D(7, padding="same", depthwise_initializer=normal(seed, name), name=name)(
        x
    )
    y = gelu_mlp(layer_norm(y, f"{prefix}_norm"), seed, prefix)
    start = keras.initializers.Constant(_LAYER_SCALE)
    scale = learned_array(ones, (x.shape[-1],), start, f"{prefix}_scale")
    y = keras.layers.Multiply(name=f"{prefix}_scaled")([y, scale[:, None, None, :]])
    return keras.layers.Add(name=f"{prefix}_add")([x, y])


def _patches(x: keras.KerasTensor, filters: int, patch: int, seed: int, name: str) -> keras.KerasTensor:
    """A convolution of patches that do not overlap."""
    return keras.layers.Conv2D(
        filters, patch, strides=patch, kernel_initializer=normal(seed, name), name=name
    )(x)
