"""What a step makes of the gradient: penalty, clipping, noise, the update; nothing where it is not finite."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.networks import FEATURES, softplus_network
from tests.training.small_models import SAMPLES, X, Y, model_of, weights
from tf_fullbatch.core import trees
from tf_fullbatch.core.loss_weights import sample_loss_weights
from tf_fullbatch.core.transforms.langevin_noise import add_langevin_noise
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.errors import NonFiniteError
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.training.full_batch_model import FullBatchModel


def mean_loss(network: keras.Model, rows: slice | np.ndarray = np.s_[:]) -> tf.Tensor:
    """The training loss in the network's own precision; a `keras.losses.Loss` made outside of a test has float32."""
    logits = network(X[rows].astype("float64"), training=True)
    return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(Y[rows], logits, from_logits=True))


class ExactStepTest(Float64Case):
    def gradient(self, network: keras.Model, rows: slice | np.ndarray = np.s_[:]) -> trees.Tree:
        with tf.GradientTape() as tape:
            loss = mean_loss(network, rows)
        return tape.gradient(loss, [v.value for v in network.trainable_variables])

    def step(self, **settings: Any) -> tuple[trees.Tree, trees.Tree, FullBatchModel]:
        """The change of the weights by a step of rate 1, the gradient before it, and the model."""
        network = softplus_network()
        before = [tf.identity(v.value) for v in network.trainable_variables]
        gradient = self.gradient(network)
        model = model_of(network, GradientDescent(1.0, momentum=0.0), micro_batch_size=5, **settings)
        model.fit(X, Y, verbose=0)
        after = [v.value for v in network.trainable_variables]
        return trees.subtract(before, after), gradient, model

    def assert_trees_close(self, x: trees.Tree, y: trees.Tree, tolerance: float = 1e-13) -> None:
        self.assertLess(
            float(trees.global_norm(trees.subtract(x, y))), tolerance * float(trees.global_norm(y))
        )

    def test_gradient_descent_steps_along_the_full_gradient(self) -> None:
        change, gradient, model = self.step()
        self.assert_trees_close(change, gradient)
        self.assertAllClose(model.last_step["gradient_norm"], trees.global_norm(gradient), rtol=1e-12, atol=0)
        self.assertAllClose(model.last_step["update_norm"], trees.global_norm(change), rtol=1e-12, atol=0)

    @parameterized.parameters("l2", "inf")
    def test_clipping(self, norm_type: str) -> None:
        change, gradient, model = self.step(clip_norm=0.05, clip_norm_type=norm_type)
        norm = trees.global_norm(gradient) if norm_type == "l2" else trees.max_norm(gradient)
        self.assertGreater(float(norm), 0.05)
        self.assert_trees_close(change, trees.scale(0.05 / (norm + 1e-6), gradient))
        self.assertEqual(model.last_step["clipped"], 1.0)
        self.assertAllClose(model.last_step["gradient_norm"], trees.global_norm(gradient), rtol=1e-12, atol=0)

    def test_clipping_each_micro_batch(self) -> None:
        change, gradient, _ = self.step(micro_batch_clip_norm=0.3)
        expected = trees.scale(0.0, gradient)
        for start in range(0, SAMPLES, 5):
            rows = slice(start, min(start + 5, SAMPLES))
            g = self.gradient(softplus_network(), rows)
            self.assertGreater(float(trees.global_norm(g)), 0.3)
            share = (rows.stop - rows.start) / SAMPLES
            expected = trees.add_scaled(expected, share * 0.3 / (trees.global_norm(g) + 1e-6), g)
        self.assert_trees_close(change, expected)

    def test_additive_noise_follows_seed_and_step(self) -> None:
        change, gradient, _ = self.step(additive_noise=0.1, seed=4)
        self.assert_trees_close(change, add_langevin_noise(gradient, 0.1, 4, 0))
        again, _, _ = self.step(additive_noise=0.1, seed=4)
        other, _, _ = self.step(additive_noise=0.1, seed=5)
        self.assertAllEqual(trees.flatten(change), trees.flatten(again))
        self.assertNotAllClose(trees.flatten(change), trees.flatten(other))

    def test_multiplicative_noise_weights_the_samples(self) -> None:
        change, _, _ = self.step(multiplicative_noise=0.5, seed=4)
        z = sample_loss_weights(4, 0, tf.range(SAMPLES, dtype=tf.int64), 0.5)
        network = softplus_network()
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(
                Y, network(X.astype("float64")), from_logits=True
            )
            loss = tf.reduce_mean(tf.cast(z, tf.float64) * losses)
        self.assert_trees_close(change, tape.gradient(loss, [v.value for v in network.trainable_variables]))

    def test_penalised_objective_and_full_gradient_penalty(self) -> None:
        """Against the gradient of the whole objective, the weights of `|g|^2` taken as the design says."""
        rate, s, a = 0.5, 0.7, 0.3
        network = softplus_network()
        before = [tf.identity(v.value) for v in network.trainable_variables]
        full = self.gradient(network)
        variables = [v.value for v in network.trainable_variables]
        expected, squares = trees.scale(0.0, full), 0.0
        for start in range(0, SAMPLES, 5):
            rows = slice(start, min(start + 5, SAMPLES))
            with tf.GradientTape() as outer:
                g = self.gradient(network, rows)
                v = trees.add_scaled(trees.scale(s, g), a, full)
                slope = trees.dot(g, [tf.stop_gradient(leaf) for leaf in v])
            share = (rows.stop - rows.start) / SAMPLES
            expected = trees.add_scaled(expected, share, g)
            expected = trees.add_scaled(expected, share * rate / 4, outer.gradient(slope, variables))
            squares += share * float(trees.squared_norm(g))
        loss = float(mean_loss(network))
        model = model_of(network, GradientDescent(rate, momentum=0.0), micro_batch_size=5, penalty="nested_tape",
                         penalty_strength=s, full_gradient_penalty_strength=a)  # fmt: skip
        history = model.fit(X, Y, verbose=0).history
        change = trees.subtract(before, [v.value for v in network.trainable_variables])
        self.assert_trees_close(change, trees.scale(rate, expected), 1e-12)
        penalty = rate / 8 * (s * squares + a * float(trees.squared_norm(full)))
        self.assertAllClose(model.last_step["penalty"], penalty, rtol=1e-12, atol=0)
        self.assertAllClose(history["penalised_objective"], [loss + penalty], rtol=1e-12, atol=0)

    def test_the_full_gradient_itself_is_not_clipped(self) -> None:
        _, gradient, model = self.step(
            penalty="nested_tape", full_gradient_penalty_strength=1.0, micro_batch_clip_norm=0.01
        )
        expected = 1.0 / 8 * float(trees.squared_norm(gradient))
        self.assertAllClose(model.last_step["penalty"], expected, rtol=1e-12, atol=0)

    def test_penalty_warmup_rises_linearly_over_epochs(self) -> None:
        model = model_of(
            penalty="nested_tape", penalty_strength=0.8, penalty_warmup_epochs=4, micro_batch_size=8
        )
        shares: list[float] = []

        def record(batch: int, logs: dict[str, float]) -> None:
            figures = model.last_step
            squares = figures["mean_squared_micro_batch_gradient_norm"]
            shares.append(figures["penalty"] / (0.1 / 8 * 0.8 * squares))

        callback = keras.callbacks.LambdaCallback(on_train_batch_end=record)
        model.fit(X, Y, batch_size=12, epochs=6, verbose=0, callbacks=[callback])
        self.assertAllClose(shares, np.repeat([0, 0.25, 0.5, 0.75, 1, 1], 2), rtol=1e-12, atol=1e-15)

    def test_order_of_the_samples_does_not_matter(self) -> None:
        permutation = np.random.default_rng(0).permutation(SAMPLES)
        networks = [softplus_network(), softplus_network()]
        for network, order in zip(networks, (np.arange(SAMPLES), permutation), strict=True):
            model_of(network, micro_batch_size=5).fit(X[order], Y[order], epochs=3, verbose=0)
        self.assertAllClose(weights(networks[0]), weights(networks[1]), rtol=1e-12, atol=1e-14)

    @parameterized.parameters(True, False)
    def test_update_batches_are_sgd(self, shuffle: bool) -> None:
        ours, reference = (softplus_network(keras.layers.BatchNormalization()) for _ in range(2))
        model = model_of(ours, keras.optimizers.SGD(0.1, momentum=0.9), micro_batch_size=10, seed=3)
        history = model.fit(X, Y, batch_size=10, shuffle=shuffle, epochs=3, verbose=0).history
        optimizer, losses = keras.optimizers.SGD(0.1, momentum=0.9), []
        data = UpdateBatches(X, Y, shuffle=shuffle, seed=3)
        for epoch in range(3):
            order = data.order(epoch) if shuffle else np.arange(SAMPLES)
            losses.append(0.0)
            for start in range(0, SAMPLES, 10):
                rows = order[start : start + 10]
                with tf.GradientTape() as tape:
                    loss = mean_loss(reference, rows)
                variables = reference.trainable_variables
                optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
                losses[-1] += float(loss) * len(rows) / SAMPLES
        self.assertEqual(model.steps_completed, 9)
        self.assertAllClose(history["loss"], losses, rtol=1e-12, atol=0)
        self.assertAllClose(weights(ours), weights(reference), rtol=1e-11, atol=1e-13)


