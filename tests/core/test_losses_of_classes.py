"""Losses of class numbers beside the cross-entropy: values, gradients and Hessians in NumPy, float64."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tests.float64 import Float64Case
from tf_fullbatch.core.focal import SparseFocal
from tf_fullbatch.core.incorrect_only import IncorrectOnly
from tf_fullbatch.core.losses import SparseCrossentropy, SparseLoss, without_smoothing
from tf_fullbatch.core.second_derivatives import elementwise_cross_entropies
from tf_fullbatch.core.sigmoid import SparseSigmoid
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.training.full_batch_model import FullBatchModel

SAMPLES, CLASSES = 8, 5
Known = tuple[float, np.ndarray, np.ndarray]
"""Loss of a sample, its gradient `[classes]` and Hessian `[classes, classes]` in the logits."""


def data(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Labels, some of them where the largest logit is, and logits."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(SAMPLES, CLASSES))
    labels = generator.integers(0, CLASSES, SAMPLES)
    labels[::3] = logits[::3].argmax(axis=1)
    return labels, logits


def softmax(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p, and the Hessian `diag(p) - p p^T` of the log of its denominator."""
    p = np.exp(z - z.max())
    p /= p.sum()
    return p, np.diag(p) - np.outer(p, p)


def against(targets: np.ndarray, z: np.ndarray) -> Known:
    p, curved = softmax(z)
    return -targets @ np.log(p), p * targets.sum() - targets, curved * targets.sum()


def smoothed_over_others(smoothing: float) -> Callable[[int, np.ndarray], Known]:
    def known(label: int, z: np.ndarray) -> Known:
        targets = np.full(CLASSES, smoothing / (CLASSES - 1))
        targets[label] = 1 - smoothing
        return against(targets, z)

    return known


def incorrect_only(label: int, z: np.ndarray) -> Known:
    if z.argmax() == label:
        return 0.0, np.zeros(CLASSES), np.zeros((CLASSES, CLASSES))
    return against(np.eye(CLASSES)[label], z)


def focal(gamma: float) -> Callable[[int, np.ndarray], Known]:
    def known(label: int, z: np.ndarray) -> Known:
        p, curved = softmax(z)
        q, u = p[label], np.log(p[label])
        away = np.eye(CLASSES)[label] - p  # the gradient of u; its Hessian is -curved
        first = gamma * q * (1 - q) ** (gamma - 1) * u - (1 - q) ** gamma
        second = gamma * q * (1 - q) ** (gamma - 1) * (u + 2)
        second -= gamma * (gamma - 1) * q**2 * (1 - q) ** (gamma - 2) * u
        return -((1 - q) ** gamma) * u, first * away, second * np.outer(away, away) - first * curved

    return known


def sigmoid(label: int, z: np.ndarray) -> Known:
    s, targets = 1 / (1 + np.exp(-z)), np.eye(CLASSES)[label]
    loss = -(targets * np.log(s) + (1 - targets) * np.log(1 - s)).sum()
    return loss, s - targets, np.diag(s * (1 - s))


LOSSES: dict[str, tuple[SparseLoss, Callable[[int, np.ndarray], Known]]] = {
    "smoothed over others": (
        SparseCrossentropy(0.3, label_smoothing_form="others"),
        smoothed_over_others(0.3),
    ),
    "incorrect only": (IncorrectOnly(), incorrect_only),
    "focal, gamma 2": (SparseFocal(), focal(2.0)),
    "focal, gamma 0.5": (SparseFocal(0.5), focal(0.5)),
    "sigmoid": (SparseSigmoid(), sigmoid),
}


