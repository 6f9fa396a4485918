"""What a network keeps beside its weights, and what becomes of it in a step of many micro-batches.

A Keras network's non-trainable variables are sorted once, when it is built:

* *pass statistics*: moving averages of trainable BatchNormalization layers. They are frozen during the step;
  what each micro-batch measured is averaged over its samples, and applied once at the end as if each of the
  K micro-batches had moved them: `new = m^K * old + (1 - m^K) * pass statistics`.
* *seeds* of dropout and other random layers: derived from (seed, step, micro-batch), never carried over.
* *averaged*: any other floating-point variable that the network updates when called in training; its new
  value is the sample-weighted mean of what the micro-batches would have made it.
* everything else (frozen weights) is passed through unchanged.
"""

from collections import Counter
from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.trees import Tree


class NetworkState:
    """Sorts and feeds the non-trainable variables of a built Keras network.

    Args:
        network: A built Keras model.
        inputs: Shape and dtype of a batch of inputs, used to see which variables a training call updates.

    Raises:
        ValueError: The network updates an integer variable that is not a random seed.
    """

    def __init__(self, network: keras.Model, inputs: tf.TensorSpec):
        self.variables = list(network.non_trainable_variables)
        assignments = _assignments(network, inputs)
        self._momentum = _batch_norm_momenta(network, assignments)
        self._seeds = [id(v) for v in _seed_variables(network)]
        self.measured = [v for v in self.variables if assignments[id(v)] and id(v) not in self._seeds]
        for variable in self.measured:
            if not tf.as_dtype(variable.dtype).is_floating:
                raise ValueError(
                    f"The network's variable {variable.path!r} ({variable.dtype}) changes while training. "
                    "Only floating-point state can be averaged over micro-batches: remove the layer's counter."
                )

    def values(self) -> Tree:
        """The variables' present values, the `state` argument of `feed`."""
        return [tf.convert_to_tensor(v.value) for v in self.variables]

    def feed(self, state: Sequence[tf.Tensor], seed: tf.Tensor) -> Tree:
        """What the network is given as its non-trainable variables in one micro-batch of a step.

        Args:
            state: Present values, one a variable.
            seed: int32 `[2]`, a function of (seed, step, micro-batch).

        Returns:
            BatchNorm statistics as zeros, so that `m * 0 + (1 - m) * measured` comes back; seeds derived from
            `seed`; everything else as it is.
        """
        fed = []
        for variable, value in zip(self.variables, state, strict=True):
            if id(variable) in self._momentum and self._is_measured(variable):
                value = tf.zeros_like(value)
            elif id(variable) in self._seeds:
                stream = tf.random.experimental.stateless_fold_in(seed, self._seeds.index(id(variable)))
                value = tf.bitcast(stream, tf.uint32)
            fed.append(value)
        return fed

    def measurements(self, returned: Sequence[tf.Tensor]) -> Tree:
        """The entries of `measured`, from what the network returned as its new non-trainable variables."""
        measurements = []
        for variable, value in zip(self.variables, returned, strict=True):
            if self._is_measured(variable):
                momentum = self._momentum.get(id(variable))
                measurements.append(value if momentum is None else value / (1.0 - momentum))
        return measurements

    def updated_values(self, means: Sequence[tf.Tensor], micro_batches: int | tf.Tensor) -> Tree:
        """New values of the `measured` variables at the end of a step.

        Args:
            means: Sample-weighted means of `measurements` over the step.
            micro_batches: K, how many micro-batches the step had.
        """
        values = []
        for variable, mean in zip(self.measured, means, strict=True):
            mean = tf.cast(mean, variable.dtype)
            momentum = self._momentum.get(id(variable))
            if momentum is not None:
                kept = trees.scalar(momentum, tf.float64) ** tf.cast(micro_batches, tf.float64)
                kept = tf.cast(kept, mean.dtype)
                mean = kept * variable.value + (1.0 - kept) * mean
            values.append(mean)
        return values

    def _is_measured(self, variable: keras.Variable) -> bool:
        return any(variable is measured for measured in self.measured)


def _batch_norm_momenta(network: keras.Model, assignments: Counter[int]) -> dict[int, float]:
    """id(variable) -> share of the old value that one training call keeps, for trainable BatchNormalization.

    It is `momentum^c` for a layer that the network calls c times.
    """
    momenta = {}
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable and layer.momentum < 1:
            for variable in (layer.moving_mean, layer.moving_variance):
                momenta[id(variable)] = layer.momentum ** assignments[id(variable)]
    return momenta


def _seed_variables(network: keras.Model) -> list[keras.Variable]:
    """States of the seed generators of random layers, in the network's layer order."""
    return [g.state for layer in network._flatten_layers() for g in getattr(layer, "_seed_generators", [])]


class _AssignmentCounter(keras.StatelessScope):
    """A scope in which assignments to variables are counted, and have no effect outside."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[int] = Counter()

    def add_update(self, update: tuple[keras.Variable, tf.Tensor]) -> None:
        """Called by Keras for each assignment."""
        self.counts[id(update[0])] += 1
        super().add_update(update)


def _assignments(network: keras.Model, inputs: tf.TensorSpec) -> Counter[int]:
    """id(variable) -> how often one training call assigns it, found by tracing a call."""
    scope = _AssignmentCounter()

    @tf.function(autograph=False)
    def trace(x: tf.Tensor) -> tf.Tensor:
        with scope:
            return network(x, training=True)

    trace.get_concrete_function(inputs)
    return scope.counts
