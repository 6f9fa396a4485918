"""FullBatchModel as a Keras model: training, evaluation, saving, callbacks, and what it refuses."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch import transforms, trees
from tf_fullbatch.data.pipeline import UpdateBatches
from tf_fullbatch.losses import SparseCrossentropy
from tf_fullbatch.optim.gradient_descent import GradientDescent
from tf_fullbatch.outcomes import NonFiniteError, UserError
from tf_fullbatch.training.full_batch_model import FullBatchModel

SAMPLES, FEATURES, CLASSES = 23, 6, 3
GENERATOR = np.random.default_rng(2)
X = GENERATOR.normal(size=(SAMPLES, FEATURES)).astype("float32")
Y = GENERATOR.integers(0, CLASSES, SAMPLES)
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def dense(*hidden: keras.layers.Layer, outputs: int = CLASSES, seed: int = 0) -> keras.Model:
    """A user's own small network."""
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((FEATURES,)), keras.layers.Dense(5, activation="softplus"), *hidden]
    return keras.Sequential([*layers, keras.layers.Dense(outputs)])


def model_of(
    network: keras.Model | None = None,
    optimizer: Any = None,
    loss: Any = CROSS_ENTROPY,
    metrics: Any = None,
    **settings: Any,
) -> FullBatchModel:
    model = FullBatchModel(network or dense(), **settings)
    model.compile(optimizer=optimizer or GradientDescent(0.1), loss=loss, metrics=metrics)
    return model


def weights(model: keras.Model) -> np.ndarray:
    """Every weight and statistic, as one float64 vector."""
    return np.concatenate([np.ravel(w).astype("float64") for w in model.get_weights()])


def state_bits(model: FullBatchModel) -> list[bytes]:
    variables = [*model.network.variables, *model.optimizer.variables]
    return [np.asarray(v).tobytes() for v in variables]


class Float64Case(tf.test.TestCase, parameterized.TestCase):
    def setUp(self) -> None:
        super().setUp()
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")

    def tearDown(self) -> None:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
        super().tearDown()


