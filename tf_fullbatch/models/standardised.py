"""Convolutions whose kernels are standardised, of stock layers."""

import keras

_EPSILON = 1e-10
"""What is added to a filter's variance: little enough that the outputs do not depend on the filter's scale."""


def standardised_kernel(
    x: keras.KerasTensor, shape: tuple[int, ...], deviation: float, seed: int, dtype: str, name: str
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
    return keras.ops.cast(kernel[0], x.dtype)