def all_known(function: Callable[[int, np.ndarray], Known]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts = [function(int(label), z) for label, z in zip(*data(), strict=True)]
    return tuple(np.stack(part) for part in zip(*parts, strict=True))  # type: ignore[return-value]


class FormulasTest(tf.test.TestCase):
    def test_values_and_derivatives(self) -> None:
        labels, given = data()
        logits = tf.constant(given)
        for name, (loss, function) in LOSSES.items():
            losses, gradients, hessians = all_known(function)
            for manager in (tf.name_scope("plain"), elementwise_cross_entropies()):
                with self.subTest(name), manager, tf.GradientTape(persistent=True) as outer:
                    outer.watch(logits)
                    with tf.GradientTape() as inner:
                        inner.watch(logits)
                        per_sample = loss.call(labels, logits)
                    gradient = inner.gradient(per_sample, logits)
                blocks = outer.batch_jacobian(gradient, logits, experimental_use_pfor=False)
                self.assertAllClose(per_sample, losses, rtol=1e-12, atol=1e-15)
                self.assertAllClose(gradient, gradients, rtol=1e-12, atol=1e-15)
                self.assertAllClose(blocks, hessians, rtol=1e-11, atol=1e-14)

    def test_forward_over_reverse(self) -> None:
        labels, given = data()
        logits, tangent = tf.constant(given), np.random.default_rng(0).normal(size=given.shape)

        def product(loss: SparseLoss) -> tf.Tensor:
            with tf.autodiff.ForwardAccumulator(logits, tf.constant(tangent)) as accumulator:
                with tf.GradientTape() as tape:
                    tape.watch(logits)
                    per_sample = loss.call(labels, logits)
                gradient = tape.gradient(per_sample, logits)
            return accumulator.jvp(gradient)

        for name, (loss, function) in LOSSES.items():
            with self.subTest(name):
                hessians = all_known(function)[2]
                expected = np.einsum("nij,nj->ni", hessians, tangent)
                self.assertAllClose(product(loss), expected, rtol=1e-11, atol=1e-14)

    def test_extreme_logits_give_finite_derivatives(self) -> None:
        labels = tf.constant([0, 1, 2, 0])
        logits = tf.constant([[1e3, 0, 0, 0, 0], [1e3, 0, 0, 0, 0], [0.0] * 5, [60.0, 0, 0, 0, 0]])
        for name, (loss, _) in LOSSES.items():
            with self.subTest(name), tf.GradientTape(persistent=True) as outer:
                outer.watch(logits)
                with tf.GradientTape() as inner:
                    inner.watch(logits)
                    per_sample = loss.call(labels, logits)
                gradient = inner.gradient(per_sample, logits)
            self.assertAllInRange(per_sample, -1e-6, 1.1e4)
            self.assertAllInRange(gradient, -1e4, 1e4)
            blocks = outer.batch_jacobian(gradient, logits, experimental_use_pfor=False)
            self.assertAllInRange(blocks, -1e4, 1e4)

    def test_forms_of_smoothing_are_one_family(self) -> None:
        labels, logits = data()
        over_others = SparseCrossentropy(0.2, label_smoothing_form="others").call(labels, tf.constant(logits))
        over_all = SparseCrossentropy(0.2 * CLASSES / (CLASSES - 1)).call(labels, tf.constant(logits))
        self.assertAllClose(over_others, over_all, rtol=1e-13)

    def test_focal_without_exponent_is_the_cross_entropy(self) -> None:
        labels, logits = data()
        plain = SparseCrossentropy().call(labels, tf.constant(logits))
        self.assertAllEqual(SparseFocal(0.0).call(labels, tf.constant(logits)), plain)

    def test_sigmoid_is_keras_mean_times_the_classes(self) -> None:
        labels, logits = data()
        of_keras = keras.losses.BinaryCrossentropy(from_logits=True, dtype="float64")
        expected = CLASSES * of_keras(np.eye(CLASSES)[labels], logits)
        self.assertAllClose(SparseSigmoid()(labels, tf.constant(logits)), expected, rtol=1e-13)

    def test_incorrect_only_divides_by_all_samples(self) -> None:
        labels, logits = data()
        losses = all_known(incorrect_only)[0]
        self.assertGreater((losses == 0).sum(), 2)
        self.assertAllClose(IncorrectOnly()(labels, tf.constant(logits)), losses.sum() / SAMPLES, rtol=1e-13)

    def test_weights_places_and_precision(self) -> None:
        labels, logits = data()
        weights = np.arange(SAMPLES) / 4
        for name, (loss, function) in LOSSES.items():
            with self.subTest(name):
                expected = (weights * all_known(function)[0]).sum() / SAMPLES
                self.assertAllClose(loss(labels, tf.constant(logits), weights), expected, rtol=1e-12)
                places = loss.call(labels.reshape(2, 4), tf.constant(logits.reshape(2, 4, CLASSES)))
                self.assertAllEqual(tf.reshape(places, [-1]), loss.call(labels, tf.constant(logits)))
                self.assertEqual(loss(labels, tf.constant(logits, tf.bfloat16)).dtype, tf.float32)

    def test_loaded_again(self) -> None:
        labels, logits = data()
        for name, (loss, _) in LOSSES.items():
            with self.subTest(name):
                again = keras.losses.deserialize(keras.losses.serialize(loss))
                self.assertAllEqual(again(labels, tf.constant(logits)), loss(labels, tf.constant(logits)))

    def test_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "gamma is -1"):
            SparseFocal(-1.0)
        with self.assertRaisesRegex(ValueError, "accepted are uniform, others"):
            SparseCrossentropy(0.1, label_smoothing_form="even")


