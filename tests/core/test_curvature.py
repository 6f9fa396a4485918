"""Products with a micro-batch's Hessian and Gauss-Newton matrix against explicit matrices."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.core.problems import HIDDEN, ROWS, Problem, X, Y, batch, matrix, mean_squares, scalars, smooth
from tests.float64 import Float64Case
from tests.networks import CLASSES, FEATURES
from tf_fullbatch.core import trees
from tf_fullbatch.core.curvature import CURVATURES
from tf_fullbatch.core.micro_batch import MicroBatch

GENERATOR = np.random.default_rng(17)


def jacobian(problem: Problem, part: MicroBatch) -> np.ndarray:
    """Explicit J of all outputs of a micro-batch, `[outputs, parameters]`."""
    vector, like = trees.flatten(problem.theta), problem.theta
    with tf.GradientTape() as tape:
        tape.watch(vector)
        theta = trees.unflatten(vector, like)
        called = problem.loss.called(theta, problem.state, part, scalars(), derivatives=2)
        outputs = tf.reshape(called.outputs, [-1])
    return tape.jacobian(outputs, vector).numpy()


def softmax_curvature(logits: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """`H_L` of the mean cross-entropy, `w_i / B (diag(p_i) - p_i p_i^T)` in blocks."""
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    rows, classes = p.shape
    found = np.zeros((rows * classes, rows * classes))
    for i in range(rows):
        block = slice(i * classes, (i + 1) * classes)
        found[block, block] = factors[i] / rows * (np.diag(p[i]) - np.outer(p[i], p[i]))
    return found


def sequences() -> tuple[Problem, MicroBatch, np.ndarray]:
    """A network with masked places and several outputs per place, a micro-batch, and the places that count."""
    keras.utils.set_random_seed(1)
    network = keras.Sequential(
        [
            keras.Input((4, 2)),
            keras.layers.Masking(),
            keras.layers.Dense(3, activation="softplus"),
            keras.layers.Dense(2),
        ]
    )
    problem = Problem(network, mean_squares, tf.TensorSpec([None, 4, 2], tf.float64))
    steps = GENERATOR.normal(size=(3, 4, 2))
    steps[0, 2:] = steps[2, :3] = 0
    targets = GENERATOR.normal(size=(3, 4, 2))
    ids = tf.range(3, dtype=tf.int64)
    part = MicroBatch(tf.constant(steps), tf.constant(targets), ids, tf.constant(0, tf.int64))
    return problem, part, np.any(steps != 0, -1)


class CurvatureCase(Float64Case):
    def assert_close(self, found: Any, expected: Any, tolerance: float = 1e-12) -> None:
        self.assertEqual(np.shape(found), np.shape(expected))
        self.assertLess(np.linalg.norm(found - expected), tolerance * np.linalg.norm(expected))


class HessianTest(CurvatureCase):
    @parameterized.parameters(*HIDDEN)
    def test_is_the_explicit_hessian_and_symmetric(self, name: str) -> None:
        problem = smooth(*HIDDEN[name]())
        for part in (batch(2), batch(2, tf.constant(GENERATOR.normal(size=ROWS)))):
            found = matrix(problem, "hessian", part)
            self.assert_close(found, problem.hessian(part, scalars()))
            self.assert_close(found, found.T)

    def test_of_normalisation_written_out(self) -> None:
        # Independent of Keras' layers and of the replacement of tf.nn.moments.
        problem = smooth(keras.layers.BatchNormalization(), keras.layers.LayerNormalization())

        def normalised(x: tf.Tensor, axis: int, gamma: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
            centred = x - tf.reduce_mean(x, axis, keepdims=True)
            variance = tf.reduce_mean(centred**2, axis, keepdims=True)
            return gamma * centred / tf.sqrt(variance + 1e-3) + beta

        def loss(theta: trees.Tree) -> tf.Tensor:
            w, b, gamma, beta, scale, offset, head, c = theta
            x = normalised(tf.math.softplus(X @ w + b), 0, gamma, beta)
            logits = normalised(x, 1, scale, offset) @ head + c
            return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(Y, logits))

        vector, like = trees.flatten(problem.theta), problem.theta
        with tf.GradientTape() as outer:
            outer.watch(vector)
            with tf.GradientTape() as inner:
                inner.watch(vector)
                value = loss(trees.unflatten(vector, like))
            first = inner.gradient(value, vector)
        self.assertAllClose(value, problem.value(like, batch(), scalars()), rtol=1e-12, atol=0)
        self.assert_close(matrix(problem, "hessian", batch()), outer.jacobian(first, vector).numpy(), 1e-11)

    def test_of_masked_places_and_several_outputs(self) -> None:
        problem, part, kept = sequences()
        self.assert_close(matrix(problem, "hessian", part), problem.hessian(part, scalars()))
        product = CURVATURES["hessian"](
            problem.loss, problem.theta, problem.state, part, scalars(), problem.theta
        )
        self.assertEqual(float(product[1]), kept.sum())


class GaussNewtonTest(CurvatureCase):
    @parameterized.parameters(*(name for name in HIDDEN if name != "regularizers"))
    def test_is_the_explicit_product_of_jacobians_and_the_loss_hessian(self, name: str) -> None:
        problem = smooth(*HIDDEN[name]())
        called = problem.loss.called(problem.theta, problem.state, batch(2), scalars(), derivatives=2)
        j, logits = jacobian(problem, batch(2)), called.outputs.numpy()
        for weights in (None, GENERATOR.normal(size=ROWS)):
            part = batch(2, None if weights is None else tf.constant(weights))
            factors = np.ones(ROWS) if weights is None else weights
            expected = j.T @ softmax_curvature(logits, factors) @ j
            self.assert_close(matrix(problem, "ggn", part), expected)

    @parameterized.parameters(*HIDDEN)
    def test_is_positive_semi_definite_and_not_the_hessian(self, name: str) -> None:
        problem = smooth(*HIDDEN[name]())
        found = matrix(problem, "ggn", batch())
        self.assert_close(found, found.T)
        values = np.linalg.eigvalsh((found + found.T) / 2)
        hessian = problem.hessian(batch(), scalars())
        if name != "regularizers":  # which enter by their own Hessian, whatever its sign
            self.assertGreater(values.min(), -1e-13 * values.max())
            self.assertLess(np.linalg.eigvalsh(hessian).min(), -1e-6 * values.max())
        self.assertGreater(np.linalg.norm(found - hessian), 1e-3 * np.linalg.norm(hessian))

    def test_added_losses_enter_by_their_own_hessian(self) -> None:
        problem = smooth(*HIDDEN["regularizers"]())
        called = problem.loss.called(problem.theta, problem.state, batch(), scalars(), derivatives=2)
        self.assertLen(called.losses, 2)
        j, logits = jacobian(problem, batch()), called.outputs.numpy()
        vector, like = trees.flatten(problem.theta), problem.theta
        with tf.GradientTape() as outer:
            outer.watch(vector)
            with tf.GradientTape() as inner:
                inner.watch(vector)
                w, b, v, c, *_ = trees.unflatten(vector, like)
                hidden = tf.math.softplus(tf.math.softplus(X @ w + b) @ v + c)
                # Keras' coefficients are float32, and divided by the batch size for activities.
                l2, activity = (tf.cast(tf.constant(n, tf.float32), tf.float64) for n in (0.3, 0.1))
                added = l2 * tf.reduce_sum(v**2) + activity * tf.reduce_sum(hidden**2) / ROWS
            first = inner.gradient(added, vector)
        expected = outer.jacobian(first, vector).numpy() + j.T @ softmax_curvature(logits, np.ones(ROWS)) @ j
        self.assert_close(matrix(problem, "ggn", batch()), expected, 1e-7)

    def test_of_masked_places_and_several_outputs(self) -> None:
        problem, part, kept = sequences()
        j = jacobian(problem, part)
        # The mean over places of the mean of 2 squares: 2 / 2 per place that counts.
        curvature = np.repeat(kept.ravel(), 2) / kept.sum()
        self.assert_close(matrix(problem, "ggn", part), j.T @ (curvature[:, None] * j))
        product = CURVATURES["ggn"](
            problem.loss, problem.theta, problem.state, part, scalars(), problem.theta
        )
        self.assertEqual(float(product[1]), kept.sum())

    def test_equals_the_hessian_of_a_linear_network_with_squares(self) -> None:
        keras.utils.set_random_seed(0)
        network = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(CLASSES)])
        problem = Problem(network, mean_squares)
        part = batch()._replace(targets=tf.constant(GENERATOR.normal(size=(ROWS, CLASSES))))
        found = matrix(problem, "ggn", part)
        self.assert_close(found, problem.hessian(part, scalars()), 1e-13)
        x = np.concatenate([X, np.ones((ROWS, 1))], 1)
        expected = np.kron(2 / (ROWS * CLASSES) * x.T @ x, np.eye(CLASSES))
        self.assert_close(found, expected, 1e-13)

    def test_weights_that_outputs_do_not_depend_on_have_no_curvature(self) -> None:
        class Unused(keras.layers.Layer):
            """Has a weight that nobody looks at."""

            def build(self, shape: tuple[int | None, ...]) -> None:
                self.weight = self.add_weight(shape=(2,), initializer="ones")

            def call(self, x: tf.Tensor) -> tf.Tensor:
                return x

        problem = smooth(Unused())
        for name in CURVATURES:
            product, _ = CURVATURES[name](
                problem.loss, problem.theta, problem.state, batch(), scalars(), problem.theta
            )
            self.assertAllEqual(product[2], [0.0, 0.0])
            self.assertGreater(np.abs(product[0]).max(), 1e-3)


class HalfPrecisionTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*CURVATURES)
    def test_products_have_the_variables_dtypes(self, name: str) -> None:
        keras.config.set_dtype_policy("mixed_bfloat16")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        problem = smooth()
        product, weight = CURVATURES[name](
            problem.loss, problem.theta, problem.state, batch(), scalars(), problem.theta
        )
        self.assertEqual({leaf.dtype for leaf in product}, {tf.float32})
        self.assertEqual(float(weight), ROWS)
        self.assertTrue(all(np.isfinite(leaf).all() for leaf in product))


if __name__ == "__main__":
    tf.test.main()
