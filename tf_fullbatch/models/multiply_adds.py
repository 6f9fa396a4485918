"""Multiply-adds of layers and operations of stock Keras, for one sample."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

_Shapes = Sequence[tuple[int, ...]]


def multiply_adds(operation: Any, inputs: _Shapes, output: tuple[int, ...]) -> int | None:
    """Products of weights or values that are summed, for one sample; 0 of what has no weights of several axes.

    Args:
        operation: A Keras layer or operation that has been called.
        inputs: Shapes of its inputs, the batch first.
        output: Shape of its output.

    Returns:
        Their number; None of a kind that is not known here.
    """
    for kinds, count in _COUNTS:
        if isinstance(operation, kinds):
            return count(operation, inputs, output)
    kind = type(operation).__name__
    if kind == "Conv":  # by a kernel that is computed
        return math.prod(output[1:-1]) * math.prod(inputs[1])
    if kind == "Einsum":
        return _einsum(operation.subscripts, inputs)
    weights = getattr(operation, "trainable_variables", [])
    return None if any(len(weight.shape) > 1 for weight in weights) else 0


def _convolution(layer: Any, inputs: _Shapes, output: tuple[int, ...]) -> int:
    return math.prod(output[1:-1]) * math.prod(layer.kernel.shape)


def _transposed(layer: Any, inputs: _Shapes, output: tuple[int, ...]) -> int:
    return math.prod(inputs[0][1:-1]) * math.prod(layer.kernel.shape)


def _separable(layer: Any, inputs: _Shapes, output: tuple[int, ...]) -> int:
    kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
    return math.prod(output[1:-1]) * sum(math.prod(kernel.shape) for kernel in kernels)


def _einsum_dense(layer: Any, inputs: _Shapes, output: tuple[int, ...]) -> int | None:
    return _einsum(layer.equation, [inputs[0], layer.kernel.shape])


def _einsum(subscripts: str, shapes: _Shapes) -> int | None:
    """The product of all indices' sizes but the first one's, the batch."""
    terms = subscripts.split("->")[0].split(",")
    if "." in subscripts or any(len(term) != len(shape) for term, shape in zip(terms, shapes, strict=True)):
        return None
    sizes = {
        index: size
        for term, shape in zip(terms, shapes, strict=True)
        for index, size in zip(term, shape, strict=True)
    }
    return math.prod(size for index, size in sizes.items() if index != terms[0][0])


_COUNTS: tuple[tuple[Any, Callable], ...] = (
    ((keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose), _transposed),
    ((keras.layers.SeparableConv1D, keras.layers.SeparableConv2D), _separable),
    (
        (
            keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.DepthwiseConv1D,
            keras.layers.DepthwiseConv2D, keras.layers.Dense,
        ),
        _convolution,
    ),
    ((keras.layers.EinsumDense,), _einsum_dense),
)  # fmt: skip
