"""What a network costs for one sample, read off its layers; nothing is computed."""

import math
from typing import Any

import keras

from tf_fullbatch.core.keras_internals import LayerCall, calls_of, is_functional
from tf_fullbatch.errors import UserError
from tf_fullbatch.models.build import network_of
from tf_fullbatch.models.layer_cost import LayerCost
from tf_fullbatch.models.multiply_adds import multiply_adds
from tf_fullbatch.models.own import Expected
from tf_fullbatch.models.settings import ModelConfig


def costs_of(config: ModelConfig, image_size: int, channels: int, classes: int) -> list[LayerCost]:
    """The layers of a network by its settings, built without weights; see `layer_costs`.

    Args:
        config: The network's name and settings.
        image_size: Side of the images in pixels.
        channels: Channels of a pixel.
        classes: Classes.

    Raises:
        ValueError: The images are too small for the network, or do not fit it.
        UserError: Code of the user's own does not return a functional network.
    """
    with keras.StatelessScope(initialize_variables=False):  # variables have shapes, and no values
        network = network_of(
            config,
            input_shape=(image_size, image_size, channels),
            num_classes=classes,
            pixel_mean=(0.0,) * channels,
            pixel_std=(1.0,) * channels,
            seed=0,
            expected=Expected(logits=None),
        )
        if not is_functional(network):
            raise UserError(
                f"--model={config.model} is no functional network, so that nobody knows its layers."
            )
        return layer_costs(network)


def layer_costs(network: keras.Model) -> list[LayerCost]:
    """Every layer and operation of a functional network, in order, with what it costs for one sample.

    Multiply-adds are those of convolutions, dense layers and other products, as papers count them ("FLOPs" of He et al.
    2016); biases, normalisations, activations, additions and poolings are left out.

    Memory is what reverse mode keeps from the forward pass for the gradient, estimated from the layers' shapes: the
    inputs of products, normalisations, max poolings and smooth activations, the outputs of relu, tanh, softmax and max
    poolings, each tensor once, and nothing of additions, mean poolings, paddings, concatenations and changes of shape.
    An operation that TensorFlow composes of several (the exact gelu) keeps more; XLA, which computes some again, less.
    Weights, their gradient and what is free again before the gradient is complete come on top.

    Args:
        network: A functional Keras model; models within it are opened.
    """
    counted: set[int] = set()
    kept: set[int] = set()
    whole: dict[int, Any] = {}
    once: set[int] = set()  # computed from weights, however many samples there are
    layer = "inputs"
    found = []
    for call in calls_of(network):
        operation, kind, output = call.operation, type(call.operation).__name__, call.outputs[0]
        is_layer = isinstance(operation, keras.Layer)
        layer = operation.name if is_layer else layer
        weights = [w for w in getattr(operation, "trainable_variables", []) if id(w) not in counted]
        counted |= {id(weight) for weight in weights}
        if kind in _VIEWS or _changes_nothing(call):  # the same memory as what it is a view of
            whole[id(output)] = whole.get(id(call.inputs[0]), call.inputs[0])
        if _takes_one_sample(call) or all(id(tensor) in once for tensor in call.inputs):
            once |= {id(tensor) for tensor in call.outputs}
        needed = {id(t): t for t in (whole.get(id(t), t) for t in _kept(call)) if id(t) not in once}
        products = multiply_adds(operation, [t.shape for t in call.inputs], output.shape)
        found.append(
            LayerCost(
                name=layer if is_layer else f"{layer}/{kind}",
                kind=operation.activation.__name__ if kind == "Activation" else kind,
                output=tuple(output.shape[1:]),
                parameters=sum(math.prod(weight.shape) for weight in weights),
                multiply_adds=0 if id(output) in once else products,
                kept_bytes=sum(_bytes(tensor) for key, tensor in needed.items() if key not in kept),
            )
        )
        kept |= set(needed)
    return found


_VIEWS = {"Reshape", "Flatten"}
_KEEP_NOTHING = {
    *_VIEWS, "Add", "Subtract", "Average", "AveragePooling1D", "AveragePooling2D", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "Concatenate", "ZeroPadding2D", "Pad", "GetItem", "Permute", "Transpose", "Rescaling",
    "Cast", "Cropping1D", "Cropping2D", "UpSampling2D", "OnesLike", "Mean", "Identity",
}  # fmt: skip
_KEEP_OUTPUTS = {"ReLU", "Softmax", "Dropout"}
_KEEP_BOTH = {"MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "GlobalMaxPooling2D"}
_BY_OUTPUT = {"relu", "tanh", "sigmoid", "softmax"}
"""Activations whose derivative is a function of their value."""


def _takes_one_sample(call: LayerCall) -> bool:
    """Whether it takes the first samples alone, of which no sample's outputs depend: shapes, and the number 1."""
    if type(call.operation).__name__ != "GetItem":
        return False
    key = call.arguments[1]
    first = key[0] if isinstance(key, tuple) else key
    return not isinstance(first, slice) or first.stop is not None


def _changes_nothing(call: LayerCall) -> bool:
    """Whether it casts to the dtype that there is."""
    return type(call.operation).__name__ == "Cast" and call.inputs[0].dtype == call.outputs[0].dtype


def _kept(call: LayerCall) -> list:
    """The tensors that an operation's gradient reads; its inputs where nothing else is known of it."""
    kind = type(call.operation).__name__
    if kind in _KEEP_NOTHING or (kind == "Multiply" and len(call.inputs) == 1):  # by a number
        return []
    activation = getattr(getattr(call.operation, "activation", None), "__name__", "linear")
    if kind in _KEEP_OUTPUTS or (kind == "Activation" and activation in _BY_OUTPUT):
        return call.outputs
    if kind in _KEEP_BOTH or (kind != "Activation" and activation != "linear"):
        return [*call.inputs, *call.outputs]
    return call.inputs


def _bytes(tensor: Any) -> int:
    bits = {"float64": 64, "int64": 64, "float32": 32, "int32": 32, "uint8": 8}.get(tensor.dtype, 16)
    return math.prod(tensor.shape[1:]) * bits // 8
