"""Running averages of a network's weights over passes, exponential or uniform, for evaluation beside the weights."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import keras
import tensorflow as tf

Statistics = Callable[[], Sequence[tuple[keras.Variable, tf.Tensor]]]
"""Gives (variable, value) of what a network keeps beside its weights, as a pass over the training set at the weights
that the network has just now would leave it."""


class WeightAverage:
    """Averages all floating-point variables of a network, BatchNorm statistics included, once per pass.

    Update k = 1, 2, ... with the network's values theta_k:

        average_1 = theta_1
        exponential ("ema"):  average_k = decay * average_{k-1} + (1 - decay) * theta_k
        uniform ("swa"):      average_k = average_{k-1} + (theta_k - average_{k-1}) / k,  the mean so far

    Starting with a copy, the exponential average needs no division by `1 - decay^k`, but leans on theta_1, whose weight
    in average_k is `decay^(k-1)`: 37 % after 100 updates at 0.99, 1 % after 460. Averages of 16-bit variables are
    kept in float32, where small steps are not rounded away.

    The activations at averaged weights are others than at any theta_k, and so are BatchNorm's statistics. Where
    `statistics` is given, those of the averaged weights take the place of averaged statistics before the network
    holds the averages, once per update at most.

    Args:
        network: A built Keras model. The averages are made in the scope of its strategy.
        decay: In [0, 1), of the exponential average; the published one is 0.99 per pass. None: uniform.
        statistics: See above; None to average statistics as weights are.

    Attributes:
        kind: "ema" or "swa".
        averaged: The network's variables that are averaged.
        averages: Their averages, in the same order, each with the name of its variable and "_ema" or "_swa".
        updates: How many updates were made, a scalar int64 variable.
        calibrated: How many there were when the averages got statistics of their own, a scalar int64 variable; None
            without `statistics`.

    Raises:
        ValueError: The decay is out of range or the network is not built.

    Source: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging", with exponential weights;
    Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization" (SWA, arXiv 1803.05407,
    algorithm 1), whose statistics are recomputed in the same way.
    """

    def __init__(self, network: keras.Model, decay: float | None, statistics: Statistics | None = None):
        if decay is not None and not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}; it must lie in [0, 1).")
        if not network.built:
            raise ValueError("The network is not built: call network.build(input_shape) first.")
        self.decay = decay
        self.kind = "swa" if decay is None else "ema"
        self.averaged = [v for v in network.weights if tf.as_dtype(v.dtype).is_floating]
        self._strategy = network.distribute_strategy
        self._statistics = statistics
        self._swapped = False
        with self._strategy.scope():
            self.averages = [self._average_like(v) for v in self.averaged]
            self.updates = self._count("updates")
            self.calibrated = None if statistics is None else self._count("calibrated")

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables of the average: `averages`, then `updates`, then `calibrated` if there is one."""
        return [*self.averages, self.updates, *([] if self.calibrated is None else [self.calibrated])]

    @property
    def begun(self) -> bool:
        """Whether there is an average yet."""
        return bool(self.updates.numpy())

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
        with self._strategy.scope():
            own = [tf.identity(v.value) for v in self.averaged]
        self._swapped = True
        try:
            self.apply()
            yield
        finally:
            self._assign(own)
            self._swapped = False

    def apply(self) -> None:
        """Puts the averages in the place of the network's values, for good.

        Raises:
            ValueError: There is no average yet.
        """
        if not self.begun:
            raise ValueError("There is no average yet: call update() after the first pass.")
        self._assign([tf.convert_to_tensor(v.value) for v in self.averages])
        if self.calibrated is not None and self.calibrated.numpy() != self.updates.numpy():
            self._calibrate()

    def _calibrate(self) -> None:
        """Gives network and averages the statistics of the averaged weights, which the network holds."""
        assert self._statistics is not None
        assert self.calibrated is not None
        found = {id(variable): value for variable, value in self._statistics()}
        with self._strategy.scope():
            for average, variable in zip(self.averages, self.averaged, strict=True):
                if id(variable) in found:
                    variable.assign(tf.cast(found[id(variable)], variable.dtype))
                    average.assign(tf.cast(found[id(variable)], average.dtype))
            self.calibrated.assign(self.updates.value)

    @tf.function(autograph=False)
    def _update(self) -> None:
        first = tf.equal(self.updates.value, 0)
        for average, variable in zip(self.averages, self.averaged, strict=True):
            old, value = average.value, tf.cast(variable.value, average.dtype)
            average.assign(tf.where(first, value, self._moved(old, value)))
        self.updates.assign(self.updates.value + 1)

    def _moved(self, old: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        if self.decay is None:
            return old + (value - old) / tf.cast(self.updates.value + 1, old.dtype)
        decay, rest = (tf.constant(weight, old.dtype) for weight in (self.decay, 1 - self.decay))
        return decay * old + rest * value

    def _assign(self, values: list[tf.Tensor]) -> None:
        with self._strategy.scope():
            for variable, value in zip(self.averaged, values, strict=True):
                variable.assign(tf.cast(value, variable.dtype))

    def _refuse_while_swapped(self, action: str) -> None:
        if self._swapped:
            raise RuntimeError(f"The network holds its averages: leave applied() before you {action} them.")

    def _count(self, name: str) -> keras.Variable:
        return keras.Variable(
            tf.zeros([], tf.int64), dtype="int64", trainable=False, name=f"{self.kind}_{name}"
        )

    def _average_like(self, variable: keras.Variable) -> keras.Variable:
        dtype = tf.as_dtype(variable.dtype)
        dtype = tf.float32 if dtype.size < 4 else dtype
        name = f"{variable.path.replace('/', '_')}_{self.kind}"
        return keras.Variable(tf.zeros(variable.shape, dtype), dtype=dtype.name, trainable=False, name=name)
