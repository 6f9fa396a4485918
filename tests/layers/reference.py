"""What a step's gradient is, by hand: a loop over micro-batches, tapes on the network's own variables, float64."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.ops import stateless_random_ops

from tests.layers.case import DIFFERENCES, EXACT, MICRO_BATCH, SAMPLES, Case, precision

RATE, STRENGTH, EPSILON = 1.0, 2.0, 0.1  # a step long enough for differences to differ from exact products


@contextmanager
def same_noise(wanted: bool = True) -> Iterator[None]:
    """Within it, every random layer draws the numbers of one fixed seed, whoever calls it."""

    def fixed(self: keras.random.SeedGenerator, ordered: bool = True) -> tf.Tensor:
        return tf.constant([7, 11], self.state.dtype)

    if not wanted:
        yield
        return
    with (
        mock.patch.object(keras.random.SeedGenerator, "next", fixed),
        mock.patch.object(
            stateless_random_ops, "stateless_random_uniform", _in_float64(tf.random.stateless_uniform)
        ),
        mock.patch.object(tf.random, "stateless_uniform", _in_float64(tf.random.stateless_uniform)),
        mock.patch.object(tf.random, "stateless_normal", _in_float64(tf.random.stateless_normal)),
    ):
        yield


def _in_float64(draw: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """The draw rounded from float64: TensorFlow draws other numbers in each floating type."""

    def rounded(shape: tf.Tensor, seed: tf.Tensor, dtype: tf.DType = tf.float32, **limits: Any) -> tf.Tensor:
        if not tf.as_dtype(dtype).is_floating:
            return draw(shape, seed=seed, dtype=dtype, **limits)
        limits = {k: tf.cast(v, tf.float64) if tf.is_tensor(v) else v for k, v in limits.items()}
        return tf.cast(draw(shape, seed=seed, dtype=tf.float64, **limits), dtype)

    return rounded


def written_out_moments(
    x: tf.Tensor, axes: Sequence[int], shift: None = None, keepdims: bool = False, name: str | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance as the textbook has them; TensorFlow's stops a gradient that second derivatives need."""
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean((x - mean) ** 2, axes, keepdims=True)
    return (mean, variance) if keepdims else (tf.squeeze(mean, axes), tf.squeeze(variance, axes))


