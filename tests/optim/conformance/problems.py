"""Small problems in float64 whose minimum is known, or which have but to be gone down."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
from scipy import optimize
from scipy.special import logsumexp

FEATURES, CLASSES = 5, 3
DECAY = 0.01
EIGENVALUES = (1.0, 0.7, 0.4, 0.2)
"""Of the quadratic's Hessian."""


class Minimum(NamedTuple):
    """Of a decayed loss the least value, and the Hessian's eigenvalues there that are not 0, float64, ascending."""

    value: float
    curvatures: np.ndarray


class Problem(NamedTuple):
    """A network, the same at each call, and what it is trained on.

    Attributes:
        network: Builds it.
        inputs: `[samples, ...]`.
        targets: `[samples, ...]`.
        loss: Name of a Keras loss, or one.
        minimum: Of a weight decay the minimum of the decayed loss; None where it is not known.
        curvature: About the largest of the loss.
    """

    network: Callable[[], keras.Model]
    inputs: np.ndarray
    targets: np.ndarray
    loss: Callable[[], keras.losses.Loss]
    minimum: Callable[[float], Minimum] | None = None
    curvature: float = 1.0


class Rosenbrock(keras.layers.Layer):
    """Of any inputs `[batch, 1]` the residuals `(1 - x, 10 (y - x^2))`, x and y its weights."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.x = self.add_weight(shape=(), name="x")
        self.y = self.add_weight(shape=(), name="y")

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        residuals = keras.ops.stack([1 - self.x, 10 * (self.y - self.x**2)])
        return residuals + 0 * inputs


def dense(units: int, seed: int, **settings: object) -> keras.layers.Dense:
    return keras.layers.Dense(units, kernel_initializer=keras.initializers.GlorotUniform(seed), **settings)


def quadratic() -> Problem:
    """Linear regression without an error: `sum_i h_i |w_i - w*_i|^2 / 2`, h the `EIGENVALUES`, two weights each."""
    generator = np.random.default_rng(0)
    orthogonal, _ = np.linalg.qr(generator.normal(size=(12, 4)))
    rotated, _ = np.linalg.qr(generator.normal(size=(4, 4)))
    inputs = orthogonal * np.sqrt(12 * np.array(EIGENVALUES)) @ rotated
    targets = inputs @ generator.normal(size=(4, 2))
    return Problem(
        lambda: keras.Sequential([keras.Input((4,)), dense(2, 0, use_bias=False)]),
        inputs,
        targets,
        keras.losses.MeanSquaredError,
        lambda decay: Minimum(0.0 if not decay else np.nan, np.array(EIGENVALUES[::-1])),
    )


def rosenbrock() -> Problem:
    """Rosenbrock's function, halved, as the mean square of two residuals: `((1 - x)^2 + 100 (y - x^2)^2) / 2`."""

    def network() -> keras.Model:
        found = keras.Sequential([keras.Input((1,)), Rosenbrock()])
        found.set_weights([np.array(-1.2), np.array(1.0)])
        return found

    return Problem(
        network,
        np.zeros((3, 1)),
        np.zeros((3, 2)),
        keras.losses.MeanSquaredError,
        curvature=1000.0,
    )


def some_classes(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs `[samples, FEATURES]` and classes `[samples]` that they say nothing of."""
    inputs = np.random.default_rng(0).normal(size=(samples, FEATURES))
    return inputs, np.random.default_rng(1).integers(0, CLASSES, samples)


@functools.cache
def logistic_minimum(decay: float) -> Minimum:
    """By SciPy and two of Newton's steps, of the loss and `decay / 2 |w|^2`."""
    inputs, y = some_classes(60)
    x = np.column_stack([inputs, np.ones(len(y))])

    def probabilities(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits = x @ w.reshape(FEATURES + 1, CLASSES)
        logs = logits - logsumexp(logits, axis=1, keepdims=True)
        return np.exp(logs), logs

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        p, logs = probabilities(w)
        gradient = np.ravel(x.T @ (p - np.eye(CLASSES)[y])) / len(y) + decay * w
        return -logs[np.arange(len(y)), y].mean() + decay / 2 * w @ w, gradient

    options = {"ftol": 0, "gtol": 1e-12}
    start = np.zeros((FEATURES + 1) * CLASSES)
    w = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    for _ in range(2):
        p, _ = probabilities(w)
        hessians = [np.kron(np.outer(a, a), np.diag(q) - np.outer(q, q)) for a, q in zip(x, p, strict=True)]
        hessian = np.mean(hessians, 0) + decay * np.eye(len(w))
        w = w - np.linalg.pinv(hessian, hermitian=True) @ loss(w)[1]
    values = np.linalg.eigvalsh(hessian)
    return Minimum(float(loss(w)[0]), values[values > 1e-9])


def cross_entropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def logistic() -> Problem:
    """Logistic regression of classes that no plane parts."""
    return Problem(
        lambda: keras.Sequential([keras.Input((FEATURES,)), dense(CLASSES, 0)]),
        *some_classes(60),
        cross_entropy,
        logistic_minimum,
    )


def tanh_mlp() -> Problem:
    """A network of one hidden layer, of 23 samples: no size of micro-batches divides them."""
    return Problem(
        lambda: keras.Sequential(
            [keras.Input((FEATURES,)), dense(4, 0, activation="tanh"), dense(CLASSES, 1)]
        ),
        *some_classes(23),
        cross_entropy,
    )


def batch_norm() -> Problem:
    """The same with batch normalisation."""
    return Problem(
        lambda: keras.Sequential(
            [
                keras.Input((FEATURES,)),
                dense(4, 0, activation="tanh"),
                keras.layers.BatchNormalization(),
                dense(CLASSES, 1),
            ]
        ),
        *some_classes(23),
        cross_entropy,
    )


PROBLEMS = {f.__name__: f for f in (quadratic, rosenbrock, logistic, tanh_mlp, batch_norm)}
