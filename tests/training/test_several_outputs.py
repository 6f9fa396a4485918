"""Gradient, penalty and curvature of several inputs and outputs with weights, against stock Keras by hand."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tf_fullbatch.core import trees
from tf_fullbatch.training.full_batch_model import FullBatchModel

SAMPLES, SIZE = 11, 4
GENERATOR = np.random.default_rng(7)
INPUTS = {"a": GENERATOR.normal(size=(SAMPLES, 2)), "b": GENERATOR.normal(size=(SAMPLES, 3))}
TARGETS = [GENERATOR.integers(0, 3, SAMPLES), GENERATOR.normal(size=(SAMPLES, 2))]
WEIGHTS = [GENERATOR.uniform(0.2, 2, SAMPLES), GENERATOR.uniform(0.2, 2, SAMPLES)]


def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    hidden = keras.layers.Dense(3, activation="softplus")(keras.layers.Concatenate()([a, b]))
    return keras.Model([a, b], [keras.layers.Dense(3)(hidden), keras.layers.Dense(2)(hidden)])


def model(**settings: Any) -> FullBatchModel:
    found = FullBatchModel(network(), micro_batch_size=SIZE, **settings)
    losses = [keras.losses.SparseCategoricalCrossentropy(from_logits=True), "mse"]
    found.compile(keras.optimizers.SGD(0.5), losses, loss_weights=[1.0, 0.3])
    return found


class ByHandTest(Float64Case, parameterized.TestCase):
    def loss(self, net: keras.Model, theta: Any, rows: slice) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The loss of some samples at the weights `theta`, and the outputs."""
        inputs = {name: x[rows] for name, x in INPUTS.items()}
        outputs, _ = net.stateless_call(theta, [], inputs, training=True)
        classes = tf.nn.sparse_softmax_cross_entropy_with_logits(TARGETS[0][rows], outputs[0])
        squares = tf.reduce_mean((outputs[1] - TARGETS[1][rows]) ** 2, -1)
        mean = tf.reduce_mean(WEIGHTS[0][rows] * classes) + 0.3 * tf.reduce_mean(WEIGHTS[1][rows] * squares)
        return mean, outputs

    def hessian(self, net: keras.Model, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Explicit (gradient, Hessian) of some samples' loss."""
        like = [v.value for v in net.trainable_variables]
        vector = trees.flatten([tf.convert_to_tensor(v) for v in like])
        with tf.GradientTape() as outer:
            outer.watch(vector)
            with tf.GradientTape() as inner:
                inner.watch(vector)
                mean, _ = self.loss(net, trees.unflatten(vector, like), rows)
            gradient = inner.gradient(mean, vector)
        return gradient.numpy(), outer.jacobian(gradient, vector).numpy()

    @parameterized.parameters("none", "nested_tape", "forward_over_reverse")
    def test_a_step(self, penalty: str) -> None:
        strength = 0.0 if penalty == "none" else 0.8
        trained = model(penalty=penalty, penalty_strength=strength)
        before = np.concatenate([w.ravel() for w in trained.network.get_weights()])
        expected = np.zeros_like(before)
        for start in range(0, SAMPLES, SIZE):
            rows = np.s_[start : start + SIZE]
            gradient, hessian = self.hessian(trained.network, rows)
            share = len(TARGETS[0][rows]) / SAMPLES
            expected += share * (gradient + 0.5 * strength / 4 * hessian @ gradient)
        trained.fit(INPUTS, TARGETS, sample_weight=WEIGHTS, verbose=0)
        after = np.concatenate([w.ravel() for w in trained.network.get_weights()])
        self.assertAllClose(before - after, 0.5 * expected, rtol=1e-11, atol=1e-13)

    def test_curvature(self) -> None:
        asked = model()
        objective = asked.objective(INPUTS, TARGETS, WEIGHTS)
        gradient, hessian = self.hessian(asked.network, np.s_[:])
        point = objective.value_and_gradient()
        self.assertAllClose(trees.flatten(point.gradient), gradient, rtol=1e-11, atol=1e-13)
        direction = GENERATOR.normal(size=len(gradient))
        v = trees.unflatten(tf.constant(direction), objective.variables)
        found = trees.flatten(objective.hvp(None, v))
        self.assertAllClose(found, hessian @ direction, rtol=1e-11, atol=1e-12)
        found = trees.flatten(objective.hvp(None, v, curvature="ggn"))
        self.assertAllClose(found, self.gauss_newton(asked.network) @ direction, rtol=1e-11, atol=1e-12)

    def gauss_newton(self, net: keras.Model) -> np.ndarray:
        """`J^T H_L J`, explicit."""
        like = [v.value for v in net.trainable_variables]
        vector = trees.flatten([tf.convert_to_tensor(v) for v in like])
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(vector)
            _, (logits, numbers) = self.loss(net, trees.unflatten(vector, like), np.s_[:])
        by_logits, by_numbers = (tape.jacobian(y, vector).numpy() for y in (logits, numbers))
        total = np.zeros((len(vector), len(vector)))
        for i in range(SAMPLES):
            p = tf.nn.softmax(logits[i]).numpy()
            of_logits = WEIGHTS[0][i] * (np.diag(p) - np.outer(p, p))
            total += by_logits[i].T @ of_logits @ by_logits[i] / SAMPLES
            total += 0.3 * WEIGHTS[1][i] * by_numbers[i].T @ by_numbers[i] / SAMPLES  # 2 / 2 numbers
        return total


if __name__ == "__main__":
    tf.test.main()
