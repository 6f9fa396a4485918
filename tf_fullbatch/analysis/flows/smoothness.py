"""Networks and losses that have no central flow: without third derivatives, or not one function of the weights."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.core.call_scope import layer_of
from tf_fullbatch.core.gradient_trace import GradientTrace, SampleSpecs
from tf_fullbatch.core.graph_operations import (
    Operation,
    carries_numbers,
    is_registered,
    operations_of,
    reached,
)
from tf_fullbatch.core.micro_batch import Augmentation
from tf_fullbatch.core.network_call import NetworkCall
from tf_fullbatch.core.operation_kinds import CONTROL_FLOW, FUNCTION_CALLS
from tf_fullbatch.core.training_loss import TrainingLoss
from tf_fullbatch.errors import UserError

_KINK = "has a kink"
_BEND = "has a second derivative that jumps"
_STEPS = "is constant but for jumps"
_CHOICE = "chooses among its inputs"

WITHOUT_THIRD_DERIVATIVES = {
    "Abs": _KINK,
    "Ceil": _STEPS,
    "ClipByValue": _KINK,
    "Dilation2D": _CHOICE,
    "Elu": _BEND,
    "Floor": _STEPS,
    "FloorDiv": _STEPS,
    "FloorMod": _STEPS,
    "FractionalMaxPool": _CHOICE,
    "LeakyRelu": _KINK,
    "Max": _CHOICE,
    "MaxPool": _CHOICE,
    "MaxPool3D": _CHOICE,
    "MaxPoolV2": _CHOICE,
    "MaxPoolWithArgmax": _CHOICE,
    "Maximum": _KINK,
    "Min": _CHOICE,
    "Minimum": _KINK,
    "Mod": _STEPS,
    "Relu": _KINK,
    "Relu6": _KINK,
    "Rint": _STEPS,
    "Round": _STEPS,
    "SegmentMax": _CHOICE,
    "SegmentMin": _CHOICE,
    "Selu": _BEND,
    "Sign": _STEPS,
    "Softsign": _BEND,
    "TensorScatterMax": _CHOICE,
    "TensorScatterMin": _CHOICE,
    "TopKV2": _CHOICE,
    "UnsortedSegmentMax": _CHOICE,
    "UnsortedSegmentMin": _CHOICE,
}
"""Operations that are not three times differentiable everywhere -> why."""
PIECEWISE = frozenset({"Select", "SelectV2"})
"""Operations that are so where their condition depends on the weights."""
SMOOTH_IN_PIECES = "logistic_loss"
"""Name scope of tf.nn.sigmoid_cross_entropy_with_logits, pieces of one smooth function."""


def refuse_several_losses(
    call: NetworkCall,
    training_loss: TrainingLoss,
    samples: SampleSpecs,
    augmentation: Augmentation | None = None,
) -> None:
    """Refuses a network or loss that is not one function of the weights, so that no flow descends it.

    Args:
        call: The network's call.
        training_loss: The loss of the network's outputs.
        samples: Shapes and dtypes of a batch.
        augmentation: What changes the samples from step to step; None for nothing.

    Raises:
        UserError: One line that names layer and variable: state that training moves (batch normalisation), random
            numbers (dropout), augmentation.
    """
    _traced_as_one_loss(call, training_loss, samples, augmentation)


def refuse_without_third_derivatives(
    call: NetworkCall,
    training_loss: TrainingLoss,
    samples: SampleSpecs,
    augmentation: Augmentation | None = None,
) -> None:
    """Refuses a network or loss whose central flow would be about something else than what is trained.

    A central flow takes third derivatives of one function of the weights. One micro-batch's loss is traced and looked
    at; nothing is executed. A condition within a loop (a recurrent layer's mask) is taken to be smooth.

    Args:
        call: The network's call.
        training_loss: The loss of the network's outputs.
        samples: Shapes and dtypes of a batch.
        augmentation: What changes the samples from step to step; None for nothing.

    Raises:
        UserError: One line that names the layer and the operation or variable, and says what to do: operations without
            third derivatives (ReLU, max pooling, absolute values), state that training moves (batch normalisation),
            random numbers (dropout), augmentation.
    """
    trace, graph = _traced_as_one_loss(call, training_loss, samples, augmentation)
    for operation in _on_the_way(trace.theta, graph.outputs[0], operations_of(graph)):
        why = WITHOUT_THIRD_DERIVATIVES.get(operation.type)
        if operation.type in PIECEWISE and _chooses_by(trace.theta, graph, operation):
            why = _CHOICE
        if why is not None:
            raise UserError(
                f"The {_place(call.network, operation)} uses {operation.type}, which {why}, so that the loss has no "
                "third derivatives and no central flow: use smooth operations (tanh, softplus, gelu or silu, average "
                "pooling, squared errors, cross-entropy from logits)."
            )


def _traced_as_one_loss(
    call: NetworkCall,
    training_loss: TrainingLoss,
    samples: SampleSpecs,
    augmentation: Augmentation | None,
) -> tuple[GradientTrace, Any]:
    """The trace of a micro-batch's loss, and its graph, once it is known to be one function of the weights."""
    if augmentation is not None:
        raise UserError(
            "The augmentation changes the samples from step to step, so that no one loss has a flow: use fixed samples "
            "(--augmentation=none)."
        )
    _refuse_state(call)
    trace = GradientTrace(call, training_loss, exact=True)
    graph: Any = trace.of(samples)
    _refuse_draws(call.network, graph.outputs[0], operations_of(graph))
    return trace, graph


def _refuse_state(call: NetworkCall) -> None:
    """Refuses variables that a training call assigns."""
    if not call.state.updated_variables:
        return
    path = call.state.updated_variables[0].path
    raise UserError(
        f"The {layer_of(call.network, path)} moves the variable {path!r} when it is called in training, which no flow "
        "does: use a layer without state (LayerNormalization, GroupNormalization), or set trainable=False on it."
    )


def _refuse_draws(network: keras.Model, loss: tf.Tensor, operations: Sequence[Operation]) -> None:
    """Refuses random numbers that the loss depends on."""
    needed = _and_within(_leading_to(loss), operations)
    # The seed is made outside of layers, and what is drawn from it within.
    places = [
        _place(network, operation) for operation in needed if operation.type.startswith("StatelessRandom")
    ]
    if not places:
        return
    place = next((p for p in places if p.startswith("layer")), places[0])
    raise UserError(
        f"The {place} draws random numbers, other ones in each step, so that no one loss has a flow: leave it out, or "
        "set its rate to 0."
    )


def _on_the_way(
    theta: Sequence[tf.Tensor], loss: tf.Tensor, operations: Sequence[Operation]
) -> Iterator[Operation]:
    """The operations on floats through which the loss depends on the weights, those within functions included."""
    after = {operation.name for _, operation in reached(theta)}
    between = [o for o in _leading_to(loss, by_numbers=True) if o.name in after]
    for operation in _and_within(between, operations):
        number = (
            operation.node.attr["T"].type if "T" in operation.node.attr else 0
        )  # 0: there is none, or a list
        if not number or tf.as_dtype(number).is_floating:
            yield operation


def _and_within(some: Sequence[tf.Operation], operations: Sequence[Operation]) -> list[Operation]:
    """Some of a graph's operations, and those within the functions that they call."""
    names = {operation.name for operation in some}
    outermost = {operation.name for operation in some[0].graph.get_operations()} if some else set()
    callers = tuple(
        f"{o.name}/" for o in some if o.type in CONTROL_FLOW | FUNCTION_CALLS or not is_registered(o.type)
    )
    return [
        o for o in operations if o.name in names or (o.name not in outermost and o.name.startswith(callers))
    ]


def _chooses_by(theta: Sequence[tf.Tensor], graph: tf.Graph, operation: Operation) -> bool:
    """Whether the weights enter an operation's condition; not known, and taken to be false, within functions."""
    outermost = {o.name: o for o in graph.get_operations()}
    if operation.name not in outermost or SMOOTH_IN_PIECES in operation.name.split("/"):
        return False
    names = {o.name for o in _leading_to(outermost[operation.name].inputs[0])}
    return any(weight.op.name in names for weight in theta)


def _leading_to(tensor: tf.Tensor, *, by_numbers: bool = False) -> list[tf.Operation]:
    """The operations that a tensor depends on; by numbers that derivatives go through alone, if wanted."""
    pending, seen = [tensor.op], {tensor.op.name: tensor.op}
    while pending:
        operation = pending.pop()
        if by_numbers and operation.type == "StopGradient":
            continue
        for needed in operation.inputs:
            if (carries_numbers(needed) or not by_numbers) and needed.op.name not in seen:
                seen[needed.op.name] = needed.op
                pending.append(needed.op)
    return list(seen.values())


def _place(network: keras.Model, operation: Operation) -> str:
    place = layer_of(network, operation.name)
    return place if place.startswith("layer") else f"{place}, or its loss,"