def state_bits(model: FullBatchModel) -> list[bytes]:
    variables = [*model.network.variables, *model.optimizer.variables]
    return [np.asarray(v).tobytes() for v in variables]


class NonFiniteTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(np.nan, np.inf)
    def test_nothing_is_assigned(self, bad: float) -> None:
        model = model_of(
            softplus_network(keras.layers.BatchNormalization()), micro_batch_size=5, clip_norm=0.1
        )
        model.fit(X, Y, epochs=2, verbose=0)
        before, step = state_bits(model), dict(model.last_step)
        x = X.copy()
        x[17, 2] = bad
        with self.assertRaisesRegex(
            NonFiniteError, "in step 3, first seen in .*: the update was not applied"
        ) as caught:
            model.fit(x, Y, verbose=0)
        self.assertEqual(caught.exception.step, 3)
        self.assertEqual(state_bits(model), before)
        self.assertEqual(model.last_step, step)
        model.fit(X, Y, verbose=0)
        self.assertTrue(np.isfinite(weights(model.network)).all())

    def test_an_infinite_gradient_norm_is_refused_although_the_loss_is_finite(self) -> None:
        for settings in ({}, {"micro_batch_clip_norm": 1.0}):
            loss = keras.losses.MeanSquaredError()
            network = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1)])
            model = model_of(network, loss=loss, micro_batch_size=5, **settings)
            before = state_bits(model)[:2]
            with self.assertRaisesRegex(NonFiniteError, "gradient norm"):
                model.fit(X * np.float32(1e15), np.zeros((SAMPLES, 1)), verbose=0)
            self.assertEqual(state_bits(model)[:2], before)


if __name__ == "__main__":
    tf.test.main()
