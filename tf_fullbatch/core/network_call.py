"""A network as a pure function of its weights, its state and a seed."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_fullbatch.core.network_state import NetworkState
from tf_fullbatch.core.trees import Tree


class NetworkOutput(NamedTuple):
    """What one training call of a network gives.

    Attributes:
        outputs: `[batch, ...]`, in the network's own dtype.
        mask: `[batch, ...]` booleans, or None.
        losses: Scalars that the layers add.
        measurements: What `NetworkState.measurements` returned.
    """

    outputs: tf.Tensor
    mask: tf.Tensor | None
    losses: list[tf.Tensor]
    measurements: Tree


class NetworkCall:
    """Calls a built Keras network in training without touching a variable."""

    def __init__(self, network: keras.Model, inputs: tf.TensorSpec):
        self.network = network
        self.state = NetworkState(network, inputs)

    def call(
        self, theta: Sequence[tf.Tensor], state: Sequence[tf.Tensor], seed: tf.Tensor, inputs: tf.Tensor
    ) -> NetworkOutput:
        outputs, returned, losses = self.network.stateless_call(
            theta, self.state.feed(state, seed), inputs, training=True, return_losses=True
        )
        return NetworkOutput(
            outputs, getattr(outputs, "_keras_mask", None), losses, self.state.measurements(returned)
        )
