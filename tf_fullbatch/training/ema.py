"""The exponential moving average of a network's weights, for evaluation beside the weights themselves."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf


class EmaWeights:
    """Averages all floating-point variables of a network, BatchNorm statistics included, once per pass.

    Update k = 1, 2, ... with the network's values theta_k:

        ema_1 = theta_1;    ema_k = decay * ema_{k-1} + (1 - decay) * theta_k

    Starting with a copy, the average needs no division by `1 - decay^k`, but leans on theta_1, whose weight
    in ema_k is `decay^(k-1)`: 37 % after 100 updates at 0.99, 1 % after 460. Averages of 16-bit variables are
    kept in float32, where small steps are not rounded away.

    Args:
        network: A built Keras model. The averages are made in the scope of its strategy.
        decay: In [0, 1); the published one is 0.99 per pass.

    Attributes:
        averaged: The network's variables that are averaged.
        averages: Their averages, in the same order, each with the name of its variable and "_ema".
        updates: How many updates were made, a scalar int64 variable.

    Raises:
        ValueError: The decay is out of range or the network is not built.

    Source: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging", with
    exponential weights.
    """

    def __init__(self, network: keras.Model, decay: float):
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}; it must lie in [0, 1).")
        if not network.built:
            raise ValueError("The network is not built: call network.build(input_shape) first.")
        self.decay = decay
        self.averaged = [v for v in network.weights if tf.as_dtype(v.dtype).is_floating]
        self._strategy = network.distribute_strategy
        self._swapped = False
        with self._strategy.scope():
            self.averages = [_average_like(v) for v in self.averaged]
            self.updates = keras.Variable(
                tf.zeros([], tf.int64), dtype="int64", trainable=False, name="ema_updates"
            )

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables of the average: `averages`, then `updates`."""
        return [*self.averages, self.updates]

    @property
    def swapped(self) -> bool:
        """Whether the network holds the averages at present, inside `applied`."""
        return self._swapped

    def update(self) -> None:
        """Takes the network's present values into the averages; once per pass.

        Raises:
            RuntimeError: Inside `applied`, where the network holds the averages themselves.
        """
        self._refuse_while_swapped("update")
        with self._strategy.scope():
            self._update()

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The network holds the averages inside the `with` block, and its own values, bit for bit, after it.

        Raises:
            ValueError: There is no average yet.
            RuntimeError: Inside another `applied`.
        """
        self._refuse_while_swapped("apply")
        if not int(self.updates.numpy()):
            raise ValueError("There is no average yet: call update() after the first pass.")
        with self._strategy.scope():
            own = [tf.identity(v.value) for v in self.averaged]
        self._swapped = True
        try:
            self._assign([tf.convert_to_tensor(v.value) for v in self.averages])
            yield
        finally:
            self._assign(own)
            self._swapped = False

    @tf.function(autograph=False)
    def _update(self) -> None:
        first = tf.equal(self.updates.value, 0)
        for average, variable in zip(self.averages, self.averaged, strict=True):
            old, value = average.value, tf.cast(variable.value, average.dtype)
            decay, rest = (tf.constant(weight, average.dtype) for weight in (self.decay, 1 - self.decay))
            average.assign(tf.where(first, value, decay * old + rest * value))
        self.updates.assign(self.updates.value + 1)

    def _assign(self, values: list[tf.Tensor]) -> None:
        with self._strategy.scope():
            for variable, value in zip(self.averaged, values, strict=True):
                variable.assign(tf.cast(value, variable.dtype))

    def _refuse_while_swapped(self, action: str) -> None:
        if self._swapped:
            raise RuntimeError(f"The network holds its averages: leave applied() before you {action} them.")


def _average_like(variable: keras.Variable) -> keras.Variable:
    dtype = tf.as_dtype(variable.dtype)
    dtype = tf.float32 if dtype.size < 4 else dtype
    name = f"{variable.path.replace('/', '_')}_ema"
    return keras.Variable(tf.zeros(variable.shape, dtype), dtype=dtype.name, trainable=False, name=name)