class FitTest(tf.test.TestCase, parameterized.TestCase):
    def test_trains_and_reports_the_loss_before_each_update(self) -> None:
        model = model_of(micro_batch_size=5, optimizer=keras.optimizers.Adam(0.1))
        before = model.evaluate(X, Y, verbose=0)
        history = model.fit(X, Y, epochs=30, verbose=0).history
        self.assertAllClose([history["loss"][0], history["accuracy"][0]], before, rtol=1e-6, atol=0)
        self.assertLess(history["loss"][-1], 0.5 * history["loss"][0])
        self.assertEqual(model.steps_completed, 30)
        self.assertEqual((model.last_step["step"], model.last_step["samples"]), (30, SAMPLES))

    @parameterized.parameters(
        {"loss": "mse", "outputs": 1},
        {"loss": keras.losses.Huber(), "outputs": 1},
        {"loss": "binary_crossentropy", "outputs": 1},
        {"loss": lambda y, z: tf.square(y - z), "outputs": 1},
        {"loss": "sparse_categorical_crossentropy"},
        {"loss": SparseCrossentropy(0.1)},
    )
    def test_loss_is_what_keras_has_for_targets_of_one_number_a_sample(
        self, loss: Any, outputs: int = CLASSES
    ) -> None:
        positive = keras.layers.Activation("sigmoid")
        head = keras.layers.Activation("softmax" if outputs > 1 else "sigmoid")
        network = keras.Sequential([keras.Input((FEATURES,)), *dense(positive, outputs=outputs).layers, head])
        stock = keras.models.clone_model(network)
        stock.set_weights(network.get_weights())
        targets = Y if outputs > 1 else (Y % 2).astype("float32")
        stock.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss)
        stock.fit(X, targets, batch_size=SAMPLES, verbose=0)
        model = model_of(network, keras.optimizers.SGD(0.1), loss, micro_batch_size=4)
        model.fit(X, targets, verbose=0)
        self.assertAllClose(weights(network), weights(stock), rtol=1e-5, atol=1e-6)
        self.assertAllClose(
            np.ravel(model.evaluate(X, targets, verbose=0))[0],
            np.ravel(stock.evaluate(X, targets, verbose=0))[0],
            rtol=1e-5,
            atol=0,
        )

    def test_own_loss_classes_need_no_registration(self) -> None:
        class Cubic(keras.losses.Loss):
            def call(self, y: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
                return tf.reduce_mean(tf.abs(y - z) ** 3, axis=-1)

        targets = GENERATOR.normal(size=(SAMPLES, 2))  # float64, the network float32
        network = dense(outputs=2)
        expected = np.mean(np.abs(targets - network.predict(X, verbose=0)) ** 3)
        history = model_of(network, loss=Cubic(), micro_batch_size=4).fit(X, targets, verbose=0).history
        self.assertAllClose(history["loss"], [expected], rtol=1e-5, atol=0)
        self.assertNotIn("accuracy", history)

    def test_functional_networks_on_images(self) -> None:
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(inputs))
        outputs = keras.layers.Dense(CLASSES)(keras.layers.GlobalAveragePooling2D()(x))
        model = model_of(keras.Model(inputs, outputs), micro_batch_size=8, augmentation="none")
        images = GENERATOR.normal(size=(SAMPLES, 8, 8, 1)).astype("float32")
        history = model.fit(images, Y, epochs=3, verbose=0).history
        self.assertLess(history["loss"][2], history["loss"][0])

    def test_networks_written_as_classes(self) -> None:
        class Linear(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.dense = keras.layers.Dense(CLASSES)

            def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
                return self.dense(x)

        history = model_of(Linear(), metrics=["accuracy"]).fit(X, Y, epochs=2, verbose=0).history
        self.assertLess(history["loss"][1], history["loss"][0])

    def test_half_precision_networks_have_float32_sums_and_weights(self) -> None:
        keras.config.set_dtype_policy("mixed_bfloat16")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        model = model_of(dense(keras.layers.BatchNormalization()), micro_batch_size=5, penalty="nested_tape",
                         penalty_strength=0.5)  # fmt: skip
        history = model.fit(X, Y, epochs=3, verbose=0).history
        self.assertEqual(model._session.step.accumulate_dtype, "float32")
        self.assertEqual({w.dtype for w in model.network.weights}, {"float32"})
        self.assertLess(history["loss"][2], history["loss"][0])

    @parameterized.parameters(0.0, 0.3)
    def test_a_step_is_traced_once_for_ragged_micro_batches_and_many_fits(self, full: float) -> None:
        model = model_of(
            micro_batch_size=5,
            penalty="nested_tape",
            penalty_strength=0.5,
            full_gradient_penalty_strength=full,
        )
        model.evaluate(X[:3], Y[:3], verbose=0)
        model.fit(X, Y, epochs=3, verbose=0, validation_data=(X[:7], Y[:7]))
        model.fit(X, Y, epochs=2, verbose=0)
        model.fit(X[:4], Y[:4], verbose=0)
        # With the full gradient, one trace for each of the step's two passes.
        self.assertEqual(model._session.step.accumulate.experimental_get_tracing_count(), 2 if full else 1)

    def test_an_evaluation_of_few_samples_leaves_the_micro_batches_as_they_are(self) -> None:
        networks = [dense(keras.layers.BatchNormalization()) for _ in range(2)]
        models = [model_of(network, micro_batch_size=8) for network in networks]
        models[0].evaluate(X[:3], Y[:3], verbose=0)
        for model in models:
            model.fit(X, Y, epochs=2, verbose=0)
        self.assertAllEqual(weights(networks[0]), weights(networks[1]))

    def test_compiling_again_takes_effect(self) -> None:
        model = model_of(optimizer=GradientDescent(0.1))
        model.fit(X, Y, verbose=0)
        before = weights(model.network)
        model.compile(optimizer=GradientDescent(1e-9), loss="mse")
        targets = np.eye(CLASSES)[Y]
        expected = np.mean((model.network.predict(X, verbose=0) - targets) ** 2)
        self.assertAllClose(model.fit(X, targets, verbose=0).history["loss"], [expected], rtol=1e-5, atol=0)
        self.assertAllClose(weights(model.network), before, rtol=0, atol=1e-7)


def mean_loss(network: keras.Model, rows: slice | np.ndarray = np.s_[:]) -> tf.Tensor:
    """The training loss in the network's own precision; a `keras.losses.Loss` made above has float32."""
    logits = network(X[rows].astype("float64"), training=True)
    return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(Y[rows], logits, from_logits=True))


