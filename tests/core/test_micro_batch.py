"""The micro-batch objective: values, penalty coefficient, randomness, added losses, XLA."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.networks import CLASSES, FEATURES, UNITS, softplus_network
from tf_fullbatch.core import trees
from tf_fullbatch.core.micro_batch import Clock, MicroBatch, Objective
from tf_fullbatch.core.network_call import NetworkCall
from tf_fullbatch.core.penalties import EXACT, PENALTIES

ROWS = 7
GENERATOR = np.random.default_rng(11)
X = tf.constant(GENERATOR.normal(size=(ROWS, FEATURES)))
Y = tf.constant(GENERATOR.integers(0, CLASSES, ROWS))


def sample_loss(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)


def build(*hidden: keras.layers.Layer, **settings: Any) -> Objective:
    """An objective on a smooth network with some more layers before its head."""
    network = softplus_network(*hidden)
    call = NetworkCall(network, tf.TensorSpec([None, FEATURES], tf.float64))
    return Objective(call, sample_loss, **settings)


def batch(index: int = 0, weights: tf.Tensor | None = None) -> MicroBatch:
    return MicroBatch(X, Y, tf.range(ROWS, dtype=tf.int64), tf.constant(index, tf.int64), weights)


def clock(step: int = 0, rate: float = 0.8, strength: float = 0.5, full_strength: float = 0.0) -> Clock:
    return Clock(
        step=tf.constant(step, tf.int64),
        epoch=tf.constant(0, tf.int64),
        learning_rate=tf.constant(rate, tf.float64),
        strength=tf.constant(strength, tf.float64),
        full_strength=tf.constant(full_strength, tf.float64),
    )


def gradient(objective: Objective, *args: Any, **kwargs: Any) -> Any:
    return objective.gradient(objective.theta(), objective.state.values(), *args, **kwargs)


def loss_at(objective: Objective, theta: trees.Tree, part: MicroBatch, when: Clock) -> tf.Tensor:
    return objective.loss(theta, objective.state.values(), part, when)[0]


def hessian(objective: Objective, part: MicroBatch, when: Clock) -> np.ndarray:
    """The explicit Hessian of the micro-batch's loss."""
    flat, like = trees.flatten(objective.theta()), objective.theta()
    with tf.GradientTape() as outer:
        outer.watch(flat)
        with tf.GradientTape() as inner:
            inner.watch(flat)
            loss = loss_at(objective, trees.unflatten(flat, like), part, when)
        first = inner.gradient(loss, flat)
    return outer.jacobian(first, flat).numpy()


def flat(x: trees.Tree) -> np.ndarray:
    return trees.flatten(x).numpy()


class ObjectiveCase(Float64Case):
    def assert_close(self, found: Any, expected: Any, tolerance: float = 1e-12) -> None:
        self.assertLess(np.linalg.norm(found - expected), tolerance * np.linalg.norm(expected))


