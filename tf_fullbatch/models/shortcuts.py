"""The path around a residual block."""

import keras

from tf_fullbatch.models.layers import LayerChoices, conv_norm, convolution


def shortcut(
    x: keras.KerasTensor, filters: int, stride: int, kind: str, choices: LayerChoices, prefix: str
) -> keras.KerasTensor:
    """The path around a residual block: `x` itself where the shape stays, else the chosen shortcut.

    `pad` keeps every `stride`-th pixel and appends zero channels (He et al. 2016, section 3.3, option A).
    `conv` is a strided 1x1 convolution, `conv_norm` normalises it. `pool_conv_norm` averages stride x stride
    pixels first (He et al. 2019, ResNet-D), at an odd edge those that exist.

    Args:
        x: `[batch, height, width, channels]`.
        filters: Output channels, at least `channels`.
        stride: Pixels between outputs, 1 or 2.
        kind: The shortcut, "auto" resolved.
        choices: The network's layer choices.
        prefix: Start of the layers' names.

    Returns:
        `[batch, ceil(height / stride), ceil(width / stride), filters]`.
    """
    channels = x.shape[-1]
    if stride == 1 and channels == filters:
        return x
    if kind == "pad":
        if stride > 1:
            x = x[:, ::stride, ::stride, :]
        return keras.ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, filters - channels)))
    if kind == "conv":
        return convolution(x, filters, 1, stride, choices, f"{prefix}_shortcut_conv")
    if kind == "pool_conv_norm" and stride > 1:
        # TensorFlow's "same" average leaves padding out of the count: an edge is the mean of what exists.
        x = keras.layers.AveragePooling2D(stride, padding="same", name=f"{prefix}_shortcut_pool")(x)
        stride = 1
    return conv_norm(x, filters, 1, stride, choices, f"{prefix}_shortcut", active=False)
