"""The pieces of a residual network: convolution, normalisation, activation, shortcut and stem.

Every piece takes and returns a symbolic tensor `[batch, height, width, channels]` and is made of stock Keras
layers and operations alone, so a saved network loads without this package. Convolutions pad as in the papers
(and in PyTorch): `kernel // 2` zeros on each side, also where they stride.
"""

import hashlib
from dataclasses import dataclass

import keras

STEM_STRIDES = {"cifar": 1, "imagenet": 4, "efficient": 4}

_LARGE_IMAGE_SIDE = 96
_MAX_GROUPS = 32
_EPSILON = 1e-5
_MOMENTUM = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerChoices:
    """What the layers of one residual network are made of: its settings, "auto" resolved, and its seed."""

    stem: str
    shortcut: str
    norm: str
    activation: str
    seed: int


def layer_seed(seed: int, name: str) -> int:
    """The seed of one layer's initialiser: a hash of the network's seed and the layer's name, below 2^31.

    Equal in every process and on every machine, and unrelated between layers.
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def float_dtype() -> str:
    """The dtype of pixels and logits: "float64" under a float64 policy, else "float32"."""
    variable_dtype = keras.config.dtype_policy().variable_dtype
    return "float64" if variable_dtype == "float64" else "float32"


def padding_1d(size: int, kernel_size: int, stride: int) -> tuple[int, int]:
    """Zeros that a convolution with `kernel_size // 2` zeros on each side reads (before, after) one axis.

    Trailing zeros that no stride reaches are left out: an even `size` at stride 2 needs none.
    """
    before = kernel_size // 2
    outputs = (size + 2 * before - kernel_size) // stride + 1
    return before, max((outputs - 1) * stride + kernel_size - before - size, 0)


def convolution(
    x: keras.KerasTensor, filters: int, kernel_size: int, stride: int, choices: LayerChoices, name: str
) -> keras.KerasTensor:
    """A convolution without bias (with one where there is no normalisation), padded symmetrically.

    The kernel is normal with variance `2 / (kernel_size^2 filters)` (He et al. 2015, eq. 14: fan-out).

    Args:
        x: `[batch, height, width, channels]`.
        filters: Output channels.
        kernel_size: Side of the kernel, odd.
        stride: Pixels between outputs.
        choices: The network's layer choices.
        name: Name of the layer, from which its seed derives.

    Returns:
        `[batch, ceil(height / stride), ceil(width / stride), filters]`.
    """
    rows, columns = (padding_1d(size, kernel_size, stride) for size in x.shape[1:3])
    # "same" splits an odd number of zeros the other way round (fewer first); an even number it splits alike.
    symmetric = rows[0] == rows[1] and columns[0] == columns[1]
    if not symmetric and kernel_size > 1:
        x = keras.layers.ZeroPadding2D((rows, columns), name=f"{name}_pad")(x)
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=stride,
        padding="same" if symmetric else "valid",
        use_bias=choices.norm == "none",
        kernel_initializer=keras.initializers.VarianceScaling(
            2.0, "fan_out", "untruncated_normal", seed=layer_seed(choices.seed, name)
        ),
        name=name,
    )(x)


def group_count(channels: int) -> int:
    """Groups of a group normalisation: the largest divisor of `channels` that is at most 32 and leaves two
    channels a group (a group of one would be instance normalisation); 1 where there is none."""
    most = min(_MAX_GROUPS, channels // 2)
    return max((count for count in range(1, most + 1) if channels % count == 0), default=1)


def normalise(x: keras.KerasTensor, choices: LayerChoices, name: str) -> keras.KerasTensor:
    """The chosen normalisation over channels; `x` itself for "none"."""
    if choices.norm == "batch":
        return keras.layers.BatchNormalization(momentum=_MOMENTUM, epsilon=_EPSILON, name=name)(x)
    if choices.norm == "group":
        return keras.layers.GroupNormalization(group_count(x.shape[-1]), epsilon=_EPSILON, name=name)(x)
    return x


def activate(x: keras.KerasTensor, choices: LayerChoices, name: str) -> keras.KerasTensor:
    """The chosen activation, elementwise."""
    return keras.layers.Activation(choices.activation, name=name)(x)


def conv_norm(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int,
    stride: int,
    choices: LayerChoices,
    prefix: str,
    index: int | str = "",
    *,
    active: bool,
) -> keras.KerasTensor:
    """Convolution, normalisation and, if `active`, activation, named `{prefix}_conv{index}` and so on."""
    x = convolution(x, filters, kernel_size, stride, choices, f"{prefix}_conv{index}")
    x = normalise(x, choices, f"{prefix}_norm{index}")
    return activate(x, choices, f"{prefix}_{choices.activation}{index}") if active else x


def shortcut(
    x: keras.KerasTensor, filters: int, stride: int, choices: LayerChoices, prefix: str
) -> keras.KerasTensor:
    """The path around a residual block: `x` itself where the shape stays, else the chosen shortcut.

    `pad` keeps every `stride`-th pixel and appends zero channels (He et al. 2016, section 3.3, option A).
    `conv` is a strided 1x1 convolution, `conv_norm` normalises it. `pool_conv_norm` averages stride x stride
    pixels first (He et al. 2019, ResNet-D), at an odd edge those that exist.

    Args:
        x: `[batch, height, width, channels]`.
        filters: Output channels, at least `channels`.
        stride: Pixels between outputs, 1 or 2.
        choices: The network's layer choices.
        prefix: Start of the layers' names.

    Returns:
        `[batch, ceil(height / stride), ceil(width / stride), filters]`.
    """
    channels = x.shape[-1]
    if stride == 1 and channels == filters:
        return x
    if choices.shortcut == "pad":
        if stride > 1:
            x = x[:, ::stride, ::stride, :]
        return keras.ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, filters - channels)))
    if choices.shortcut == "conv":
        return convolution(x, filters, 1, stride, choices, f"{prefix}_shortcut_conv")
    if choices.shortcut == "pool_conv_norm" and stride > 1:
        # TensorFlow's "same" average leaves padding out of the count: an edge is the mean of what exists.
        x = keras.layers.AveragePooling2D(stride, padding="same", name=f"{prefix}_shortcut_pool")(x)
        stride = 1
    return conv_norm(x, filters, 1, stride, choices, f"{prefix}_shortcut", active=False)


def resolve_stem(stem: str, height: int, width: int) -> str:
    """`stem`, with "auto" resolved by the image's shorter side: "cifar" below 96 pixels, else "imagenet"."""
    if stem != "auto":
        return stem
    return "cifar" if min(height, width) < _LARGE_IMAGE_SIDE else "imagenet"