class LossTest(ObjectiveCase):
    def test_value_outputs_and_norm(self) -> None:
        objective = build()
        result = gradient(objective, batch(), clock())
        logits = objective.network(X).numpy()
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        self.assertAllClose(result.outputs, logits, rtol=1e-14, atol=1e-14)
        self.assertAllClose(result.loss, -log_p[np.arange(ROWS), Y].mean(), rtol=1e-14, atol=0)
        self.assertAllClose(
            result.squared_norm, flat(result.gradient) @ flat(result.gradient), rtol=1e-13, atol=0
        )

    def test_regularizers_and_added_losses_count(self) -> None:
        added = build(
            keras.layers.Dense(
                UNITS, kernel_initializer="identity", kernel_regularizer=keras.regularizers.L2(0.3)
            ),
            keras.layers.ActivityRegularization(l2=0.1),
        )
        ours = gradient(added, batch(), clock())
        hidden = added.network.layers[0](X).numpy()
        cross_entropy = np.mean(sample_loss(Y, added.network(X)))
        # Keras divides activity losses by the batch size; its coefficients are float32.
        expected = cross_entropy + 0.3 * UNITS + 0.1 * np.sum(hidden**2) / ROWS
        self.assertAllClose(ours.loss, expected, rtol=1e-7, atol=0)
        with tf.GradientTape() as tape:
            logits = added.network(X, training=True)
            total = tf.reduce_mean(sample_loss(Y, logits)) + tf.add_n(added.network.losses)
        stock = tape.gradient(total, [v.value for v in added.network.trainable_variables])
        self.assert_close(flat(ours.gradient), flat(stock))

    def test_losses_of_more_than_one_number_a_sample_are_averaged(self) -> None:
        keras.utils.set_random_seed(0)
        network = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(2)])
        call = NetworkCall(network, tf.TensorSpec([None, FEATURES], tf.float64))
        objective = Objective(call, lambda y, z: (z - tf.cast(y, z.dtype)[:, tf.newaxis]) ** 2)
        weights = tf.constant(GENERATOR.normal(size=ROWS))
        residual = network(X).numpy() - Y.numpy()[:, None]
        loss, (unweighted, _, _) = objective.loss(
            objective.theta(), objective.state.values(), batch(weights=weights), clock()
        )
        self.assertAllClose(unweighted, np.mean(residual**2), rtol=1e-13, atol=0)
        self.assertAllClose(loss, np.mean(weights.numpy()[:, None] * residual**2), rtol=1e-13, atol=0)

    def test_weights_change_the_gradient_not_the_reported_loss(self) -> None:
        objective = build()
        weights = np.zeros(ROWS)
        weights[2] = ROWS
        only = gradient(objective, batch(weights=tf.constant(weights)), clock())
        one = MicroBatch(X[2:3], Y[2:3], tf.constant([2], tf.int64), tf.constant(0, tf.int64))
        self.assert_close(flat(only.gradient), flat(gradient(objective, one, clock()).gradient))
        self.assertAllEqual(only.loss, gradient(objective, batch(), clock()).loss)

    def test_augmentation_sees_ids_and_epoch_before_the_network(self) -> None:
        def shift(x: tf.Tensor, ids: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
            return x + tf.cast(ids + epoch, x.dtype)[:, tf.newaxis]

        plain, augmented = build(), build(augmentation=shift)
        when = clock()._replace(epoch=tf.constant(5, tf.int64))
        moved = batch()._replace(inputs=X + np.arange(5.0, 5 + ROWS)[:, None])
        self.assertAllEqual(gradient(augmented, batch(), when).loss, gradient(plain, moved, when).loss)


class PenaltyTest(ObjectiveCase):
    @parameterized.parameters(*EXACT)
    def test_coefficient_against_the_explicit_hessian(self, name: str) -> None:
        objective = build(penalty=name)
        g = flat(gradient(objective, batch(), clock(), penalised=False).gradient)
        h = hessian(objective, batch(), clock())
        found = gradient(objective, batch(), clock(rate=0.8, strength=0.5))
        self.assert_close(flat(found.gradient), g + 0.8 * 0.5 / 4 * h @ g)
        self.assertAllClose(found.squared_norm, g @ g, rtol=1e-13, atol=0)

    @parameterized.parameters(*EXACT)
    def test_full_gradient_joins_the_direction(self, name: str) -> None:
        objective = build(penalty=name)
        full = [tf.constant(GENERATOR.normal(size=t.shape)) for t in objective.theta()]
        g = flat(gradient(objective, batch(), clock(), penalised=False).gradient)
        h = hessian(objective, batch(), clock())
        for strength, full_strength in ((0.5, 0.3), (0.0, 0.3)):
            when = clock(strength=strength, full_strength=full_strength)
            found = gradient(objective, batch(), when, full)
            self.assert_close(
                flat(found.gradient), g + 0.8 / 4 * h @ (strength * g + full_strength * flat(full))
            )

    @parameterized.parameters(*EXACT)
    def test_batch_norm_and_all(self, name: str) -> None:
        objective = build(keras.layers.BatchNormalization(), keras.layers.LayerNormalization(), penalty=name)

        def penalised(theta: trees.Tree) -> float:
            with tf.GradientTape() as tape:
                tape.watch(theta)
                loss = loss_at(objective, theta, batch(), clock())
            return float(loss + 0.8 * 0.5 / 8 * trees.squared_norm(tape.gradient(loss, theta)))

        found = gradient(objective, batch(), clock()).gradient
        generator, step = np.random.default_rng(0), 1e-5
        for _ in range(3):
            u = [tf.constant(generator.normal(size=t.shape)) for t in found]
            ahead = penalised(trees.add_scaled(objective.theta(), step, u))
            behind = penalised(trees.add_scaled(objective.theta(), -step, u))
            self.assertAllClose(trees.dot(found, u), (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-9)

    @parameterized.parameters(*(name for name in PENALTIES if name != "none"))
    def test_zero_strength_is_no_penalty(self, name: str) -> None:
        objective = build(penalty=name)
        plain = gradient(build(), batch(), clock()).gradient
        for off in (
            gradient(objective, batch(), clock(strength=0.0)).gradient,
            gradient(objective, batch(), clock(), penalised=False).gradient,
        ):
            self.assertAllEqual(flat(off), flat(plain))

    @parameterized.parameters("forward_over_reverse", "forward_differences", "central_differences")
    def test_every_evaluation_drops_the_same_units(self, name: str) -> None:
        # nested_tape evaluates the network once; with other masks the others would be far from it.
        dropout = keras.layers.Dropout(0.5, seed=1)
        exact = gradient(build(dropout, penalty="nested_tape"), batch(), clock()).gradient
        other = gradient(build(dropout, penalty=name, penalty_epsilon=1e-6), batch(), clock()).gradient
        self.assert_close(flat(other), flat(exact), 1e-12 if name in EXACT else 1e-6)

    def test_statistics_come_from_the_unshifted_weights(self) -> None:
        layer = keras.layers.BatchNormalization()
        measured = [
            gradient(
                build(layer, penalty=name, penalty_epsilon=10.0), batch(), clock(strength=s)
            ).measurements
            for name, s in (("none", 0.0), ("central_differences", 0.5), ("forward_over_reverse", 0.5))
        ]
        self.assertAllClose(measured[1], measured[0], rtol=1e-14, atol=1e-14)
        self.assertAllClose(measured[2], measured[0], rtol=1e-14, atol=1e-14)


class RandomnessTest(Float64Case):
    def test_dropout_is_a_function_of_seed_step_and_micro_batch(self) -> None:
        def losses(seed: int) -> np.ndarray:
            objective = build(keras.layers.Dropout(0.5, seed=1), seed=seed)
            return np.array(
                [
                    [float(gradient(objective, batch(index), clock(step)).loss) for index in range(3)]
                    for step in range(3)
                ]
            )

        first = losses(0)
        self.assertAllEqual(first, losses(0))
        different = np.concatenate([first.ravel(), losses(1).ravel()])
        self.assertLen(np.unique(different), different.size)


class CompiledTest(ObjectiveCase):
    def test_xla_gives_the_same(self) -> None:
        layers = [keras.layers.BatchNormalization(), keras.layers.LayerNormalization()]
        plain, compiled = (build(*layers, penalty="nested_tape", jit_compile=jit) for jit in (False, True))
        ours, expected = (gradient(o, batch(1), clock(2)) for o in (compiled, plain))
        self.assert_close(flat(ours.gradient), flat(expected.gradient), 1e-9)
        self.assertAllClose(ours.measurements, expected.measurements, rtol=1e-12, atol=1e-12)
        self.assertAllClose(ours.loss, expected.loss, rtol=1e-12, atol=0)


class HalfPrecisionTest(tf.test.TestCase):
    def test_outputs_and_loss_are_float32(self) -> None:
        keras.config.set_dtype_policy("mixed_bfloat16")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        objective = build(penalty="nested_tape")
        when = Clock(*clock()[:2], *(tf.cast(number, "float32") for number in clock()[2:]))
        result = gradient(objective, batch(), when)
        self.assertEqual(
            {result.outputs.dtype, result.loss.dtype, *(g.dtype for g in result.gradient)}, {tf.float32}
        )
        self.assertAllInRange(result.loss, 0.3, 3.0)


if __name__ == "__main__":
    tf.test.main()
