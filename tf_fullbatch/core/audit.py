"""What of a network or loss cannot be trained rightly by steps of micro-batches, found before training.

The gradient of one micro-batch is traced once and looked at; nothing is executed. What is found is refused in one line.
Each refusal stands for results that would be wrong without a word, or for an error in the middle of training.
"""

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.core import keras_internals as internals
from tf_fullbatch.core import partial_derivatives
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
from tf_fullbatch.core.operation_kinds import (
    ASSIGNING,
    COLLECTIVE,
    CONTROL_FLOW,
    FUNCTION_CALLS,
    NOT_IN_XLA,
    OUTSIDE,
    RANDOM,
    RANDOM_POOLING,
    READING_RESOURCES,
    TRULY_ZERO,
)
from tf_fullbatch.core.training_loss import TrainingLoss
from tf_fullbatch.errors import UserError


class AuditReport(NamedTuple):
    """What was found that need not be refused.

    Attributes:
        has_max_pooling: See `has_max_pooling`.
        not_by_xla: What leads to an operation that XLA does not compile, and the operation; None where there is none.
    """

    has_max_pooling: bool
    not_by_xla: str | None


def check(
    call: NetworkCall,
    training_loss: TrainingLoss,
    samples: SampleSpecs,
    *,
    second_derivatives: bool = False,
    forward_mode: bool = False,
    shifted_weights: bool = False,
    replicas: int = 1,
) -> AuditReport:
    """Refuses a network or loss that training would get wrong; outside `strategy.scope()`.

    Args:
        call: The network's call.
        training_loss: The loss of the network's outputs.
        samples: Shapes and dtypes of a batch.
        second_derivatives: The gradient will be differentiated again (exact penalties, Hessian-vector products).
        forward_mode: It will be so in forward mode.
        shifted_weights: The loss will be taken at other weights than the variables' (finite differences, searches).
        replicas: Replicas that train together.

    Raises:
        UserError: One line that names layer or weight and operation, and says what to do.
    """
    _refuse_overwritten(call)
    if shifted_weights:
        refuse_assigned_weights(call)
    _refuse_synchronized(call.network, replicas)
    exact = second_derivatives or forward_mode
    trace = GradientTrace(call, training_loss, exact=exact)
    with _refused_python_draws(f"network {call.network.name!r}"):
        graph = trace.of(samples)
    operations = operations_of(graph)
    trace.refuse_lookups(operations)
    if exact and _may_lack_derivatives(graph, operations):  # else there is nothing for a longer trace to find
        twice = GradientTrace(call, training_loss, exact=True, twice=True)
        twice.refuse_lookups(operations_of(twice.of(samples)))
    if replicas > 1 and trace.exchanges:
        raise _exchange(trace.exchanges[0], replicas)
    for operation in operations:
        _refuse_operation(call.network, operation, graph, replicas)
        if exact:
            partial_derivatives.refuse_operation(call.network, operation)
    _refuse_weights_read_as_variables(call, graph)
    trace.refuse_unconnected()
    if exact:
        partial_derivatives.refuse_moving_labels(call.network, trace.theta)
    if forward_mode:
        _refuse_control_flow(call.network, trace.theta, operations)
    return AuditReport(has_max_pooling(operations), _not_by_xla(call.network, operations))


def _may_lack_derivatives(graph: tf.Graph, operations: Sequence[Operation]) -> bool:
    """Whether a gradient's graph has an operation without a gradient, wherever it stands; integers have none."""
    outermost = {operation.name: operation for operation in graph.get_operations()}
    for operation in operations:
        kind = operation.type
        if kind in TRULY_ZERO or kind in FUNCTION_CALLS or internals.has_gradient(kind):
            continue
        if all(
            name.startswith("^") for name in operation.node.input
        ):  # it waits for others, but takes nothing
            continue
        here = outermost.get(operation.name)
        if here is None or any(carries_numbers(output) for output in here.outputs):
            return True
    return False


def has_max_pooling(operations: Sequence[Operation]) -> bool:
    """Whether an operation is max pooling of any kind or rank, whose second derivative XLA gets wrong."""
    return any("MaxPool" in operation.type for operation in operations)


def _not_by_xla(network: keras.Model, operations: Sequence[Operation]) -> str | None:
    passed = internals.compiled_by_xla() | NOT_IN_XLA
    for operation in operations:
        if operation.type not in passed and is_registered(operation.type):
            return f"the {layer_of(network, operation.name)} leads to {operation.type}"
    return None


def _exchange(layer: str, replicas: int) -> UserError:
    return UserError(
        f"The {layer} exchanges data between replicas when it is called, but each of the {replicas} replicas goes "
        "through its micro-batches by itself: set synchronized=False, or train on one replica."
    )


def _refuse_synchronized(network: keras.Model, replicas: int) -> None:
    for layer in internals.layers_of(network):
        if replicas > 1 and getattr(layer, "synchronized", False):
            raise _exchange(f"layer {layer.name!r} ({type(layer).__name__})", replicas)


def refuse_assigned_weights(call: NetworkCall) -> None:
    """Refuses a network that assigns its weights: there is no loss at others, and so no curvature.

    Raises:
        UserError: One line that names a weight.
    """
    if call.state.assigned_weights:
        raise UserError(
            f"The weight {call.state.assigned_weights[0].path!r} is assigned when the network is called, so that the "
            "loss cannot be taken at shifted weights: use --penalty=nested_tape instead of finite differences, ask "
            "for the loss and gradient at the present weights alone, or exchange the layer."
        )