def apply_stem(x: keras.KerasTensor, filters: int, choices: LayerChoices) -> keras.KerasTensor:
    """The first layers, from pixels to `filters` channels.

    `cifar`: one 3x3 convolution. `imagenet`: 7x7 at stride 2, then max pooling (He et al. 2016, table 1).
    `efficient`: three 3x3 convolutions, the first at stride 2 and two of half the width, then max pooling (He
    et al. 2019, ResNet-C).

    Args:
        x: Normalised pixels, `[batch, height, width, channels]`.
        filters: Output channels.
        choices: The network's layer choices.

    Returns:
        `[batch, height, width, filters]` for `cifar`; both sides divided by 4 and rounded up for the others.
    """
    if choices.stem == "cifar":
        return conv_norm(x, filters, 3, 1, choices, "stem", active=True)
    if choices.stem == "imagenet":
        x = conv_norm(x, filters, 7, 2, choices, "stem", active=True)
    else:
        half = max(filters // 2, 1)
        x = conv_norm(x, half, 3, 2, choices, "stem", 1, active=True)
        x = conv_norm(x, half, 3, 1, choices, "stem", 2, active=True)
        x = conv_norm(x, filters, 3, 1, choices, "stem", 3, active=True)
    return _max_pool(x)


def _max_pool(x: keras.KerasTensor) -> keras.KerasTensor:
    """3x3 maxima at stride 2, padded symmetrically.

    Second derivatives are right outside XLA. XLA (TensorFlow 2.21) compares in bfloat16 there: it takes the
    wrong one of two nearly equal pixels, and it has none for bfloat16 inputs.
    """
    rows, columns = (padding_1d(size, 3, 2) for size in x.shape[1:3])
    symmetric = rows[0] == rows[1] and columns[0] == columns[1]
    if not symmetric:
        # Not zeros: an activation such as silu has negative values, which the padding must not exceed.
        x = keras.ops.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=-float("inf"))
    padding = "same" if symmetric else "valid"
    return keras.layers.MaxPooling2D(3, strides=2, padding=padding, name="stem_pool")(x)
