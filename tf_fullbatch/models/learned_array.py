"""Arrays of weights that no input is multiplied by: a class token, positions, scales of channels."""

import math

import keras


def one_per_sample(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """The number 1 for every sample, `[batch, 1]`, where `x` is `[batch, ...]`; `name` is that of a layer."""
    return keras.ops.ones_like(keras.layers.Flatten(name=name)(x)[:, :1])


def learned_array(
    ones: keras.KerasTensor, shape: tuple[int, ...], initializer: keras.initializers.Initializer, name: str
) -> keras.KerasTensor:
    """Weights of a shape, the same for every sample, as a functional network of stock layers has them.

    A dense layer without bias is given the number 1: its kernel `[1, prod(shape)]` is the array, and the kernel's
    gradient is the array's, summed over samples.

    Args:
        ones: `one_per_sample` of the network's inputs.
        shape: The array's shape.
        initializer: Of the array.
        name: Name of the dense layer.

    Returns:
        `[batch, *shape]`.
    """
    size = math.prod(shape)
    array = keras.layers.Dense(size, use_bias=False, kernel_initializer=initializer, name=name)(ones)
    return array if shape == (size,) else keras.layers.Reshape(shape, name=f"{name}_array")(array)
