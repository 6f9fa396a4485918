"""A network's training call as a pure function of tensors, whatever its layers do beside computing.

`keras.Model.stateless_call` is pure too, but silently wrong where a layer wraps a part of itself in
`keras.remat`, `tf.function` or `tf.custom_gradient` (the weights within never train), draws from a seed generator of
its own or of Keras (the same numbers in every step), or assigns a trainable weight.
"""

import copy
import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_fullbatch.core.call_scope import CallScope, stream
from tf_fullbatch.core.network_state import NetworkState, Seed
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError


class NetworkOutput(NamedTuple):
    """What a training call of a network gives.

    Attributes:
        outputs: `[batch, ...]`, in the network's own dtype, with Keras' mask on it; or a structure of such tensors.
        losses: Scalars, the losses that layers add and those of regularizers.
        measurements: What `NetworkState.measurements` returned.
    """

    outputs: Any
    losses: list[tf.Tensor]
    measurements: Tree


class NetworkCall:
    """Calls a built network in training; touches no variable, in eager code, graphs, loops and under XLA.

    What differs from what the layers ask for, so that the result is a function that can be differentiated again:
    recomputation (`keras.remat`, `tf.recompute_grad`) is left out; a `tf.function` is run as the Python under
    it; random numbers come from the given seed, also those of Keras' global generator; a variable that
    was assigned holds a constant, as it does on a tape of stock Keras, plus for a trainable weight `w` the
    zero `w - stop_gradient(w)`: the gradient is taken with respect to the assigned value.

    Args:
        network: A built Keras model.
        inputs: Shape and dtype of a batch of inputs, or a structure of them; the call is traced once to see what it
            assigns.

    Attributes:
        weights: The network's trainable variables, whose values are `theta`.
        state: Its other variables, sorted.

    Raises:
        UserError: A layer does what no pure function can do: it assigns a variable that is not the network's,
            draws random numbers in a loop, or hides weights in a `tf.custom_gradient` function.
    """

    def __init__(self, network: keras.Model, inputs: Any):
        self.network = network
        self.weights = list(network.trainable_variables)
        self._training = True
        self._generator = keras.random.SeedGenerator(0, name="unseeded")
        uses = self._uses(inputs)
        if len(network.trainable_variables) != len(self.weights):
            made = network.trainable_variables[-1].path
            raise UserError(
                f"The network {network.name!r} makes weights ({made!r}) when it is called in training alone: call it "
                "once with training=True before it is trained."
            )
        self.state = NetworkState(network, *uses)

    def in_inference(self) -> "NetworkCall":
        """The same network's call in inference: normalised by the statistics that its state holds, nothing dropped."""
        calm = copy.copy(self)
        calm._training = False
        return calm

    def call(
        self, theta: Sequence[tf.Tensor], state: Sequence[tf.Tensor], seed: Seed, inputs: Any
    ) -> NetworkOutput:
        """The network's outputs as a function of its arguments alone.

        Args:
            theta: Tree, values of the trainable variables.
            state: Values of the non-trainable variables at the beginning of the step.
            seed: Makes the seed of this call.
            inputs: `[batch, ...]`, or a structure of such tensors.
        """
        fed = self.state.feed(state, seed, training=self._training)
        scope = CallScope(
            self.network,
            dict(zip(map(id, self.weights), theta, strict=True)),
            [*zip(self.weights, theta, strict=True), *zip(self.state.variables, fed, strict=True)],
            functools.partial(self.state.further_stream, seed),
            self._generator,
        )
        outputs, losses = scope.run(inputs, self._training)
        if not self._training:
            return NetworkOutput(outputs, losses, self.state.no_measurements())
        # A weight that was assigned in the first trace alone keeps the value it had.
        returned = [
            *(scope.state_mapping[id(v)] for v in self.state.variables),
            *(
                scope.assigned_weights.get(id(v), scope.state_mapping[id(v)])
                for v in self.state.assigned_weights
            ),
        ]
        measurements = self.state.measurements(returned)
        return NetworkOutput(outputs, losses, measurements)

    def _uses(self, inputs: Any) -> tuple[Counter[int], Counter[int]]:
        """id(variable) -> how often one training call assigns it, and reads it; found by tracing a call."""
        scopes = []

        @tf.function(autograph=False)
        def trace(x: Any) -> Any:
            values = [
                (v, tf.convert_to_tensor(v.value))
                for v in [*self.weights, *self.network.non_trainable_variables]
            ]
            theta = {id(v): value for v, value in values[: len(self.weights)]}
            any_seed = functools.partial(stream, tf.constant([0, 0], tf.int32))
            scope = CallScope(self.network, theta, values, any_seed, self._generator)
            scopes.append(scope)
            return scope.run(x)[0]

        trace.get_concrete_function(inputs)
        return scopes[-1].assignments, scopes[-1].readings
