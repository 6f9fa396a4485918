"""One micro-batch's gradient as a graph to be looked at, with what TensorFlow could not differentiate on the way."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_fullbatch.core import keras_internals as internals
from tf_fullbatch.core import trees
from tf_fullbatch.core.call_scope import layer_of
from tf_fullbatch.core.graph_operations import Operation, is_registered
from tf_fullbatch.core.micro_batch import added_losses, as_full_precision
from tf_fullbatch.core.network_call import NetworkCall
from tf_fullbatch.core.operation_kinds import TRULY_ZERO
from tf_fullbatch.core.second_derivatives import exact_second_derivatives
from tf_fullbatch.core.training_loss import TrainingLoss
from tf_fullbatch.errors import UserError


class SampleSpecs(NamedTuple):
    """Shapes and dtypes of some samples, as the network gets them.

    Attributes:
        inputs: Spec `[batch, ...]`, or a structure of specs.
        targets: The same.
        weights: The same; None where there are no sample weights.
    """

    inputs: Any
    targets: Any
    weights: Any = None


class GradientTrace:
    """A trace of one micro-batch's loss, its gradient and, if wanted, the gradient's own gradient.

    Args:
        call: The network's call.
        training_loss: The loss of the network's outputs.
        exact: Trace the network as it is called where second derivatives are wanted.
        twice: Differentiate the gradient too.

    Attributes:
        theta: The tensors that stand for the weights.
        exchanges: Layers that exchange data between replicas.
    """

    def __init__(self, call: NetworkCall, training_loss: TrainingLoss, *, exact: bool, twice: bool = False):
        self._call = call
        self._training_loss = training_loss
        self._exact = exact
        self._twice = twice
        self.theta: list[tf.Tensor] = []
        self.exchanges: list[str] = []
        self._unconnected: list[keras.Variable] = []
        self._without_gradient: list[str] = []
        self._without_second: list[str] = []

    def of(self, samples: SampleSpecs) -> tf.Graph:
        """Traces; returns the graph."""
        weights, state = (
            [tf.TensorSpec(v.shape, v.dtype) for v in variables]
            for variables in (self._call.weights, self._call.state.variables)
        )
        seed = tf.TensorSpec([2], tf.int32)
        function = tf.function(self._differentiate, autograph=False)
        try:
            with _noted_exchanges(self._call.network, self.exchanges):
                return function.get_concrete_function(weights, state, seed, samples).graph
        except LookupError as error:  # an operation within a function that has a gradient of its own
            if type(error) is not LookupError:  # an index or a key of the user's own code
                raise
            raise UserError(
                f"The network {self._call.network.name!r} or the loss cannot be differentiated: "
                f"{' '.join(str(error).split())} Exchange the layer that uses this operation."
            ) from error

    def _differentiate(
        self,
        theta: list[tf.Tensor],
        state: list[tf.Tensor],
        seed: tf.Tensor,
        samples: SampleSpecs,
    ) -> tf.Tensor:
        self.theta = theta
        weights = self._call.weights
        with tf.GradientTape(watch_accessed_variables=False) as outer:
            outer.watch(theta)
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(theta)
                loss = self._loss(theta, state, seed, samples)
            with _noted_lookups(self._without_gradient, missing_only=True):
                gradients = inner.gradient(loss, theta)
            self._unconnected = [v for v, g in zip(weights, gradients, strict=True) if g is None]
            gradient = [tf.convert_to_tensor(g) for g in gradients if g is not None]
            if not gradient or not self._twice:
                return loss
            slope = trees.dot(gradient, [tf.stop_gradient(g) for g in gradient])
        with _noted_lookups(self._without_second):
            outer.gradient(slope, theta)
        return loss

    def _loss(
        self,
        theta: list[tf.Tensor],
        state: list[tf.Tensor],
        seed: tf.Tensor,
        samples: SampleSpecs,
    ) -> tf.Tensor:
        with exact_second_derivatives() if self._exact else contextlib.nullcontext():
            output = self._call.call(theta, state, lambda: seed, samples.inputs)
        outputs = as_full_precision(output.outputs)
        mean = self._training_loss(samples.targets, outputs, samples.weights).mean
        return mean + added_losses(output.losses, mean.dtype)

    def refuse_lookups(self, operations: Sequence[Operation]) -> None:
        """Refuses operations between weights and gradient that TensorFlow cannot differentiate (again)."""
        for type_ in self._without_gradient:
            raise UserError(
                f"The {self._layer_with(type_, operations)} uses {_words(type_)}, of which TensorFlow has no gradient: "
                "exchange the layer, or put tf.stop_gradient around its input."
            )
        for type_ in self._without_second:
            raise UserError(
                f"The {self._layer_with(type_, operations)} leads to {_words(type_)}, of which TensorFlow has no "
                "derivative, so that second derivatives would be wrong: use --penalty=central_differences, or exchange "
                "the layer."
            )

    def _layer_with(self, type_: str, operations: Sequence[Operation]) -> str:
        names = [operation.name for operation in operations if operation.type == type_]
        return layer_of(self._call.network, names[0] if names else "")

    def refuse_unconnected(self) -> None:
        """Refuses weights that the loss has no gradient of."""
        if not self._unconnected:
            return
        paths = [repr(v.path) for v in self._unconnected]
        shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        everything = len(paths) == len(self._call.weights)
        advice = (
            "the loss, or the last layers, have no gradient (rounding, argmax, comparisons): use differentiable ones"
            if everything
            else "set trainable=False on them, or let the loss depend on them by differentiable operations"
        )
        raise UserError(f"No gradient of the loss reaches the weights {shown}: {advice}.")


def _words(type_: str) -> str:
    """Words for a type of operation; a function that a graph calls has a made-up one."""
    return type_ if is_registered(type_) else "a function or loop of its own"


@contextlib.contextmanager
def _noted_lookups(found: list[str], *, missing_only: bool = False) -> Iterator[None]:
    """Within it, the types of operations are noted whose gradient is asked for and is not there.

    Args:
        found: The list to add to.
        missing_only: Leave out those that TensorFlow marks as not differentiable: stock Keras takes zero for them too.
    """
    applying: list[bool] = []

    def lookup(original: Callable, registry: Any, name: str) -> Any:
        if applying or not internals.is_gradient_registry(registry):
            return original(registry, name)
        try:
            function = original(registry, name)
            missing = False
        except LookupError:
            function, missing = None, True
        if function is None and (missing or not missing_only) and name not in TRULY_ZERO:
            found.append(name)
        return function

    def apply_custom_gradient(original: Callable, *args: Any) -> Any:
        applying.append(True)  # it looks for variables, and looks up any operation on the way to them
        try:
            return original(*args)
        finally:
            applying.pop()

    with (
        internals.GRADIENT_LOOKUPS.by(lookup),
        internals.GRAPH_CUSTOM_GRADIENTS.by(apply_custom_gradient),
    ):
        yield


@contextlib.contextmanager
def _noted_exchanges(network: keras.Model, found: list[str]) -> Iterator[None]:
    """Within it, layers are noted that exchange data between replicas."""

    def exchange(original: Callable, *args: Any, **kwargs: Any) -> Any:
        found.append(layer_of(network, tf.get_current_name_scope()))
        return original(*args, **kwargs)

    with internals.ALL_REDUCES.by(exchange), internals.MERGE_CALLS.by(exchange):
        yield
