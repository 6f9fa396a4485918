"""MAX-UP against its definition in NumPy: the maximum over copies, and the derivatives of the copy that attains it."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.core.problems import Problem, objective, scalars
from tests.float64 import Float64Case
from tf_fullbatch.core import trees
from tf_fullbatch.core.micro_batch import MicroBatch
from tf_fullbatch.core.penalties import Penalty
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.training.full_batch_model import FullBatchModel

SAMPLES, FEATURES, CLASSES, COPIES = 8, 3, 4, 5
RNG = np.random.default_rng(2)
X, Y = RNG.normal(size=(SAMPLES, FEATURES)), RNG.integers(0, CLASSES, SAMPLES)
KERNEL = RNG.normal(size=(FEATURES, CLASSES))
SPEC = tf.TensorSpec([None, FEATURES], tf.float64)


@keras.saving.register_keras_serializable(package="tests")
def shaken(inputs: Any, sample_ids: Any, epoch: Any) -> tf.Tensor:
    """Each input moved by a wave of its sample and epoch."""
    phase = tf.cast(sample_ids, inputs.dtype)[:, None] * 1.7 + tf.cast(epoch, inputs.dtype) * 2.3
    return inputs + 1.5 * tf.sin(phase + tf.range(FEATURES, dtype=inputs.dtype))


def copy(sample: int, number: int) -> np.ndarray:
    return X[sample] + 1.5 * np.sin(sample * 1.7 + number * 2.3 + np.arange(FEATURES))


def loss_of(x: np.ndarray, label: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Cross-entropy of `x W`, its gradient and Hessian in W's entries."""
    z = x @ KERNEL
    p = np.exp(z - z.max())
    p /= p.sum()
    first, second = p - np.eye(CLASSES)[label], np.diag(p) - np.outer(p, p)
    return -np.log(p[label]), np.kron(x, first), np.kron(np.outer(x, x), second)


