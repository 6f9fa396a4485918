"""FullBatchModel as a Keras model: losses, networks, metrics, callbacks and saving as Keras has them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.networks import CLASSES, FEATURES, softplus_network
from tests.training.small_models import SAMPLES, X, Y, model_of, normal, weights
from tf_fullbatch.core.losses import SparseCrossentropy
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.parts import accumulate_dtype


class FitTest(tf.test.TestCase, parameterized.TestCase):
    def test_trains_and_reports_the_loss_before_each_update(self) -> None:
        model = model_of(micro_batch_size=5, optimizer=keras.optimizers.Adam(0.1))
        before = model.evaluate(X, Y, verbose=0, return_dict=True)
        history = model.fit(X, Y, epochs=30, verbose=0).history
        for name in ("loss", "accuracy"):
            self.assertAllClose(history[name][0], before[name], rtol=1e-6, atol=0)
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
        network = keras.Sequential(
            [keras.Input((FEATURES,)), *softplus_network(positive, outputs=outputs).layers, head]
        )
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

        targets = normal(SAMPLES, 2)  # float64, the network float32
        network = softplus_network(outputs=2)
        expected = np.mean(np.abs(targets - network.predict(X, verbose=0)) ** 3)
        history = model_of(network, loss=Cubic(), micro_batch_size=4).fit(X, targets, verbose=0).history
        self.assertAllClose(history["loss"], [expected], rtol=1e-5, atol=0)
        self.assertNotIn("accuracy", history)

    def test_functional_networks_on_images(self) -> None:
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(inputs))
        outputs = keras.layers.Dense(CLASSES)(keras.layers.GlobalAveragePooling2D()(x))
        model = model_of(keras.Model(inputs, outputs), micro_batch_size=8, augmentation="none")
        images = normal(SAMPLES, 8, 8, 1).astype("float32")
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
        model = model_of(softplus_network(keras.layers.BatchNormalization()), micro_batch_size=5, penalty="nested_tape",
                         penalty_strength=0.5)  # fmt: skip
        history = model.fit(X, Y, epochs=3, verbose=0).history
        self.assertEqual(accumulate_dtype(model.settings, model.network), "float32")
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
        # Once for steps of several micro-batches, and once for steps of one.
        self.assertEqual(model._trainer.training.steps.traces, 2)

    def test_many_models_in_one_process_bring_no_warning_of_retracing(self) -> None:
        with self.assertNoLogs(tf.get_logger(), "WARNING"):
            for _ in range(5):  # TensorFlow would warn at the fifth
                model = model_of(keras.Sequential([keras.layers.Dense(CLASSES)]), micro_batch_size=8)
                model.fit(X, Y, verbose=0)

    def test_an_evaluation_of_few_samples_leaves_the_micro_batches_as_they_are(self) -> None:
        networks = [softplus_network(keras.layers.BatchNormalization()) for _ in range(2)]
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
            model = model_of(softplus_network(), micro_batch_size=4)
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
        model.fit(UpdateBatches(X, Y, chunk_micro_batches=2), verbose=0)
        self.assertEqual(calls, [(2, 5), (4, 5), (5, 5)])


class SaveTest(tf.test.TestCase):
    def trained(self, epochs: int) -> FullBatchModel:
        network = softplus_network(keras.layers.BatchNormalization(), keras.layers.Dropout(0.3))
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


if __name__ == "__main__":
    tf.test.main()
