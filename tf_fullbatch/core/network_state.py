"""What a network keeps beside its weights, and what becomes of it in a step of many micro-batches.

A Keras network's non-trainable variables are sorted once, when it is built:

* *pass statistics*: moving averages of trainable BatchNormalization layers. They are frozen during the step;
  what each micro-batch measured is averaged over its samples, and applied once at the end as if each of the
  K micro-batches had moved them: `new = m^K * old + (1 - m^K) * pass statistics`. Layers get zeros for them, from which
  the measurement comes back without cancellation, unless something else reads them in training too.
* *seeds* of dropout and other random layers: derived from (seed, step, micro-batch), never carried over.
* *averaged*: any other floating-point variable that the network updates when called in training; its new
  value is the sample-weighted mean of what the micro-batches would have made it. So it is for trainable weights
  that a layer assigns when called (spectral normalization): they get that mean *before* the optimizer's update.
* everything else (frozen weights) is passed through unchanged.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.call_scope import stream
from tf_fullbatch.core.ghost_batch_norm import GhostBatchNormalization
from tf_fullbatch.core.keras_internals import is_seed, layers_of, seed_variables
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError

Seed = Callable[[], tf.Tensor]
"""Makes a seed, int32 `[2]`, a function of (seed, step, micro-batch); called where one is needed, in that graph."""


class NetworkState:
    """Sorts and feeds the non-trainable variables of a built Keras network.

    Args:
        network: A built Keras model.
        assignments: id(variable) -> how often one training call assigns it.
        readings: id(variable) -> how often one training call reads it.

    Attributes:
        variables: The network's non-trainable variables.
        assigned_weights: The trainable weights that a training call assigns.
        updated_variables: The variables that change in a step beside the optimizer's update: some of `variables`, then
            `assigned_weights`. A step assigns all of them before it applies the optimizer, which starts from there.

    Raises:
        UserError: The network updates an integer variable that is not a random seed.
    """

    def __init__(self, network: keras.Model, assignments: Counter[int], readings: Counter[int]):
        self.variables = list(network.non_trainable_variables)
        self.assigned_weights = [v for v in network.trainable_variables if assignments[id(v)]]
        self._momentum = _batch_norm_momenta(network, assignments)
        # A call of BatchNormalization reads each of its statistics once, and assigns it in training.
        self._read = {i for i in self._momentum if readings[i] > assignments[i]}
        tracked = seed_variables(network)
        seeds = [*tracked, *(v for v in self.variables if is_seed(v) and all(v is not s for s in tracked))]
        self._seeds = [id(v) for v in seeds]
        averaged = [v for v in self.variables if assignments[id(v)] and id(v) not in self._seeds]
        self.updated_variables = [*averaged, *self.assigned_weights]
        for variable in self.updated_variables:
            if not tf.as_dtype(variable.dtype).is_floating:
                raise UserError(
                    f"The network's variable {variable.path!r} ({variable.dtype}) changes while training. "
                    "Only floating-point state can be averaged over micro-batches: remove the layer's counter."
                )

    @property
    def is_only_measured(self) -> bool:
        """Whether what a step changes beside the weights is what BatchNorm layers measure, and no training call reads.

        The loss in training is then a function of the weights alone."""
        return all(self._is_measured(v) for v in self.updated_variables)

    def values(self) -> Tree:
        """The present values of `variables`, the `state` argument of `feed`."""
        return [tf.convert_to_tensor(v.value) for v in self.variables]

    def feed(self, state: Sequence[tf.Tensor], seed: Seed, *, training: bool = True) -> Tree:
        """What the network is given as its non-trainable variables in one micro-batch of a step.

        Args:
            state: Present values, one per variable.
            seed: Makes the seed of the micro-batch.
            training: Whether it is for a training call.

        Returns:
            For a training call BatchNorm statistics that nothing else reads as zeros, so that
            `m * 0 + (1 - m) * measured` comes back; seeds derived from `seed`; everything else as it is.
        """
        fed = []
        for variable, value in zip(self.variables, state, strict=True):
            if training and self._is_measured(variable) and self._is_updated(variable):
                value = tf.zeros_like(value)
            elif id(variable) in self._seeds:
                value = stream(seed(), self._seeds.index(id(variable)))
            fed.append(value)
        return fed

    def further_stream(self, seed: Seed, index: int) -> tf.Tensor:
        """The seed of the `index`-th generator that is not among `variables`, uint32 `[2]`."""
        return stream(seed(), len(self._seeds) + index)

    def measurements(self, returned: Sequence[tf.Tensor]) -> Tree:
        """What the present micro-batch makes of the `updated_variables`.

        Args:
            returned: What one training call made of `variables`, then of `assigned_weights`.
        """
        measurements = []
        for variable, value in zip([*self.variables, *self.assigned_weights], returned, strict=True):
            if self._is_updated(variable):
                measured = self._is_measured(variable)
                measurements.append(value / (1.0 - self._momentum[id(variable)]) if measured else value)
        return measurements

    def no_measurements(self) -> Tree:
        """Zeros in the place of `measurements`: of a call in inference, which measures nothing."""
        return [tf.zeros(v.shape, v.dtype) for v in self.updated_variables]

    def recalibrated(self, state: Sequence[tf.Tensor], means: Sequence[tf.Tensor]) -> Tree:
        """Values of `variables` as a step over the whole set would leave them if nothing older counted.

        Batch normalisation's moving averages become what the micro-batches measured, averaged over the samples.

        Args:
            state: Values of `variables` that the measurements were made with.
            means: Sample-weighted means of `measurements`.
        """
        measured = {id(v): mean for v, mean in zip(self.updated_variables, means, strict=True)}
        values = []
        for variable, value in zip(self.variables, state, strict=True):
            mean = measured.get(id(variable))
            if mean is not None:
                value = self._of_the_pass(variable, tf.cast(mean, value.dtype), value)
            values.append(value)
        return values

    def updated_values(self, means: Sequence[tf.Tensor], micro_batches: int | tf.Tensor) -> Tree:
        """New values of the `updated_variables`, to be assigned before the optimizer's update.

        Args:
            means: Sample-weighted means of `measurements` over the step.
            micro_batches: K, how many micro-batches the step had.
        """
        values = []
        for variable, mean in zip(self.updated_variables, means, strict=True):
            mean = tf.cast(mean, variable.dtype)
            momentum = self._momentum.get(id(variable))
            if momentum is not None:
                mean = self._of_the_pass(variable, mean, variable.value)
                kept = trees.scalar(momentum, tf.float64) ** tf.cast(micro_batches, tf.float64)
                kept = tf.cast(kept, mean.dtype)
                mean = kept * variable.value + (1.0 - kept) * mean
            values.append(mean)
        return values

    def _of_the_pass(self, variable: keras.Variable, mean: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
        """The mean of what a pass measured, without the part of the old value that BatchNorm has mixed into it."""
        momentum = self._momentum.get(id(variable))
        if momentum is None or self._is_measured(variable):
            return mean
        return (mean - momentum * old) / (1.0 - momentum)

    def _is_measured(self, variable: keras.Variable) -> bool:
        """Whether a training call gives what a BatchNorm layer measured, and nothing of the old statistics."""
        return id(variable) in self._momentum and id(variable) not in self._read

    def _is_updated(self, variable: keras.Variable) -> bool:
        return any(variable is updated for updated in self.updated_variables)


def _batch_norm_momenta(network: keras.Model, assignments: Counter[int]) -> dict[int, float]:
    """id(variable) -> share of the old value that one training call keeps, for trainable BatchNormalization.

    It is `momentum^c` for a layer that the network calls c times. Other layers with a `call` of their own, and
    batch renormalization, whose variance is no moving average, are left to plain averaging.
    """
    stock = keras.layers.BatchNormalization
    momenta = {}
    for layer in layers_of(network):
        if not isinstance(layer, stock) or layer.renorm:
            continue
        if type(layer).call not in (stock.call, GhostBatchNormalization.call):
            continue
        if layer.trainable and layer.momentum < 1:
            for variable in (layer.moving_mean, layer.moving_variance):
                momenta[id(variable)] = layer.momentum ** assignments[id(variable)]
    return momenta