class ExactStepTest(Float64Case):
    def gradient(self, network: keras.Model, rows: slice | np.ndarray = np.s_[:]) -> trees.Tree:
        with tf.GradientTape() as tape:
            loss = mean_loss(network, rows)
        return tape.gradient(loss, [v.value for v in network.trainable_variables])

    def step(self, **settings: Any) -> tuple[trees.Tree, trees.Tree, FullBatchModel]:
        """The change of the weights by a step of rate 1, the gradient before it, and the model."""
        network = dense()
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
            g = self.gradient(dense(), rows)
            self.assertGreater(float(trees.global_norm(g)), 0.3)
            share = (rows.stop - rows.start) / SAMPLES
            expected = trees.add_scaled(expected, share * 0.3 / (trees.global_norm(g) + 1e-6), g)
        self.assert_trees_close(change, expected)

    def test_additive_noise_follows_seed_and_step(self) -> None:
        change, gradient, _ = self.step(additive_noise=0.1, seed=4)
        self.assert_trees_close(change, transforms.add_langevin_noise(gradient, 0.1, 4, 0))
        again, _, _ = self.step(additive_noise=0.1, seed=4)
        other, _, _ = self.step(additive_noise=0.1, seed=5)
        self.assertAllEqual(trees.flatten(change), trees.flatten(again))
        self.assertNotAllClose(trees.flatten(change), trees.flatten(other))

    def test_multiplicative_noise_weights_the_samples(self) -> None:
        change, _, _ = self.step(multiplicative_noise=0.5, seed=4)
        z = transforms.hoffer_weights(4, 0, tf.range(SAMPLES, dtype=tf.int64), 0.5)
        network = dense()
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(
                Y, network(X.astype("float64")), from_logits=True
            )
            loss = tf.reduce_mean(tf.cast(z, tf.float64) * losses)
        self.assert_trees_close(change, tape.gradient(loss, [v.value for v in network.trainable_variables]))

    def test_penalised_objective_and_full_gradient_penalty(self) -> None:
        """Against the gradient of the whole objective, the weights of `|g|^2` taken as the design says."""
        rate, s, a = 0.5, 0.7, 0.3
        network = dense()
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
        permutation = GENERATOR.permutation(SAMPLES)
        networks = [dense(), dense()]
        for network, order in zip(networks, (np.arange(SAMPLES), permutation), strict=True):
            model_of(network, micro_batch_size=5).fit(X[order], Y[order], epochs=3, verbose=0)
        self.assertAllClose(weights(networks[0]), weights(networks[1]), rtol=1e-12, atol=1e-14)

    @parameterized.parameters(True, False)
    def test_update_batches_are_sgd(self, shuffle: bool) -> None:
        ours, reference = (dense(keras.layers.BatchNormalization()) for _ in range(2))
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


