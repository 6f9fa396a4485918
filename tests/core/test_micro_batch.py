"""The micro-batch's loss and gradient: values, penalty coefficient, randomness, added losses, masks, XLA."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.core.problems import GENERATOR, ROWS, Problem, X, Y, batch, cross_entropy, flat, scalars, smooth
from tests.float64 import Float64Case
from tests.networks import FEATURES, UNITS
from tf_fullbatch.core import trees
from tf_fullbatch.core.micro_batch import MicroBatch, StepScalars, as_full_precision
from tf_fullbatch.core.penalties import EXACT, PENALTIES, Penalty
from tf_fullbatch.core.training_loss import mean_loss

OPERATORS = tuple(name for name in PENALTIES if name != "none")


class MicroBatchCase(Float64Case):
    def assert_close(self, found: Any, expected: Any, tolerance: float = 1e-12) -> None:
        self.assertLess(np.linalg.norm(found - expected), tolerance * np.linalg.norm(expected))


class LossTest(MicroBatchCase):
    def test_value_outputs_and_norm(self) -> None:
        problem = smooth()
        result = problem.gradient(batch(), scalars())
        logits = problem.network(X).numpy()
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        self.assertAllClose(result.outputs, logits, rtol=1e-14, atol=1e-14)
        self.assertAllClose(result.loss, -log_p[np.arange(ROWS), Y].mean(), rtol=1e-14, atol=0)
        self.assertAllClose(
            result.squared_norm, flat(result.gradient) @ flat(result.gradient), rtol=1e-13, atol=0
        )

    def test_regularizers_and_added_losses_count(self) -> None:
        added = smooth(
            keras.layers.Dense(
                UNITS, kernel_initializer="identity", kernel_regularizer=keras.regularizers.L2(0.3)
            ),
            keras.layers.ActivityRegularization(l2=0.1),
        )
        ours = added.gradient(batch(), scalars())
        hidden = added.network.layers[0](X).numpy()
        entropy = np.mean(cross_entropy(Y, added.network(X)))
        # Keras divides activity losses by the batch size; its coefficients are float32.
        expected = entropy + 0.3 * UNITS + 0.1 * np.sum(hidden**2) / ROWS
        self.assertAllClose(ours.loss, expected, rtol=1e-7, atol=0)
        with tf.GradientTape() as tape:
            logits = added.network(X, training=True)
            total = tf.reduce_mean(cross_entropy(Y, logits)) + tf.add_n(added.network.losses)
        stock = tape.gradient(total, [v.value for v in added.network.trainable_variables])
        self.assert_close(flat(ours.gradient), flat(stock))

    def test_losses_of_more_than_one_number_a_sample_are_averaged(self) -> None:
        keras.utils.set_random_seed(0)
        network = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(2)])
        problem = Problem(network, lambda y, z: (z - tf.cast(y, z.dtype)[:, tf.newaxis]) ** 2)
        weights = tf.constant(GENERATOR.normal(size=ROWS))
        residual = network(X).numpy() - Y[:, None]
        loss, evaluated = problem.loss.value(problem.theta, problem.state, batch(noise=weights), scalars())
        self.assertAllClose(evaluated.loss, np.mean(residual**2), rtol=1e-13, atol=0)
        self.assertAllClose(loss, np.mean(weights.numpy()[:, None] * residual**2), rtol=1e-13, atol=0)
        self.assertEqual(float(evaluated.of_outputs.weight), ROWS)

    def test_weights_change_the_gradient_not_the_reported_loss(self) -> None:
        problem = smooth()
        weights = np.zeros(ROWS)
        weights[2] = ROWS
        only = problem.gradient(batch(noise=tf.constant(weights)), scalars())
        rows = tf.constant(X[2:3]), tf.constant(Y[2:3])
        one = MicroBatch(*rows, tf.constant([2], tf.int64), tf.constant(0, tf.int64))
        self.assert_close(flat(only.gradient), flat(problem.gradient(one, scalars()).gradient))
        self.assertAllEqual(only.loss, problem.gradient(batch(), scalars()).loss)

    def test_augmentation_sees_ids_and_epoch_before_the_network(self) -> None:
        def shift(x: tf.Tensor, ids: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
            return x + tf.cast(ids + epoch, x.dtype)[:, tf.newaxis]

        plain, augmented = smooth(), smooth(augmentation=shift)
        when = scalars()._replace(epoch=tf.constant(5, tf.int64))
        moved = batch()._replace(inputs=X + np.arange(5.0, 5 + ROWS)[:, None])
        self.assertAllEqual(augmented.gradient(batch(), when).loss, plain.gradient(moved, when).loss)


class MaskTest(MicroBatchCase):
    def test_masked_places_count_neither_in_the_loss_nor_in_the_weight(self) -> None:
        keras.utils.set_random_seed(0)
        steps = np.array(GENERATOR.normal(size=(3, 4, 2)))
        steps[0, 2:] = steps[2, :3] = 0
        network = keras.Sequential(
            [keras.Input((4, 2)), keras.layers.Masking(), keras.layers.Dense(5, activation="softplus")]
        )
        problem = Problem(
            network, lambda y, z: tf.reduce_mean((z - y) ** 2, -1), tf.TensorSpec([None, 4, 2], tf.float64)
        )
        targets = GENERATOR.normal(size=(3, 4, 5))
        part = MicroBatch(
            tf.constant(steps), tf.constant(targets), tf.range(3, dtype=tf.int64), tf.constant(0, tf.int64)
        )
        kernel, bias = (leaf.numpy() for leaf in problem.theta)
        errors = np.mean((np.log1p(np.exp(steps @ kernel + bias)) - targets) ** 2, -1)
        kept = np.any(steps != 0, -1)
        weights = tf.constant([0.5, -1.0, 2.0], tf.float64)
        loss, evaluated = problem.loss.value(
            problem.theta, problem.state, part._replace(noise=weights), scalars()
        )
        self.assertEqual(int(kept.sum()), 7)
        self.assertEqual(float(evaluated.of_outputs.weight), 7)
        self.assertAllClose(evaluated.loss, errors[kept].mean(), rtol=1e-13, atol=0)
        self.assertAllClose(loss, (weights.numpy()[:, None] * errors)[kept].mean(), rtol=1e-13, atol=0)

    def test_masks_reach_as_many_axes_as_they_have(self) -> None:
        losses = GENERATOR.normal(size=(3, 4, 2))
        mask = np.array([[True, False, True, True], [False] * 4, [True, True, False, False]])
        mean, weight = mean_loss(tf.constant(losses), tf.constant(mask), tf.constant(losses))
        self.assertAllClose(mean, losses[mask].mean(), rtol=1e-14, atol=0)
        self.assertEqual(float(weight), 2 * mask.sum())

    def test_nothing_unmasked_is_no_loss_and_no_weight(self) -> None:
        losses = tf.constant(GENERATOR.normal(size=(3, 4)))
        mean, weight = mean_loss(losses, tf.zeros([3, 4], tf.bool), losses)
        self.assertEqual((float(mean), float(weight)), (0.0, 0.0))


class NoiseTest(MicroBatchCase):
    def test_weights_follow_step_and_sample_not_place(self) -> None:
        problem = smooth(multiplicative_noise=0.5, seed=3)
        first = problem.loss.prepared(batch(), scalars(step=4)).noise.numpy()
        backwards = batch()._replace(sample_ids=tf.reverse(batch().sample_ids, [0]))
        self.assertAllEqual(problem.loss.prepared(backwards, scalars(step=4)).noise, first[::-1])
        other = problem.loss.prepared(batch(), scalars(step=5)).noise.numpy()
        self.assertLen(np.unique([first, other]), 2 * ROWS)
        self.assertIsNone(smooth().loss.prepared(batch(), scalars(step=4)).noise)

    def test_they_weigh_the_gradient(self) -> None:
        noisy, plain = smooth(multiplicative_noise=0.5, seed=3), smooth()
        weights = noisy.loss.prepared(batch(), scalars()).noise
        expected = plain.gradient(batch(noise=weights), scalars())
        found = noisy.gradient(batch(), scalars())
        self.assertAllEqual(flat(found.gradient), flat(expected.gradient))
        self.assertAllEqual(found.loss, expected.loss)


class PenaltyTest(MicroBatchCase):
    @parameterized.parameters(*EXACT)
    def test_coefficient_against_the_explicit_hessian(self, name: str) -> None:
        problem = smooth()
        g = flat(problem.gradient(batch(), scalars()).gradient)
        h = problem.hessian(batch(), scalars())
        found = problem.gradient(batch(), scalars(rate=0.8, strength=0.5), penalty=Penalty(name=name))
        self.assert_close(flat(found.gradient), g + 0.8 * 0.5 / 4 * h @ g)
        self.assertAllClose(found.squared_norm, g @ g, rtol=1e-13, atol=0)

    @parameterized.parameters(*EXACT)
    def test_full_gradient_joins_the_direction(self, name: str) -> None:
        problem = smooth()
        full = [tf.constant(GENERATOR.normal(size=t.shape)) for t in problem.theta]
        g = flat(problem.gradient(batch(), scalars()).gradient)
        h = problem.hessian(batch(), scalars())
        for strength, full_strength in ((0.5, 0.3), (0.0, 0.3)):
            when = scalars(strength=strength, full=full_strength)
            found = problem.gradient(batch(), when, full, penalty=Penalty(name=name))
            self.assert_close(
                flat(found.gradient), g + 0.8 / 4 * h @ (strength * g + full_strength * flat(full))
            )

    @parameterized.parameters(*EXACT)
    def test_batch_norm_and_all(self, name: str) -> None:
        problem = smooth(keras.layers.BatchNormalization(), keras.layers.LayerNormalization())

        def penalised(theta: trees.Tree) -> float:
            with tf.GradientTape() as tape:
                tape.watch(theta)
                loss = problem.value(theta, batch(), scalars())
            return float(loss + 0.8 * 0.5 / 8 * trees.squared_norm(tape.gradient(loss, theta)))

        found = problem.gradient(batch(), scalars(), penalty=Penalty(name=name)).gradient
        generator, step = np.random.default_rng(0), 1e-5
        for _ in range(3):
            u = [tf.constant(generator.normal(size=t.shape)) for t in found]
            ahead = penalised(trees.add_scaled(problem.theta, step, u))
            behind = penalised(trees.add_scaled(problem.theta, -step, u))
            self.assertAllClose(trees.dot(found, u), (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-9)

    @parameterized.parameters(*OPERATORS)
    def test_zero_strength_is_no_penalty(self, name: str) -> None:
        plain = smooth().gradient(batch(), scalars()).gradient
        off = smooth().gradient(batch(), scalars(strength=0.0), penalty=Penalty(name=name)).gradient
        self.assertAllEqual(flat(off), flat(plain))

    @parameterized.parameters(*OPERATORS)
    def test_left_out_it_leaves_the_gradient_of_exact_kernels_as_it_was(self, name: str) -> None:
        problem, penalty = smooth(keras.layers.BatchNormalization()), Penalty(name=name)
        off = problem.gradient(batch(), scalars(strength=0.0), penalty=penalty).gradient
        # Exact operators take other moments, of the same values but for the last bit.
        self.assert_close(flat(off), flat(problem.gradient(batch(), scalars()).gradient), 1e-14)

    @parameterized.parameters("forward_over_reverse", "forward_differences", "central_differences")
    def test_every_evaluation_drops_the_same_units(self, name: str) -> None:
        # nested_tape evaluates the network once; with other masks the others would be far from it.
        problem = smooth(keras.layers.Dropout(0.5, seed=1))
        exact = problem.gradient(batch(), scalars(), penalty=Penalty(name="nested_tape")).gradient
        other = problem.gradient(batch(), scalars(), penalty=Penalty(name=name, epsilon=1e-6)).gradient
        self.assert_close(flat(other), flat(exact), 1e-12 if name in EXACT else 1e-6)

    def test_statistics_come_from_the_unshifted_weights(self) -> None:
        problem = smooth(keras.layers.BatchNormalization())
        plain = problem.gradient(batch(), scalars(strength=0.0)).measurements
        self.assertLen(plain, 2)
        for name in ("central_differences", "forward_over_reverse"):
            penalty = Penalty(name=name, epsilon=10.0)
            measured = problem.gradient(batch(), scalars(strength=0.5), penalty=penalty).measurements
            self.assertAllClose(measured, plain, rtol=1e-14, atol=1e-14)


class ClippingTest(MicroBatchCase):
    def test_the_penalised_gradient_is_clipped_and_the_reported_norm_is_not(self) -> None:
        problem, penalty = smooth(), Penalty(name="nested_tape")
        free = problem.gradient(batch(), scalars(), penalty=penalty)
        norm = np.linalg.norm(flat(free.gradient))
        clipped = problem.gradient(batch(), scalars(), penalty=penalty, clip_norm=norm / 2)
        self.assert_close(flat(clipped.gradient), flat(free.gradient) * norm / 2 / (norm + 1e-6))
        self.assertAllEqual(clipped.squared_norm, free.squared_norm)
        largest = np.abs(flat(free.gradient)).max()
        by_entry = problem.gradient(
            batch(), scalars(), penalty=penalty, clip_norm=largest / 2, clip_norm_type="inf"
        )
        self.assert_close(flat(by_entry.gradient), flat(free.gradient) * largest / 2 / (largest + 1e-6))


class RandomnessTest(Float64Case):
    def test_dropout_is_a_function_of_seed_step_and_micro_batch(self) -> None:
        def losses(seed: int) -> np.ndarray:
            problem = smooth(keras.layers.Dropout(0.5, seed=1), seed=seed)
            return np.array(
                [
                    [float(problem.gradient(batch(index), scalars(step)).loss) for index in range(3)]
                    for step in range(3)
                ]
            )

        first = losses(0)
        self.assertAllEqual(first, losses(0))
        different = np.concatenate([first.ravel(), losses(1).ravel()])
        self.assertLen(np.unique(different), different.size)


class CompiledTest(MicroBatchCase):
    def test_xla_gives_the_same(self) -> None:
        problem = smooth(keras.layers.BatchNormalization(), keras.layers.LayerNormalization())
        penalty = Penalty(name="nested_tape")
        expected, ours = (
            problem.gradient(batch(1), scalars(2), penalty=penalty, jit_compile=jit) for jit in (False, True)
        )
        self.assert_close(flat(ours.gradient), flat(expected.gradient), 1e-9)
        self.assertAllClose(ours.measurements, expected.measurements, rtol=1e-12, atol=1e-12)
        self.assertAllClose(ours.loss, expected.loss, rtol=1e-12, atol=0)


class HalfPrecisionTest(tf.test.TestCase):
    def test_outputs_and_loss_are_float32(self) -> None:
        keras.config.set_dtype_policy("mixed_bfloat16")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        problem = smooth()
        when = StepScalars(*scalars()[:2], *(tf.cast(number, "float32") for number in scalars()[2:]))
        result = problem.gradient(batch(), when, penalty=Penalty(name="nested_tape"))
        self.assertEqual(
            {result.outputs.dtype, result.loss.dtype, *(g.dtype for g in result.gradient)}, {tf.float32}
        )
        self.assertAllInRange(result.loss, 0.3, 3.0)

    def test_masks_stay_with_widened_outputs(self) -> None:
        outputs = tf.constant([1.0, 2.0], tf.bfloat16)
        outputs._keras_mask = tf.constant([True, False])
        self.assertIs(as_full_precision(outputs)._keras_mask, outputs._keras_mask)
        wide = tf.constant([1.0, 2.0], tf.float32)
        self.assertIs(as_full_precision(wide), wide)


if __name__ == "__main__":
    tf.test.main()