def expected(epoch: int, copies: int = COPIES) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean over the samples of the copy of the highest loss: loss, gradient `[12]`, Hessian `[12, 12]`."""
    parts = []
    for i in range(SAMPLES):
        of_copies = [loss_of(copy(i, copies * epoch + c), Y[i]) for c in range(copies)]
        parts.append(max(of_copies, key=lambda one: one[0]))
    return tuple(np.mean(part, axis=0) for part in zip(*parts, strict=True))  # type: ignore[return-value]


def linear() -> keras.Model:
    network = keras.Sequential([keras.Input([FEATURES]), keras.layers.Dense(CLASSES, use_bias=False)])
    network.set_weights([KERNEL])
    return network


def when(epoch: int) -> Any:
    return scalars()._replace(epoch=tf.constant(epoch, tf.int64))


def batch() -> MicroBatch:
    ids = tf.range(SAMPLES, dtype=tf.int64)
    return MicroBatch(tf.constant(X), tf.constant(Y), ids, tf.constant(0, tf.int64))


class DefinitionTest(Float64Case):
    def test_loss_gradient_and_products_in_any_micro_batches(self) -> None:
        direction = RNG.normal(size=KERNEL.shape)
        for epoch, sizes in ((0, (1,)), (3, (3, 8))):
            loss, gradient, hessian = expected(epoch)
            for size in sizes:
                problem = Problem(linear(), inputs=SPEC, augmentation=shaken, copies=COPIES)
                asked = objective(problem, X, Y, when=when(epoch), micro_batch_size=size)
                point = asked.value_and_gradient()
                self.assertAllClose(asked.loss(), loss, rtol=1e-12)
                self.assertAllClose(point.loss, loss, rtol=1e-12)
                self.assertAllClose(np.ravel(point.gradient[0]), gradient, rtol=1e-11)
                for curvature in ("hessian", "ggn"):  # of a linear network they are one
                    (product,) = asked.hvp(None, [tf.constant(direction)], curvature=curvature)
                    self.assertAllClose(np.ravel(product), hessian @ direction.ravel(), rtol=1e-10)
                self.assertAllClose(asked.evaluations, COPIES * (1 / 3 + 1 + 2 + 2), rtol=1e-12)

    def test_penalty_by_every_exact_operator(self) -> None:
        _, gradient, hessian = expected(0)
        problem = Problem(linear(), inputs=SPEC, augmentation=shaken, copies=COPIES)
        for name in ("nested_tape", "forward_over_reverse"):
            found = problem.gradient(batch(), when(0), penalty=Penalty(name=name))
            self.assertAllClose(
                trees.flatten(found.gradient), gradient + 0.8 / 4 * 0.5 * hessian @ gradient, rtol=1e-11
            )

    def test_one_copy_is_the_augmentation(self) -> None:
        plain = Problem(linear(), inputs=SPEC, augmentation=shaken)
        one = Problem(linear(), inputs=SPEC, augmentation=shaken, copies=1)
        for problem in (plain, one):
            loss, gradient, _ = expected(2, copies=1)
            found = problem.gradient(batch(), when(2))
            self.assertAllClose(found.loss, loss, rtol=1e-12)
            self.assertAllClose(trees.flatten(found.gradient), gradient, rtol=1e-11)
        self.assertAllEqual(
            plain.gradient(batch(), when(2)).gradient[0], one.gradient(batch(), when(2)).gradient[0]
        )

    def test_batch_normalisation_takes_all_copies(self) -> None:
        norm = keras.layers.BatchNormalization(momentum=0.0, center=False, scale=False)
        network = keras.Sequential([keras.Input([FEATURES]), norm, keras.layers.Dense(CLASSES)])
        problem = Problem(network, inputs=SPEC, augmentation=shaken, copies=COPIES)
        mean, variance = problem.gradient(batch(), when(1)).measurements
        copies = np.array([copy(i, COPIES + c) for i in range(SAMPLES) for c in range(COPIES)])
        self.assertAllClose(mean, copies.mean(axis=0), rtol=1e-12, atol=1e-14)
        self.assertAllClose(variance, copies.var(axis=0), rtol=1e-12)


class TrainingTest(Float64Case):
    def model(self, network: keras.Model, **settings: Any) -> FullBatchModel:
        model = FullBatchModel(network, accumulate_dtype="float64", **settings)
        descent = GradientDescent(0.3, momentum=0.0, nesterov=False)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=descent, loss=loss)
        return model

    def test_steps(self) -> None:
        global KERNEL
        start = KERNEL
        model = self.model(linear(), augmentation_function=shaken, max_up=COPIES, micro_batch_size=3)
        try:
            for epoch in range(3):
                loss, gradient, _ = expected(epoch)
                model.fit(X, Y, epochs=epoch + 1, initial_epoch=epoch, verbose=0)
                self.assertAllClose(model.last_step["loss"], loss, rtol=1e-6)
                self.assertEqual(model.last_step["gradient_evaluations"], COPIES)
                KERNEL = KERNEL - 0.3 * gradient.reshape(KERNEL.shape)
                self.assertAllClose(model.network.get_weights()[0], KERNEL, rtol=1e-11)
        finally:
            KERNEL = start
        found = model.evaluate(X, Y, verbose=0)  # of the inputs as they are
        network_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(Y, model.network(X))
        self.assertAllClose(found, network_loss, rtol=1e-6)

    def test_refused(self) -> None:
        with self.assertRaisesRegex(UserError, "all the same without an augmentation"):
            self.model(linear(), max_up=2).fit(X, Y, verbose=0)
        with self.assertRaisesRegex(UserError, "max_up=0: must be at least 1"):
            self.model(linear(), max_up=0)
        inputs = keras.Input([FEATURES])
        outputs = [keras.layers.Dense(CLASSES)(inputs), keras.layers.Dense(CLASSES)(inputs)]
        model = self.model(keras.Model(inputs, outputs), augmentation_function=shaken, max_up=2)
        with self.assertRaisesRegex(UserError, "max_up=2 is for a network of one output"):
            model.fit(X, [Y, Y], verbose=0)


if __name__ == "__main__":
    tf.test.main()
