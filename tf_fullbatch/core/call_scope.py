"""What the layers of a network read and assign in one training call, and what cannot be made a pure function of it."""

import contextlib
import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.core import keras_internals as internals
from tf_fullbatch.errors import UserError


def stream(seed: tf.Tensor, index: int | tf.Tensor) -> tf.Tensor:
    """One of many streams of random numbers that start from a seed: int32 `[2]` to uint32 `[2]`."""
    return tf.bitcast(tf.random.experimental.stateless_fold_in(seed, index), tf.uint32)


def layer_of(network: keras.Model, name: str) -> str:
    """Words for the layer in whose name scope an operation is: the innermost one that `name` names."""
    layers = {layer.name: layer for layer in internals.layers_of(network)[1:]}
    for part in reversed(name.split("/")):
        for candidate in (
            part,
            re.sub(r"_\d+$", "", part),
        ):  # TensorFlow numbers a scope that is entered again
            if candidate in layers:
                return f"layer {candidate!r} ({type(layers[candidate]).__name__})"
    return f"network {network.name!r}"


class CallScope(keras.StatelessScope):
    """One call's values of variables: what is read, what is assigned, what cannot be.

    Args:
        network: The network.
        theta: id(weight) -> its value, for the trainable weights.
        values: (variable, value) for all of the network's variables.
        further_stream: index -> seed, uint32 `[2]`, of generators that are not the network's own.
        generator: Stands for Keras' global generator, which is then neither made nor moved.
    """

    def __init__(
        self,
        network: keras.Model,
        theta: dict[int, tf.Tensor],
        values: Sequence[tuple[keras.Variable, tf.Tensor]],
        further_stream: Callable[[int], tf.Tensor],
        generator: keras.random.SeedGenerator,
    ):
        super().__init__(state_mapping=values, collect_losses=True)
        self.assignments: Counter[int] = Counter()
        self.readings: Counter[int] = Counter()
        self.assigned_weights: dict[int, tf.Tensor] = {}
        self._network = network
        self._theta = theta
        self._further_stream = further_stream
        self._generator = generator
        self._graph = internals.current_graph()
        self._further: dict[int, keras.Variable] = {}
        self._seeds: dict[tuple[int, tf.Graph | None], tf.Tensor] = {}
        self._weights_read: dict[int, keras.Variable] = {}
        self._refusals: list[str] = []
        self._active = False

    def run(self, inputs: Any, training: bool = True) -> tuple[Any, list[tf.Tensor]]:
        """The network's (outputs, losses), of a training call or one in inference.

        Raises:
            UserError: A layer does what cannot be made pure.
        """
        try:
            with self._entered():
                outputs = self._network(inputs, training=training)
                losses = [tf.reduce_sum(loss) if loss.shape.rank else loss for loss in self._network.losses]
        except Exception as error:
            if self._refusals:  # the error may be no more than its consequence
                raise UserError(self._refusals[0]) from error
            raise
        if self._refusals:  # Keras would wrap an error raised within a layer in many lines
            raise UserError(self._refusals[0])
        return outputs, losses

    def get_current_value(self, variable: keras.Variable) -> tf.Tensor | None:
        """Called by Keras for each reading of a variable; None for the variable's own value."""
        if internals.is_seed(variable):
            return self._seed(variable)
        self.readings[id(variable)] += 1
        if id(variable) in self._theta:
            self._weights_read[id(variable)] = variable
        return super().get_current_value(variable)

    def add_update(self, update: tuple[keras.Variable, tf.Tensor]) -> None:
        """Called by Keras for each assignment."""
        variable, value = update
        self.assignments[id(variable)] += 1
        graph = internals.current_graph()
        if internals.is_seed(variable):
            if internals.is_within_loop(graph) and not internals.is_within_loop(self._graph):
                self._refuse(
                    "draws random numbers within a loop (a recurrent cell, tf.map_fn), where each turn would draw the "
                    "same: draw them before the loop, or unroll it"
                )
            self._seeds[id(variable), graph] = value
            return
        if id(variable) not in self.state_mapping:
            self._refuse(
                f"assigns the variable {variable.path!r}, which is not one of the network's weights: make it with "
                "self.add_weight(..., trainable=False)"
            )
            return
        if graph is not self._graph:
            self._refuse(
                f"assigns {variable.path!r} within a condition or a loop: compute the value there, and assign it "
                "outside"
            )
            return
        value = tf.stop_gradient(value)
        if id(variable) in self._theta:
            self.assigned_weights[id(variable)] = value
            theta = self._theta[id(variable)]
            value = value + (theta - tf.stop_gradient(theta))
        super().add_update((variable, value))

    def _seed(self, variable: keras.Variable) -> tf.Tensor:
        """The present state of a seed generator, in each graph another: a branch's tensors are not seen outside."""
        graph = internals.current_graph()
        key = id(variable), graph
        if key not in self._seeds:
            value = self.state_mapping.get(id(variable))
            if value is None:
                self._further.setdefault(id(variable), variable)
                value = self._further_stream(list(self._further).index(id(variable)))
            if graph is not self._graph:
                value = stream(tf.bitcast(tf.cast(value, tf.uint32), tf.int32), len(self._seeds))
            self._seeds[key] = tf.cast(value, variable.dtype)
        return self._seeds[key]

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        """The scope, and what has to be seen of TensorFlow with it; entering it again within does nothing."""
        if self._active:
            yield
            return
        self._active = True
        try:
            with (
                internals.GRAPH_CUSTOM_GRADIENTS.by(self._apply_custom_gradient),
                internals.EAGER_CUSTOM_GRADIENTS.by(self._apply_custom_gradient),
                internals.TF_FUNCTION_CALLS.by(_call_tf_function),
                internals.global_generator(self._generator),
                self,
            ):
                yield
        finally:
            self._active = False

    def _apply_custom_gradient(self, original: Callable, function: Callable, args: Any, kwargs: Any) -> Any:
        """Applies a `tf.custom_gradient` function; one that merely recomputes is called plainly."""
        plain = internals.recomputed_function(function)
        if plain is not None:
            return plain(*args, **kwargs)
        if _is_of(function, "tensorflow."):
            return original(function, args, kwargs)
        args, kwargs = tf.nest.map_structure(
            _value, (args, kwargs)
        )  # read before: an argument gets a gradient
        return original(self._watched(function), args, kwargs)

    def _watched(self, function: Callable) -> Callable:
        """A function for `tf.custom_gradient`, refused where it reads weights; its gradient reads ours."""

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> tuple[Any, Callable]:
            outside, self._weights_read = self._weights_read, {}
            result, gradient = function(*args, **kwargs)
            inside, self._weights_read = self._weights_read, outside
            if inside:
                paths = ", ".join(repr(v.path) for v in inside.values())
                self._refuse(
                    f"reads {paths} within a tf.custom_gradient function, so that no gradient would reach them: pass "
                    "the weights to the function as arguments"
                )

            @functools.wraps(gradient)
            def gradient_in_scope(*args: Any, **kwargs: Any) -> Any:
                with self._entered():
                    return gradient(*args, **kwargs)

            return result, gradient_in_scope

        return watched

    def _refuse(self, reason: str) -> None:
        self._refusals.append(f"The {layer_of(self._network, tf.get_current_name_scope())} {reason}.")


def _call_tf_function(original: Callable, function: Any, *args: Any, **kwargs: Any) -> Any:
    """Runs the Python under a `tf.function`, which would else answer with a trace made under other weights.

    Keras' own are made anew for each call: XLA for grouped convolutions, which TensorFlow has not on a CPU without.
    """
    if _is_of(function.python_function, "tensorflow.", "keras."):
        return original(function, *args, **kwargs)
    return internals.run_inline(function, args, kwargs)


def _value(argument: Any) -> Any:
    return tf.convert_to_tensor(argument) if isinstance(argument, keras.Variable) else argument


def _is_of(function: Callable, *packages: str) -> bool:
    return (getattr(function, "__module__", None) or "").startswith(packages)
