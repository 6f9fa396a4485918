"""Second derivatives of networks, against difference quotients of gradients."""

import threading
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch.core.losses import SparseCrossentropy
from tf_fullbatch.core.second_derivatives import (
    elementwise_cross_entropies,
    exact_second_derivatives,
    moments,
    sparse_cross_entropy,
)
from tf_fullbatch.models.build import build_network

STEP = 1e-5
Tensors = list[tf.Tensor]


class Problem:
    """The mean loss of a small network in float64, as a function of its weights, and one direction."""

    def __init__(self, name: str = "resnet_tiny", **choices: str):
        side = 8 if choices.get("stem", "auto") == "auto" else 16
        self.network = build_network(
            name,
            input_shape=(side, side, 3),
            num_classes=3,
            pixel_mean=(0.5,) * 3,
            pixel_std=(0.25,) * 3,
            width=4,
            **choices,
        )
        generator = np.random.default_rng(0)
        self.x = tf.constant(generator.integers(0, 256, (4, side, side, 3), dtype=np.uint8))
        self.y = tf.constant([0, 1, 2, 0])
        self.weights = [tf.identity(variable.value) for variable in self.network.trainable_variables]
        self.statistics = [variable.value for variable in self.network.non_trainable_variables]
        self.direction = [tf.constant(generator.normal(size=w.shape)) for w in self.weights]

    def gradient(self, weights: Tensors) -> Tensors:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            logits, _, losses = self.network.stateless_call(
                weights, self.statistics, self.x, training=True, return_losses=True
            )
            per_sample = keras.losses.sparse_categorical_crossentropy(self.y, logits, from_logits=True)
            loss = tf.add_n([tf.reduce_mean(per_sample), *losses])
        return tape.gradient(loss, weights)

    def nested(self, weights: Tensors) -> Tensors:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            product = tf.add_n(
                [tf.reduce_sum(g * v) for g, v in zip(self.gradient(weights), self.direction, strict=True)]
            )
        return tape.gradient(product, weights)

    def forward_over_reverse(self, weights: Tensors) -> Tensors:
        with tf.autodiff.ForwardAccumulator(weights, self.direction) as accumulator:
            gradient = self.gradient(weights)
        return [accumulator.jvp(g) for g in gradient]

    def difference_quotient(self) -> Tensors:
        def at(step: float) -> Tensors:
            return self.gradient([w + step * v for w, v in zip(self.weights, self.direction, strict=True)])

        return [(p - m) / (2 * STEP) for p, m in zip(at(STEP), at(-STEP), strict=True)]


def relative_error(result: Tensors, expected: Tensors) -> float:
    squares = [tf.reduce_sum((a - b) ** 2) for a, b in zip(result, expected, strict=True)]
    return float(tf.sqrt(tf.add_n(squares)) / tf.linalg.global_norm(expected))


class SecondDerivativeTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        keras.config.set_dtype_policy("float64")

    def tearDown(self):
        keras.config.set_dtype_policy("float32")
        super().tearDown()

    @parameterized.parameters(
        {"norm": "batch", "shortcut": "pool_conv_norm"},
        {"norm": "batch", "shortcut": "conv_norm", "stem": "imagenet"},
        {"norm": "group", "shortcut": "pad", "activation": "silu"},
        {"norm": "none", "shortcut": "conv", "activation": "gelu"},
        {"name": "mlp"},
    )
    def test_equal_the_difference_quotient_on_smooth_networks(self, **choices: str):
        problem = Problem(**{"activation": "softplus", **choices})
        with exact_second_derivatives():
            nested = problem.nested(problem.weights)
            forward = problem.forward_over_reverse(problem.weights)
        self.assertLess(relative_error(nested, problem.difference_quotient()), 1e-6)
        self.assertLess(relative_error(forward, nested), 1e-10)

    def test_nested_and_forward_agree_on_relu_in_compiled_functions(self):
        problem = Problem()
        with exact_second_derivatives():
            nested = tf.function(problem.nested)(problem.weights)
            forward = tf.function(problem.forward_over_reverse)(problem.weights)
        self.assertLess(relative_error(forward, nested), 1e-10)

    @parameterized.parameters("batch", "group")
    def test_without_the_replacement_they_are_wrong(self, norm: str):
        # The reason for the module. If this fails, TensorFlow has mended tf.nn.moments: remove the module.
        problem = Problem(norm=norm, activation="softplus")
        error = relative_error(problem.nested(problem.weights), problem.difference_quotient())
        self.assertGreater(error, 0.1)


class MomentsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(axes=([0, 1], [-1], [0, 1, 2]), keepdims=(True, False))
    def test_values_and_gradients_are_those_of_tensorflow(self, axes: list[int], keepdims: bool):
        x = tf.constant(np.random.default_rng(0).normal(1, 2, (4, 5, 3)))
        results = []
        for function in (moments, tf.nn.moments):
            with tf.GradientTape() as tape:
                tape.watch(x)
                mean, variance = function(x, axes, keepdims=keepdims)
                total = tf.reduce_sum(tf.sin(mean) * tf.exp(variance))
            results.append((mean, variance, tape.gradient(total, x)))
        for ours, theirs in zip(*results, strict=True):
            self.assertAllClose(ours, theirs, rtol=1e-12, atol=1e-12)

    def test_hessian_of_the_variance_is_the_textbook_one(self):
        x = tf.constant([1.0, 4.0, 2.0, 7.0], tf.float64)
        with tf.GradientTape() as outer, tf.GradientTape() as inner:
            outer.watch(x)
            inner.watch(x)
            variance = moments(x, [0])[1]
            gradient = inner.gradient(variance, x)
        hessian = outer.jacobian(gradient, x)
        self.assertAllClose(hessian, 2 / 4 * (np.eye(4) - np.ones((4, 4)) / 4), rtol=1e-14, atol=1e-14)

    def test_tensorflow_is_restored_after_the_last_exit(self):
        original = tf.nn.moments
        with self.assertRaisesRegex(RuntimeError, "inside"), exact_second_derivatives():
            with exact_second_derivatives():
                self.assertIs(tf.nn.moments, moments)
            self.assertIs(tf.nn.moments, moments)
            raise RuntimeError("inside")
        self.assertIs(tf.nn.moments, original)

    def test_threads_may_leave_in_the_order_they_came(self):
        original = tf.nn.moments
        entered, leave = threading.Event(), threading.Event()

        def other() -> None:
            with exact_second_derivatives():
                entered.set()
                leave.wait(10)

        thread = threading.Thread(target=other)
        with exact_second_derivatives():
            thread.start()
            self.assertTrue(entered.wait(10))
        self.assertIs(tf.nn.moments, moments)
        leave.set()
        thread.join(10)
        self.assertIs(tf.nn.moments, original)


class CrossEntropyTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(((4,),), ((2, 3),))
    def test_value_and_derivatives_are_the_textbook_s(self, places: tuple[int, ...]):
        """With p = softmax(z): `-log p_y`, `p - e_y`, `diag(p) - p p^T`."""
        generator, classes = np.random.default_rng(0), 5
        z = generator.normal(0, 3, (*places, classes))
        y = generator.integers(0, classes, places)
        p = np.exp(z) / np.sum(np.exp(z), axis=-1, keepdims=True)
        v, one_hot = generator.normal(size=z.shape), np.eye(classes)[y]
        logits = tf.constant(z)
        with tf.GradientTape() as outer, tf.GradientTape() as inner:
            outer.watch(logits)
            inner.watch(logits)
            losses = sparse_cross_entropy(labels=tf.constant(y), logits=logits)
            gradient = inner.gradient(losses, logits)
        product = outer.gradient(gradient, logits, tf.constant(v))
        self.assertAllClose(losses, -np.log(np.sum(p * one_hot, axis=-1)), rtol=1e-13, atol=1e-14)
        self.assertAllClose(gradient, p - one_hot, rtol=0, atol=1e-14)
        self.assertAllClose(product, p * v - p * np.sum(p * v, axis=-1, keepdims=True), rtol=0, atol=1e-14)

    def test_classes_that_are_ruled_out_and_labels_that_are_none(self):
        logits = tf.constant([[0.0, 1.0, -np.inf], [0.0, 1.0, 2.0], [0.0, 1.0, 2.0]], tf.float64)
        losses = sparse_cross_entropy(labels=tf.constant([0, 3, -1]), logits=logits)
        self.assertAllClose(losses, [np.log(1 + np.e), np.nan, np.nan], rtol=1e-14)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = sparse_cross_entropy(labels=tf.constant([0]), logits=logits[:1])
        self.assertAllClose(
            tape.gradient(loss, logits)[0], [1 / (1 + np.e) - 1, np.e / (1 + np.e), 0], atol=1e-14
        )

    @parameterized.parameters(
        SparseCrossentropy(), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    def test_no_loss_takes_a_matrix_product_per_sample(self, loss: keras.losses.Loss):
        def product(logits: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as outer, tf.GradientTape() as inner:
                outer.watch(logits)
                inner.watch(logits)
                with elementwise_cross_entropies():
                    value = loss(tf.constant([0, 2]), logits)
                gradient = inner.gradient(value, logits)
            return outer.gradient(gradient, logits, logits)

        def products(function: Callable[[tf.Tensor], tf.Tensor]) -> int:
            graph = tf.function(function).get_concrete_function(tf.TensorSpec((2, 3))).graph
            return sum("MatMul" in operation.type for operation in graph.get_operations())

        self.assertEqual(products(product), 0)

    def test_without_the_replacement_there_is_one(self):
        """The reason for it. If this fails, TensorFlow has mended its gradient: remove `sparse_cross_entropy`."""

        def product(logits: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as outer, tf.GradientTape() as inner:
                outer.watch(logits)
                inner.watch(logits)
                value = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[0, 2], logits=logits)
                gradient = inner.gradient(value, logits)
            return outer.gradient(gradient, logits, logits)

        graph = tf.function(product).get_concrete_function(tf.TensorSpec((2, 3))).graph
        self.assertTrue(any("MatMul" in operation.type for operation in graph.get_operations()))


if __name__ == "__main__":
    tf.test.main()
