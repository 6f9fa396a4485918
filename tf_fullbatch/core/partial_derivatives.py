"""Second derivatives that TensorFlow has, but not whole: what they are taken of is refused where they are wanted."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_fullbatch.core.call_scope import layer_of
from tf_fullbatch.core.graph_operations import Operation, reached
from tf_fullbatch.core.second_derivatives import FIXED_MEAN
from tf_fullbatch.errors import UserError


def refuse_operation(network: keras.Model, operation: Operation) -> None:
    """Refuses an operation of a gradient's graph that shows a second derivative to be wrong.

    Raises:
        UserError: One line that names the layer and says what to do.
    """
    if _keeps_mean_fixed(operation):
        raise UserError(
            f"The {layer_of(network, operation.name)} takes tf.nn.moments under another name (bound at import, "
            "tf.compat.v1), whose second derivative TensorFlow gets wrong: call tf.nn.moments, or write mean and "
            "variance out."
        )
    if _pools_without_shrinking(operation):
        raise UserError(
            f"The {layer_of(network, operation.name)} takes maxima without shrinking its input ({operation.type}), "
            "whose second derivative TensorFlow gets wrong: use a finite-difference --penalty, or average pooling."
        )


def refuse_moving_labels(network: keras.Model, theta: Sequence[tf.Tensor]) -> None:
    """Refuses cross-entropies whose labels the weights enter: TensorFlow's gradient by the labels is a dead end."""
    for tensor, operation in reached(theta):
        if operation.type == "SoftmaxCrossEntropyWithLogits" and operation.inputs[1] is tensor:
            raise UserError(
                f"The {layer_of(network, operation.name)} takes a softmax cross-entropy whose labels depend on "
                "weights, of which TensorFlow has no whole second derivative: use a finite-difference --penalty, put "
                "tf.stop_gradient around the labels, or write -sum(labels * log_softmax(logits)) out."
            )


def _keeps_mean_fixed(operation: Operation) -> bool:
    """Whether it is the stop_gradient of TensorFlow's own moments, and not that of ours."""
    *scopes, name = operation.name.split("/")
    return operation.type == "StopGradient" and "moments" in scopes and not name.startswith(FIXED_MEAN)


def _pools_without_shrinking(operation: Operation) -> bool:
    """Whether max pooling keeps its input's shape: its second derivative then overwrites what it still reads."""
    if operation.type not in ("MaxPoolGrad", "MaxPool3DGrad"):
        return False
    attributes = operation.node.attr
    shape = attributes["_output_shapes"].list.shape[0]  # the gradient's, which is the input's
    sizes = [-1] * len(attributes["ksize"].list.i) if shape.unknown_rank else [d.size for d in shape.dim]
    padding = attributes["padding"].s
    pads = list(attributes["explicit_paddings"].list.i) or [0] * (2 * len(sizes))
    for i, (size, window, stride) in enumerate(
        zip(sizes, attributes["ksize"].list.i, attributes["strides"].list.i, strict=True)
    ):
        lost = 0 if padding == b"SAME" else window - 1 - sum(pads[2 * i : 2 * i + 2])
        size = size if size >= 0 else 1000  # not known: it shrinks unless stride and window are 1
        if math.ceil((size - lost) / stride) != size:
            return False
    return True