class Reference:
    """One step of gradient descent on a case, by hand in float64, for every penalty.

    Attributes:
        weights: The trainable weights it starts from, exact in float32.
        tape_error: Relative distance of the double tape's Hessian-vector product from extrapolated differences of
            the gradient; infinite where TensorFlow has no second derivative.

    Args:
        case: The case.
    """

    def __init__(self, case: Case):
        keras.utils.set_random_seed(0)
        with precision("float64"), same_noise(), mock.patch.object(tf.nn, "moments", written_out_moments):
            self._network = (case.by_hand or case.build)()
            x, outputs = case.inputs(), self._network.output_shape[1:]
            self._x = tf.constant(x, "float64" if x.dtype.kind == "f" else x.dtype)
            self._y = tf.constant(case.targets((SAMPLES, *outputs)))
            self._state = [tf.identity(v.value) for v in self._network.non_trainable_variables]
            self.weights = case.weights(self._network)
            self._theta = [tf.constant(w, tf.float64) for w in self.weights]
            if case.assigns_weights:
                self._theta = _as_assigned_by_a_call(case.build(), self.weights, self._x)
            batches = [slice(start, start + MICRO_BATCH) for start in range(0, SAMPLES, MICRO_BATCH)]
            rows = [len(range(SAMPLES)[batch]) for batch in batches]
            parts = [self._micro_batch(batch) for batch in batches]
        mean = {name: np.average([part[name] for part in parts], axis=0, weights=rows) for name in parts[0]}
        # An exact product is the derivative of the gradient, whatever the tapes say.
        exact = mean["differentiated"]
        self.tape_error = float(np.linalg.norm(mean["tape"] - exact) / np.linalg.norm(exact))
        if self.tape_error < 1e-8:
            exact = mean["tape"]
        self._gradients = {name: mean["none"] + RATE / 4 * mean[name] for name in DIFFERENCES}
        self._gradients |= {"none": mean["none"], **dict.fromkeys(EXACT, mean["none"] + RATE / 4 * exact)}

    def gradient(self, penalty: str) -> np.ndarray:
        """The step's gradient as one vector: the samples' mean of `g_b + (lr / 4) H_b v`, `v = s g_b`."""
        return self._gradients[penalty]

    def movement(self, penalty: str) -> np.ndarray:
        """Old minus new weights, as one vector: the gradient, where no constraint and no layer changes them too."""
        steps = np.split(self.gradient(penalty), np.cumsum([np.size(w) for w in self.weights])[:-1])
        moved = []
        for variable, old, theta, step in zip(
            self._network.trainable_variables, self.weights, self._theta, steps, strict=True
        ):
            new = theta - RATE * step.reshape(old.shape)
            new = new if variable.constraint is None else variable.constraint(new)
            moved.append(np.ravel(old - np.asarray(new)))
        return np.concatenate(moved)

    def _micro_batch(self, batch: slice) -> dict[str, np.ndarray]:
        g = self._gradient_at(self._theta, batch)
        v = [STRENGTH * a for a in g]
        step = EPSILON / np.linalg.norm(_vector(v))

        def moved(distance: float) -> np.ndarray:
            return _vector(
                self._gradient_at([t + distance * a for t, a in zip(self._theta, v, strict=True)], batch)
            )

        def central(step: float) -> np.ndarray:
            return (moved(step / 2) - moved(-step / 2)) / step

        h = 1e-3 * step  # truncation of order h^4, rounding of 1e-16 / h: about 1e-11 of the product
        return {
            "none": _vector(g),
            "tape": self._double_tape(v, batch),
            "differentiated": (4 * central(h) - central(2 * h)) / 3,
            "forward_differences": (moved(step) - _vector(g)) / step,
            "central_differences": central(step),
        }

    def _loss(self, theta: Sequence[tf.Tensor], batch: slice) -> tf.Tensor:
        """The micro-batch's loss at given values of the variables, which are put into the network."""
        network = self._network
        for variable, value in zip(network.trainable_variables, theta, strict=True):
            variable.assign(value)
        for variable, value in zip(network.non_trainable_variables, self._state, strict=True):
            variable.assign(value)
        outputs = network(self._x[batch], training=True)
        squares = tf.reduce_mean((outputs - self._y[batch]) ** 2, axis=-1)
        mask = getattr(outputs, "_keras_mask", None)
        mean = tf.reduce_mean(squares if mask is None else tf.boolean_mask(squares, mask))
        return tf.add_n([mean, *network.losses])

    def _gradient_at(self, theta: Sequence[tf.Tensor], batch: slice) -> list[tf.Tensor]:
        variables = [v.value for v in self._network.trainable_variables]
        with tf.GradientTape() as tape:
            loss = self._loss(theta, batch)
        return _dense(tape.gradient(loss, variables, unconnected_gradients="zero"))

    def _double_tape(self, v: Sequence[tf.Tensor], batch: slice) -> np.ndarray:
        variables = [v.value for v in self._network.trainable_variables]
        with tf.GradientTape() as outer:
            g = self._gradient_at(self._theta, batch)
            slope = tf.add_n([tf.reduce_sum(a * b) for a, b in zip(g, v, strict=True)])
        try:
            return _vector(_dense(outer.gradient(slope, variables, unconnected_gradients="zero")))
        except LookupError:  # TensorFlow has no gradient of one of the gradient's operations
            return np.full(sum(np.size(a) for a in v), np.inf)


def _as_assigned_by_a_call(
    network: keras.Model, weights: Sequence[np.ndarray], x: tf.Tensor
) -> list[tf.Tensor]:
    """The trainable weights that a training call leaves behind, from which stock Keras then makes its update."""
    for variable, value in zip(network.trainable_variables, weights, strict=True):
        variable.assign(value)
    network(x, training=True)
    return [tf.identity(v.value) for v in network.trainable_variables]


def _dense(gradient: Sequence[tf.Tensor | tf.IndexedSlices]) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(a) for a in gradient]


def _vector(tensors: Sequence[tf.Tensor]) -> np.ndarray:
    return np.concatenate([np.ravel(a).astype("float64") for a in tensors])