class EvaluateTest(Float64Case):
    @parameterized.parameters(1, 4, 23, 100)
    def test_every_sample_counts_once(self, micro_batch_size: int) -> None:
        network = dense(keras.layers.BatchNormalization(), keras.layers.Dropout(0.5))
        metrics = [keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="entropy")]
        model = model_of(network, metrics=metrics, micro_batch_size=micro_batch_size)
        found = model.evaluate(X, Y, verbose=0, return_dict=True)
        logits = network.predict(X, verbose=0)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        self.assertAllClose(found["loss"], -np.mean(log_p[np.arange(SAMPLES), Y]), rtol=1e-12, atol=0)
        self.assertAllClose(found["accuracy"], np.mean(np.argmax(logits, axis=1) == Y), rtol=1e-12, atol=0)
        self.assertAllClose(found["entropy"], found["loss"], rtol=1e-12, atol=0)

    def test_equals_stock_keras_regularizers_included(self) -> None:
        network = dense(keras.layers.Dense(4, kernel_regularizer="l2"))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        network.compile(loss=loss, metrics=["accuracy"])
        stock = network.evaluate(X, Y, batch_size=SAMPLES, verbose=0)
        ours = model_of(network, metrics=["accuracy"], micro_batch_size=4).evaluate(X, Y, verbose=0)
        self.assertAllClose(ours, stock, rtol=1e-12, atol=0)

    def test_flip_averaging(self) -> None:
        keras.utils.set_random_seed(0)
        network = keras.Sequential(
            [keras.Input((4, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(CLASSES)]
        )
        images = GENERATOR.normal(size=(SAMPLES, 4, 6, 1))
        model = model_of(network, flip_averaging=True, micro_batch_size=4)
        expected = (network.predict(images, verbose=0) + network.predict(images[:, :, ::-1], verbose=0)) / 2
        self.assertAllClose(model.predict(images, verbose=0), expected, rtol=1e-13, atol=1e-13)
        loss = np.mean(keras.losses.sparse_categorical_crossentropy(Y, expected, from_logits=True))
        self.assertAllClose(model.evaluate(images, Y, verbose=0)[0], loss, rtol=1e-12, atol=0)
        # Training sees the images as they are.
        plain = np.mean(
            keras.losses.sparse_categorical_crossentropy(
                Y, network.predict(images, verbose=0), from_logits=True
            )
        )
        self.assertAllClose(model.fit(images, Y, verbose=0).history["loss"], [plain], rtol=1e-12, atol=0)

    def test_predict_is_the_networks(self) -> None:
        model = model_of(dense(keras.layers.Dropout(0.5)), micro_batch_size=4)
        expected = model.network.predict(X, verbose=0)
        self.assertAllClose(model.predict(X, verbose=0), expected, rtol=1e-14, atol=1e-14)

    def test_update_batches_of_one_step(self) -> None:
        model = model_of(micro_batch_size=4)
        batches = UpdateBatches(X, Y, micro_batch_size=4, chunk_micro_batches=1)
        expected = model.evaluate(X, Y, verbose=0)
        self.assertEqual(model.evaluate(batches, verbose=0), expected)
        self.assertEqual(model.evaluate(batches, verbose=0), expected)
        with self.assertRaisesRegex(ValueError, "batch_size=5"):
            model.evaluate(UpdateBatches(X, Y, micro_batch_size=4, batch_size=5), verbose=0)


class CallbackTest(tf.test.TestCase):
    def test_ordinary_callbacks_and_metrics(self) -> None:
        folder = Path(self.get_temp_dir())
        model = model_of(metrics=["accuracy", keras.metrics.SparseCategoricalCrossentropy(from_logits=True,
                         name="entropy")], micro_batch_size=5)  # fmt: skip
        epochs: list[int] = []
        history = model.fit(
            X,
            Y,
            epochs=4,
            verbose=0,
            validation_data=(X[:9], Y[:9]),
            callbacks=[
                keras.callbacks.ModelCheckpoint(
                    folder / "best.keras", monitor="val_loss", save_best_only=True
                ),
                keras.callbacks.CSVLogger(str(folder / "log.csv")),
                keras.callbacks.EarlyStopping(monitor="loss", patience=1, min_delta=100.0),
                keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch)),
            ],
        ).history
        self.assertEqual(epochs, [0, 1])  # no epoch improves by 100
        self.assertAllClose(history["entropy"], history["loss"], rtol=1e-5, atol=0)
        columns = (folder / "log.csv").read_text().splitlines()[0].split(",")
        self.assertContainsSubset(
            ["epoch", "loss", "accuracy", "entropy", "val_loss", "val_accuracy", "val_entropy"], columns
        )
        best = keras.models.load_model(folder / "best.keras")
        self.assertAllClose(
            best.evaluate(X[:9], Y[:9], verbose=0)[0], min(history["val_loss"]), rtol=1e-6, atol=0
        )

    def test_validation_does_not_see_what_a_callback_evaluates(self) -> None:
        def val_loss(*callbacks: keras.callbacks.Callback) -> list[float]:
            model = model_of(dense(), micro_batch_size=4)
            for callback in callbacks:
                callback.set_model(model)
            return model.fit(
                X, Y, epochs=3, verbose=0, validation_data=(X[5:], Y[5:]), callbacks=list(callbacks)
            ).history["val_loss"]

        class Evaluate(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
                self.model.evaluate(X[:3], Y[:3].astype("int32"), verbose=0)

        self.assertEqual(val_loss(Evaluate()), val_loss())

    def test_chunk_listeners_follow_a_step(self) -> None:
        model = model_of(micro_batch_size=5)
        calls: list[tuple[int, int]] = []
        model.chunk_listeners.append(lambda done, rounds: calls.append((done, rounds)))
        model.fit(UpdateBatches(X, Y, micro_batch_size=5, chunk_micro_batches=2), verbose=0)
        self.assertEqual(calls, [(1, 3), (2, 3), (3, 3)])


class SaveTest(tf.test.TestCase):
    def trained(self, epochs: int) -> FullBatchModel:
        network = dense(keras.layers.BatchNormalization(), keras.layers.Dropout(0.3))
        model = model_of(network, GradientDescent(0.1), SparseCrossentropy(0.1), ["accuracy"], micro_batch_size=5,
                         penalty="forward_differences", penalty_strength=0.5, clip_norm=1.0, additive_noise=0.01,
                         penalty_warmup_epochs=4, seed=9)  # fmt: skip
        model.fit(X, Y, batch_size=12, shuffle=True, epochs=epochs, verbose=0)
        return model

    def test_a_loaded_model_continues_as_if_never_interrupted(self) -> None:
        path = Path(self.get_temp_dir()) / "model.keras"
        self.trained(2).save(path)
        continued = keras.models.load_model(path)
        self.assertEqual(continued.steps_completed, 4)
        history = continued.fit(
            X, Y, batch_size=12, shuffle=True, epochs=4, initial_epoch=2, verbose=0
        ).history
        uninterrupted = self.trained(4)
        self.assertAllEqual(weights(continued), weights(uninterrupted))
        for ours, theirs in zip(
            continued.optimizer.variables, uninterrupted.optimizer.variables, strict=True
        ):
            self.assertAllEqual(ours, theirs)
        self.assertEqual(history["loss"], uninterrupted.history.history["loss"][2:])

    def test_settings_and_predictions_come_back(self) -> None:
        path = Path(self.get_temp_dir()) / "model.keras"
        model = self.trained(1)
        model.save(path)
        loaded = keras.models.load_model(path)
        self.assertEqual(loaded.settings, model.settings)
        self.assertEqual(loaded.name, model.name)
        self.assertAllEqual(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
        self.assertEqual(loaded.evaluate(X, Y, verbose=0), model.evaluate(X, Y, verbose=0))


class NonFiniteTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(np.nan, np.inf)
    def test_nothing_is_assigned(self, bad: float) -> None:
        model = model_of(dense(keras.layers.BatchNormalization()), micro_batch_size=5, clip_norm=0.1)
        model.fit(X, Y, epochs=2, verbose=0)
        before, step = state_bits(model), dict(model.last_step)
        x = X.copy()
        x[17, 2] = bad
        with self.assertRaisesRegex(NonFiniteError, "in step 3: the update was not applied") as caught:
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


class RefusalTest(tf.test.TestCase, parameterized.TestCase):
    def test_a_loss_that_reduces_by_a_sum(self) -> None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
        with self.assertRaisesRegex(ValueError, "reduction='sum_over_batch_size'"):
            model_of(loss=loss).fit(X, Y, verbose=0)

    @parameterized.parameters(None, (["mse"],), ({"a": "mse"},))
    def test_no_loss_or_many(self, loss: Any = None) -> None:
        with self.assertRaisesRegex(ValueError, "needs one loss"):
            model_of(loss=loss).fit(X, Y, verbose=0)

    def test_no_compile(self) -> None:
        model = FullBatchModel(dense())
        for call in (model.fit, model.evaluate):
            with self.assertRaisesRegex(ValueError, "compile"):
                call(X, Y, verbose=0)

    def test_no_targets_or_too_few(self) -> None:
        model = model_of()
        for call in (model.fit, model.evaluate):
            with self.assertRaisesRegex(ValueError, "y is missing"):
                call(X, verbose=0)
            with self.assertRaisesRegex(ValueError, "23 inputs and 22 targets"):
                call(X, Y[:-1], verbose=0)

    def test_arguments_that_belong_to_update_batches(self) -> None:
        batches = UpdateBatches(X, Y, micro_batch_size=5)
        model = model_of(micro_batch_size=5)
        for wrong in ({"y": Y}, {"batch_size": 5}, {"shuffle": True}):
            with self.assertRaisesRegex(ValueError, "belong to UpdateBatches"):
                model.fit(batches, verbose=0, **wrong)
        with self.assertRaisesRegex(ValueError, "micro-batches of 5, but the model takes 4"):
            model_of(micro_batch_size=4).fit(batches, verbose=0)

    def test_validation_data_of_three_parts(self) -> None:
        with self.assertRaisesRegex(ValueError, r"validation_data must be \(inputs, targets\)"):
            model_of().fit(X, Y, verbose=0, validation_data=(X, Y, np.ones(SAMPLES)))

    @parameterized.parameters(
        {"micro_batch_size": 0},
        {"micro_batch_size": 2.5},
        {"micro_batch_size": "8"},
        {"micro_batch_size": None},
        {"penalty": "nested"},
        {"penalty": "nested_tape"},
        {"penalty_strength": 0.5},
        {"clip_norm": 0.0},
        {"clip_norm": float("nan")},
        {"augmentation": "mixup"},
        {"seed": -1},
    )
    def test_settings(self, **settings: Any) -> None:
        with self.assertRaises(UserError) as caught:
            FullBatchModel(dense(), **settings)
        self.assertIn(f"--{next(iter(settings))}", str(caught.exception))
        self.assertIsInstance(caught.exception, ValueError)

    def test_numpy_numbers_are_numbers(self) -> None:
        settings = FullBatchModel(dense(), micro_batch_size=np.int64(4), clip_norm=np.float32(0.5)).settings
        self.assertEqual((settings.micro_batch_size, settings.clip_norm), (4, 0.5))

    def test_unknown_settings(self) -> None:
        with self.assertRaisesRegex(TypeError, "clip"):
            FullBatchModel(dense(), clip=0.5)

    @parameterized.parameters({"steps_per_execution": 2}, {"loss_weights": [2.0]})
    def test_arguments_of_compile_that_would_be_ignored(self, **arguments: Any) -> None:
        model = FullBatchModel(dense())
        model.compile(optimizer="sgd", loss=CROSS_ENTROPY, **arguments)
        with self.assertRaisesRegex(ValueError, next(iter(arguments))):
            model.fit(X, Y, verbose=0)

    def test_loss_scaling(self) -> None:
        keras.config.set_dtype_policy("mixed_float16")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        with self.assertRaisesRegex(ValueError, "mixed_bfloat16"):
            model_of().fit(X, Y, verbose=0)

    def test_networks_of_several_outputs(self) -> None:
        inputs = keras.Input((FEATURES,))
        network = keras.Model(inputs, [keras.layers.Dense(2)(inputs), keras.layers.Dense(2)(inputs)])
        with self.assertRaisesRegex(ValueError, "must return one tensor"):
            model_of(network).fit(X, Y, verbose=0)


if __name__ == "__main__":
    tf.test.main()
