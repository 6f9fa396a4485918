"""Which axes of a kernel number its filters, layer by layer, as Keras lays kernels out."""

from collections.abc import Sequence

import keras

from tf_fullbatch.core.keras_internals import layers_of

Axes = tuple[int, ...]

# (kinds of layers, their variable, the axes whose indices name a filter). Whatever is not here has its filters along
# the last axis: Dense `[in, out]`, Conv `[height, width, in, out]`, the pointwise kernels, gates of recurrent layers.
_ELSEWHERE: Sequence[tuple[tuple[type, ...], str, Axes]] = (
    ((keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D), "kernel", (-2, -1)),
    ((keras.layers.SeparableConv1D, keras.layers.SeparableConv2D), "depthwise_kernel", (-2, -1)),
    (
        (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose),
        "kernel",
        (-2,),
    ),
    ((keras.layers.Embedding,), "embeddings", (0,)),
)


def last_axis(shapes: Sequence[Sequence[int]]) -> list[Axes]:
    """The last axis of each; none of what has fewer than two, which belongs to no filter (biases, scales)."""
    return [(len(shape) - 1,) if len(shape) > 1 else () for shape in shapes]


def filter_axes(network: keras.Model) -> list[Axes]:
    """The axes that number the filters of each trainable variable.

    A filter is what makes one output channel of its inputs: a column of Dense's `[in, out]`, `[:, :, :, j]` of Conv2D's
    `[height, width, in, out]`, `[:, :, i, j]` of DepthwiseConv2D's `[height, width, in, multiplier]`, `[:, :, j, :]` of
    Conv2DTranspose's `[height, width, out, in]`, one index of all output axes of EinsumDense (each head and feature of
    attention). Of Embedding it is a row, the vector of one token.

    Args:
        network: Built.

    Returns:
        For each of `network.trainable_variables` its axes, positive; () where it has fewer than two axes.
    """
    exceptions = {}
    for layer in layers_of(network):
        for kinds, name, axes in _ELSEWHERE:
            if isinstance(layer, kinds):
                exceptions[id(getattr(layer, name))] = axes
        if isinstance(layer, keras.layers.EinsumDense):
            exceptions[id(layer.kernel)] = einsum_filter_axes(layer.equation)
    variables = network.trainable_variables
    usual = last_axis([v.shape for v in variables])
    found = [exceptions.get(id(v), axes) for v, axes in zip(variables, usual, strict=True)]
    return [tuple(a % len(v.shape) for a in axes) for v, axes in zip(variables, found, strict=True)]


def einsum_filter_axes(equation: str) -> Axes:
    """The axes that number the filters of EinsumDense's kernel, of its "inputs,kernel->outputs".

    They are those of the output. A kernel that no input is contracted with is handed on, to be convolved with
    (standardised convolutions): its last axis. () where it has one axis, a factor for each channel.
    """
    operands, output = equation.replace(" ", "").split("->")
    inputs, kernel = operands.split(",")
    if len(kernel) < 2:
        return ()
    if not set(inputs) & set(kernel):
        return (len(kernel) - 1,)
    return tuple(i for i, label in enumerate(kernel) if label in output)
