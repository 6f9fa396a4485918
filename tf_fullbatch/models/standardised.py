"""Convolutions whose kernels are standardised, of stock layers."""

import math

import keras

_EPSILON = 1e-10
"""What is added to a filter's variance: little enough that the outputs do not depend on the filter's scale."""

ACTIVATION_GAINS = {
    "relu": 1.7128585504496625,
    "silu": 1.7871872221004417,
    "gelu": 1.7009262433633332,
    "softplus": 1.9191259801076563,
    "tanh": 1.5925374197228312,
}
"""What an activation of a standard normal is multiplied by to have variance 1 (Brock et al. 2021a, section 3)."""


def standardised_kernel(
    x: keras.KerasTensor,
    shape: tuple[int, ...],
    deviation: float,
    seed: int,
    dtype: str,
    name: str,
    *,
    scaled: bool = False,
) -> keras.KerasTensor:
    """Filters with mean 0 and variance 1 over height, width and inputs (Qiao et al. 2019, eq. 5 to 7).

    A kernel that is computed with is a tensor, not the variable of a convolution: an `EinsumDense` layer with the
    convolution's name multiplies it by the number 1. Its variable is the convolution's own, in name, shape and
    initial values; gradients with respect to it pass through the standardisation.

    Args:
        x: What will be convolved, `[batch, height, width, channels]`.
        shape: Height, width, inputs, outputs.
        deviation: Standard deviation of the normal initial values.
        seed: Of the initial values.
        dtype: Of variable and statistics.
        name: The convolution's.
        scaled: Divide the filters by the square root of the number of their inputs, so that outputs have the inputs'
            variance (Brock et al. 2021a, eq. 1).

    Returns:
        Of that shape, in the dtype of `x`.
    """
    one = keras.ops.ones_like(x[:1, 0, 0, :1])
    initializer = keras.initializers.RandomNormal(stddev=deviation, seed=seed)
    kernel = keras.layers.EinsumDense(
        "bz,hwio->bhwio", shape, kernel_initializer=initializer, dtype=dtype, name=name
    )(one)
    kernel = keras.layers.LayerNormalization(
        axis=(1, 2, 3), epsilon=_EPSILON, center=False, scale=False, dtype=dtype, name=f"{name}_standardised"
    )(kernel)
    kernel = kernel[0] * math.prod(shape[:3]) ** -0.5 if scaled else kernel[0]
    return keras.ops.cast(kernel, x.dtype)


def gains_and_biases(x: keras.KerasTensor, name: str, *, zero: bool) -> keras.KerasTensor:
    """`gain * x + bias` with a trainable gain, 1 at first or 0 if `zero`, and bias, 0 at first, of each channel.

    A gain of a convolution's outputs is one of its filters (Brock et al. 2021b, eq. 1 and below).
    """
    return keras.layers.EinsumDense(
        "bhwc,c->bhwc", x.shape[1:], bias_axes="c", kernel_initializer="zeros" if zero else "ones", name=name
    )(x)