class TrainingTest(Float64Case):
    """Of a linear network `z = x W` on the whole set, in uneven micro-batches and with sample weights."""

    def setUp(self) -> None:
        super().setUp()
        generator = np.random.default_rng(5)
        self.x, self.kernel = generator.normal(size=(SAMPLES, 3)), generator.normal(size=(3, CLASSES))
        self.labels = generator.integers(0, CLASSES, SAMPLES)
        self.weights = generator.uniform(size=SAMPLES)

    def model(self, loss: SparseLoss, **settings: object) -> FullBatchModel:
        network = keras.Sequential([keras.Input([3]), keras.layers.Dense(CLASSES, use_bias=False)])
        network.set_weights([self.kernel])
        model = FullBatchModel(network, **{"micro_batch_size": 3, "accumulate_dtype": "float64"} | settings)
        model.compile(
            optimizer=GradientDescent(0.1, momentum=0.0, nesterov=False, weight_decay=0.0), loss=loss
        )
        return model

    def known(
        self, function: Callable[[int, np.ndarray], Known]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weighted mean loss, its gradient `[15]` and Hessian `[15, 15]` in the kernel."""
        loss, gradient, hessian = 0.0, 0.0, 0.0
        for x, label, weight in zip(self.x, self.labels, self.weights / SAMPLES, strict=True):
            one, first, second = function(int(label), x @ self.kernel)
            loss, gradient = loss + weight * one, gradient + weight * np.kron(x, first)
            hessian = hessian + weight * np.kron(np.outer(x, x), second)
        return loss, gradient, hessian

    def test_objective(self) -> None:
        direction = np.random.default_rng(1).normal(size=(3, CLASSES))
        for name, (loss, function) in LOSSES.items():
            with self.subTest(name):
                value, gradient, hessian = self.known(function)
                objective = self.model(loss).objective(self.x, self.labels, self.weights)
                point = objective.value_and_gradient()
                self.assertAllClose(point.loss, value, rtol=1e-12)
                self.assertAllClose(np.ravel(point.gradient[0]), gradient, rtol=1e-11, atol=1e-15)
                (product,) = objective.hvp(None, [tf.constant(direction)])
                self.assertAllClose(np.ravel(product), hessian @ direction.ravel(), rtol=1e-10, atol=1e-14)

    def test_a_penalised_step(self) -> None:
        # One micro-batch: w - lr (g + lr/4 s H g).
        for name, (loss, function) in LOSSES.items():
            with self.subTest(name):
                _, gradient, hessian = self.known(function)
                model = self.model(
                    loss, penalty="nested_tape", penalty_strength=0.5, micro_batch_size=SAMPLES
                )
                model.fit(self.x, self.labels, sample_weight=self.weights, verbose=0)
                step = gradient + 0.1 / 4 * 0.5 * hessian @ gradient
                expected = self.kernel - 0.1 * step.reshape(3, CLASSES)
                self.assertAllClose(model.network.get_weights()[0], expected, rtol=1e-11)

    def test_the_cross_entropy_is_recorded_beside_it(self) -> None:
        plain = self.known(lambda label, z: against(np.eye(CLASSES)[label], z))[0]
        for name, (loss, _) in LOSSES.items():
            with self.subTest(name):
                model = self.model(loss)
                model.fit(self.x, self.labels, sample_weight=self.weights, verbose=0)
                if name == "sigmoid":
                    self.assertIsNone(without_smoothing(loss))
                    self.assertIsNone(model.last_step.get("cross_entropy"))
                else:
                    self.assertAllClose(model.last_step["cross_entropy"], plain, rtol=1e-6)


if __name__ == "__main__":
    tf.test.main()