def check_augmentation(augmentation: Augmentation, inputs: tf.TensorSpec) -> None:
    """Refuses a user's augmentation that is not a function of its arguments.

    Args:
        augmentation: The function.
        inputs: Shape and dtype of a batch of raw inputs.

    Raises:
        UserError: It draws random numbers from a state, or assigns a variable; one line that says what to do.
    """
    ids, epoch = tf.TensorSpec([inputs.shape[0]], tf.int64), tf.TensorSpec([], tf.int64)
    function = tf.function(augmentation, autograph=False)
    with _refused_python_draws("augmentation_function"):
        for operation in operations_of(function.get_concrete_function(inputs, ids, epoch).graph):
            if _draws(operation) or _assigns(operation) or operation.type in OUTSIDE:
                raise UserError(
                    f"The augmentation_function uses {operation.type} (tf.random, a generator, a variable, Python), so "
                    "that it is no function of (inputs, sample_ids, epoch) and no step could be repeated: use "
                    "tf.random.stateless_* with seeds made of sample_ids and epoch."
                )


@contextlib.contextmanager
def _refused_python_draws(what: str) -> Iterator[None]:
    """Refuses what draws from Python's or NumPy's global random generator while it is traced."""
    drawn = random.getstate(), repr(np.random.get_state())
    yield
    if (random.getstate(), repr(np.random.get_state())) != drawn:
        raise UserError(
            f"The {what} draws from Python's or NumPy's random generator when it is traced "
            "(keras.layers.AugMix does), so that every step would repeat one draw: use keras.random.* with a seed."
        )


def _refuse_overwritten(call: NetworkCall) -> None:
    """Weights that no gradient is for, or none that can be summed up."""
    for variable in call.weights:
        if tf.as_dtype(variable.dtype).is_complex:
            raise UserError(
                f"The weight {variable.path!r} is {variable.dtype}, but gradients are summed up in real numbers: keep "
                "its real and imaginary part as two weights."
            )
        if variable.overwrite_with_gradient:
            raise UserError(
                f"The weight {variable.path!r} is to be overwritten by its gradient (float8 training), which a mean "
                "over micro-batches does not allow: use another dtype policy."
            )


def _refuse_operation(network: keras.Model, operation: Operation, graph: tf.Graph, replicas: int) -> None:
    """Refuses draws from a state, assignments and collectives."""
    if _draws(operation):
        raise UserError(
            f"The {layer_of(network, operation.name)} draws random numbers by {operation.type} (tf.random, "
            "tf.nn.dropout), other ones at each call, so that no step could be repeated: use keras.random.* or a "
            "keras.random.SeedGenerator."
        )
    if operation.type in OUTSIDE:
        raise UserError(
            f"The {layer_of(network, operation.name)} calls Python (tf.numpy_function, tf.py_function) or the clock by "
            f"{operation.type}, whose results cannot be repeated: use operations of TensorFlow."
        )
    if _assigns(operation):
        name = _captured_variable(operation, graph)
        raise UserError(
            f"The {layer_of(network, operation.name)} assigns the variable{name and f' {name!r}'} by "
            f"{operation.type}, which is not one of the network's weights: make it with self.add_weight(..., "
            "trainable=False)."
        )
    if replicas > 1 and operation.type.startswith(COLLECTIVE):
        raise _exchange(layer_of(network, operation.name), replicas)


def _draws(operation: Operation) -> bool:
    """Whether an operation draws random numbers from a state."""
    random_pooling = operation.type in RANDOM_POOLING and not operation.node.attr["deterministic"].b
    return operation.type in RANDOM or random_pooling


def _assigns(operation: Operation) -> bool:
    return operation.type.startswith(ASSIGNING) and operation.type not in READING_RESOURCES


def _captured_variable(operation: Operation, graph: Any) -> str:
    """The name of the variable that an operation assigns; nothing where it is an argument of a nested function."""
    for outside, inside in graph.captures:
        if operation.node.input and inside.name.split(":")[0] == operation.node.input[0].split(":")[0]:
            return next((v.name.split(":")[0] for v in graph.variables if v.handle is outside), "")
    return ""


def _refuse_weights_read_as_variables(call: NetworkCall, graph: Any) -> None:
    for weight in call.weights:
        copies = [weight.value, *getattr(weight.value, "values", ())]  # one per replica
        if any(variable is copy for variable in graph.variables for copy in copies):
            raise UserError(
                f"The weight {weight.path!r} is read from its variable (a saved function, or the variable's handle), "
                "where no gradient would reach it: read the Keras variable in the layer's call()."
            )


def _refuse_control_flow(
    network: keras.Model, theta: Sequence[tf.Tensor], operations: Sequence[Operation]
) -> None:
    """Refuses loops and conditions that the weights enter: TensorFlow has no forward mode for them."""
    loops = [operation.name for operation in operations if operation.type in CONTROL_FLOW]
    found = []
    for _, operation in reached(theta):
        # On a tape, TensorFlow wraps a loop in a function of its own.
        if any(f"{name}/".startswith(f"{operation.name}/") for name in loops):
            found.append(operation.name)
    if found:
        first = next(operation.name for operation in operations if operation.name in found)
        raise UserError(
            f"The {layer_of(network, first)} has a loop or condition, which TensorFlow cannot differentiate in forward "
            "mode: use --penalty=nested_tape (a recurrent layer also takes unroll=True)."
        )
