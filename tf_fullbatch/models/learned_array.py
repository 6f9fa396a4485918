"""Arrays of weights that no input is multiplied by: a class token, positions, scales of channels."""

import keras

_AXES = "uvw"


def one_per_sample(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """The number 1 for every sample, `[batch, 1]`, where `x` is `[batch, ...]`; `name` is that of a layer."""
    return keras.ops.ones_like(keras.layers.Flatten(name=name)(x)[:, :1])


def learned_array(
    ones: keras.KerasTensor, shape: tuple[int, ...], initializer: keras.initializers.Initializer, name: str
) -> keras.KerasTensor:
    """Weights of a shape, the same for every sample, as a functional network of stock layers has them.

    A layer multiplies its kernel, which is the array, by the number 1; the kernel's gradient is the array's, summed
    over samples.

    Args:
        ones: `one_per_sample` of the network's inputs.
        shape: The array's shape, of one to three axes. With one it is spared where scales and biases are, of weight
            decay for instance.
        initializer: Of the array.
        name: Name of the layer.

    Returns:
        `[batch, *shape]`.
    """
    axes = _AXES[: len(shape)]
    return keras.layers.EinsumDense(f"bz,{axes}->b{axes}", shape, kernel_initializer=initializer, name=name)(
        ones
    )
