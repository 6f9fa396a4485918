"""The pieces of convolutional networks: convolution, normalisation, activation.

Every piece takes and returns a symbolic tensor `[batch, height, width, channels]` and is made of stock Keras layers and
operations alone, so a saved network loads without this package (but one with `GhostBatchNormalization`, which no stock
layer can stand for). Convolutions pad as in the papers (and in PyTorch): `kernel // 2` zeros on each side, also where
they stride.
"""

import hashlib
import math
from dataclasses import dataclass

import keras

from tf_fullbatch.core.ghost_batch_norm import GhostBatchNormalization
from tf_fullbatch.models.base import NormalisedSettings
from tf_fullbatch.models.standardised import ACTIVATION_GAINS, gains_and_biases, standardised_kernel

_MAX_GROUPS = 32
_EPSILON = 1e-5
_MOMENTUM = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerChoices:
    """What the layers of one network are made of: its settings and its seed."""

    norm: str
    activation: str
    seed: int
    ghost_batch_size: int = 128
    weight_standardisation: bool = False
    scaled: bool = False
    """Without normalisation: filters standardised and scaled by their number of inputs, activations by their gain."""

    @classmethod
    def of(cls, settings: NormalisedSettings, seed: int) -> "LayerChoices":
        """Those of a family's settings."""
        return cls(
            norm=settings.norm,
            activation=settings.activation,
            seed=seed,
            ghost_batch_size=settings.ghost_batch_size,
            weight_standardisation=settings.weight_standardisation,
        )


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
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int,
    stride: int,
    choices: LayerChoices,
    name: str,
    *,
    zero: bool = False,
    bias: bool = False,
) -> keras.KerasTensor:
    """A convolution without bias (with one where it is asked for or there is no normalisation), padded symmetrically.

    The kernel is normal with variance `2 / (kernel_size^2 filters)` (He et al. 2015, eq. 14: fan-out). It may be
    standardised, and scaled with a gain and a bias for each output (`standardised.py`).

    Args:
        x: `[batch, height, width, channels]`.
        filters: Output channels.
        kernel_size: Side of the kernel, odd.
        stride: Pixels between outputs.
        choices: The network's layer choices.
        name: Name of the layer, from which its seed derives.
        zero: Of scaled filters: begin with gains of 0.
        bias: Ask for a bias, which begins as 0.

    Returns:
        `[batch, ceil(height / stride), ceil(width / stride), filters]`.
    """
    rows, columns = (padding_1d(size, kernel_size, stride) for size in x.shape[1:3])
    # "same" splits an odd number of zeros the other way round (fewer first); an even number it splits alike.
    symmetric = rows[0] == rows[1] and columns[0] == columns[1]
    if not symmetric and kernel_size > 1:
        x = keras.layers.ZeroPadding2D((rows, columns), name=f"{name}_pad")(x)
    padding = "same" if symmetric else "valid"
    seed = layer_seed(choices.seed, name)
    if choices.weight_standardisation or choices.scaled:
        shape = (kernel_size, kernel_size, x.shape[-1], filters)
        deviation = math.sqrt(2.0 / (kernel_size**2 * filters))
        kernel = standardised_kernel(x, shape, deviation, seed, float_dtype(), name, scaled=choices.scaled)
        x = keras.ops.conv(x, kernel, strides=stride, padding=padding)
        return gains_and_biases(x, f"{name}_gain", zero=zero) if choices.scaled else x
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=stride,
        padding=padding,
        use_bias=bias or choices.norm == "none",
        kernel_initializer=keras.initializers.VarianceScaling(
            2.0, "fan_out", "untruncated_normal", seed=seed
        ),
        name=name,
    )(x)


def group_count(channels: int) -> int:
    """Groups of a group normalisation: the largest divisor of `channels` that is at most 32 and leaves two
    channels a group (a group of one would be instance normalisation); 1 where there is none."""
    most = min(_MAX_GROUPS, channels // 2)
    return max((count for count in range(1, most + 1) if channels % count == 0), default=1)


def normalise(
    x: keras.KerasTensor, choices: LayerChoices, name: str, *, zero: bool = False
) -> keras.KerasTensor:
    """The chosen normalisation over channels, its scale 1 at first, or 0 if `zero`; `x` itself for "none"."""
    initial = {"epsilon": _EPSILON, "gamma_initializer": "zeros" if zero else "ones", "name": name}
    if choices.norm == "batch":
        return keras.layers.BatchNormalization(momentum=_MOMENTUM, **initial)(x)
    if choices.norm == "ghost":
        return GhostBatchNormalization(choices.ghost_batch_size, momentum=_MOMENTUM, **initial)(x)
    if choices.norm == "group":
        return keras.layers.GroupNormalization(group_count(x.shape[-1]), **initial)(x)
    if choices.norm == "layer":
        return keras.layers.LayerNormalization(**initial)(x)
    return x


def activate(x: keras.KerasTensor, choices: LayerChoices, name: str) -> keras.KerasTensor:
    """The chosen activation, elementwise; in networks of scaled filters times its gain."""
    x = keras.layers.Activation(choices.activation, name=name)(x)
    return x * ACTIVATION_GAINS[choices.activation] if choices.scaled else x


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
    zero: bool = False,
) -> keras.KerasTensor:
    """Convolution, normalisation and, if `active`, activation, named `{prefix}_conv{index}` and so on; see those."""
    x = convolution(x, filters, kernel_size, stride, choices, f"{prefix}_conv{index}")
    x = normalise(x, choices, f"{prefix}_norm{index}", zero=zero)
    return activate(x, choices, f"{prefix}_{choices.activation}{index}") if active else x


def mean_over_pixels(x: keras.KerasTensor) -> keras.KerasTensor:
    """Feature maps averaged over their pixels, `[batch, channels]`.

    In the head's dtype, so that a mean over many pixels is not rounded to bfloat16 before the head.
    """
    return keras.layers.GlobalAveragePooling2D(dtype=float_dtype(), name="pool")(x)
