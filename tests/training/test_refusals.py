"""What FullBatchModel refuses, with a message that says what to do, instead of training something else."""

import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.networks import FEATURES, softplus_network
from tests.training.small_models import CROSS_ENTROPY, SAMPLES, X, Y, model_of
from tf_fullbatch.core.losses import SparseCrossentropy
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.errors import UserError
from tf_fullbatch.training import compiled_loss
from tf_fullbatch.training.full_batch_model import FullBatchModel


class RefusalTest(tf.test.TestCase, parameterized.TestCase):
    def test_a_loss_that_reduces_by_a_sum(self) -> None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
        with self.assertRaisesRegex(ValueError, "reduction='sum_over_batch_size'"):
            model_of(loss=loss).fit(X, Y, verbose=0)

    @parameterized.parameters(
        (None, "needs a loss"),
        (["mse", "mse"], "has 2 entries, but the network has the output"),
        ({"a": "mse"}, "names 'a', but the network has the output"),
        ([3], "needs a loss per output"),
    )
    def test_no_loss_or_losses_of_other_outputs(self, loss: Any, words: str) -> None:
        with self.assertRaisesRegex(UserError, words):
            model_of(loss=loss).fit(X, Y, verbose=0)

    def test_no_compile(self) -> None:
        model = FullBatchModel(softplus_network())
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
        batches = UpdateBatches(X, Y)
        model = model_of(micro_batch_size=5)
        for wrong in (
            {"y": Y},
            {"batch_size": 5},
            {"shuffle": True},
            {"sample_weight": np.ones(SAMPLES)},
            {"class_weight": {0: 2.0}},
            {"steps_per_epoch": 2},
            {"validation_split": 0.5},
        ):
            with self.assertRaisesRegex(ValueError, "belong to UpdateBatches"):
                model.fit(batches, verbose=0, **wrong)
        for wrong in ({"y": Y}, {"sample_weight": np.ones(SAMPLES)}, {"steps": 2}):
            with self.assertRaisesRegex(ValueError, "belong to UpdateBatches"):
                model.evaluate(batches, verbose=0, **wrong)

    def test_validation_data_of_four_parts_or_given_twice(self) -> None:
        with self.assertRaisesRegex(ValueError, r"validation_data must be \(inputs, targets\)"):
            model_of().fit(X, Y, verbose=0, validation_data=(X, Y, np.ones(SAMPLES), 1))
        with self.assertRaisesRegex(ValueError, "cannot be given together"):
            model_of().fit(X, Y, verbose=0, validation_data=(X, Y), validation_split=0.5)

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
        {"augmentation": "mixdown"},
        {"seed": -1},
    )
    def test_settings(self, **settings: Any) -> None:
        with self.assertRaises(UserError) as caught:
            FullBatchModel(softplus_network(), **settings)
        self.assertIn(next(iter(settings)), str(caught.exception))
        self.assertNotIn("--", str(caught.exception))
        self.assertIsInstance(caught.exception, ValueError)

    def test_numpy_numbers_are_numbers(self) -> None:
        settings = FullBatchModel(
            softplus_network(), micro_batch_size=np.int64(4), clip_norm=np.float32(0.5)
        ).settings
        self.assertEqual((settings.micro_batch_size, settings.clip_norm), (4, 0.5))

    def test_unknown_settings(self) -> None:
        with self.assertRaisesRegex(TypeError, "clip"):
            FullBatchModel(softplus_network(), clip=0.5)

    @parameterized.parameters({"jit_compile": True}, {"run_eagerly": True})
    def test_how_compile_would_run_steps(self, **arguments: Any) -> None:
        model = FullBatchModel(softplus_network())
        model.compile(optimizer="sgd", loss=CROSS_ENTROPY, **arguments)
        with self.assertRaisesRegex(UserError, rf"compile\({next(iter(arguments))}=True\)"):
            model.fit(X, Y, verbose=0)

    def test_what_would_not_be_called(self) -> None:
        class OwnLoss(FullBatchModel):
            def compute_loss(self, *arguments: Any, **named: Any) -> tf.Tensor:
                return tf.zeros([])

        class OwnStep(keras.Sequential):
            def train_step(self, data: Any) -> dict:
                return {}

        own = OwnLoss(softplus_network())
        own.compile(optimizer="sgd", loss=CROSS_ENTROPY)
        with self.assertRaisesRegex(UserError, r"^OwnLoss.compute_loss would not be called"):
            own.fit(X, Y, verbose=0)
        network = OwnStep([keras.Input((FEATURES,)), keras.layers.Dense(3)])
        with self.assertRaisesRegex(UserError, r"^OwnStep.train_step would not be called"):
            model_of(network).fit(X, Y, verbose=0)

    def test_losses_that_do_not_reduce_by_a_mean_or_are_called_otherwise(self) -> None:
        class Twice(keras.losses.MeanSquaredError):
            def __call__(self, *arguments: Any) -> tf.Tensor:
                return 2 * super().__call__(*arguments)

        for loss, words in (
            (keras.losses.MeanSquaredError(reduction=None), r"does not reduce \(reduction=None\)"),
            (Twice(), "has a __call__ of its own"),
        ):
            with self.assertRaisesRegex(ValueError, words):
                model_of(loss=loss).fit(X, Y, verbose=0)

    def test_a_loss_of_the_whole_micro_batch(self) -> None:
        def whole(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
            return tf.reduce_mean(tf.square(outputs))

        model_of(loss=whole, micro_batch_size=5).fit(X, Y, verbose=0)
        with self.assertRaisesRegex(
            UserError, "multiplicative_noise weights samples, but the loss is one number"
        ):
            model_of(loss=whole, multiplicative_noise=0.1).fit(X, Y, verbose=0)
        masked = keras.Sequential(
            [
                keras.Input((4,), dtype="int32"),
                keras.layers.Embedding(5, 3, mask_zero=True),
                keras.layers.Dense(1),
            ]
        )
        with self.assertRaisesRegex(UserError, "masks places, but the loss is one number"):
            model_of(masked, loss=whole).fit(
                np.ones((4, 4), "int32"), np.ones((4, 4, 1), "float32"), verbose=0
            )

    def test_an_error_of_the_users_own_loss_is_theirs(self) -> None:
        def faulty(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
            return {}["key"]

        with self.assertRaises(KeyError):
            model_of(loss=faulty).fit(X, Y, verbose=0)

    def test_several_optimizers(self) -> None:
        network = softplus_network()
        both = [keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.2)]
        with self.assertRaisesRegex(UserError, "MultiOptimizer is not supported"):
            model_of(network, keras.optimizers.MultiOptimizer(both[0], [(both[1], network.layers[-1:])])).fit(
                X, Y, verbose=0
            )

    def test_weights_made_in_training_alone(self) -> None:
        class Auxiliary(keras.layers.Layer):
            def __init__(self) -> None:
                super().__init__()
                self.more = keras.layers.Dense(5)

            def build(self, shape: Any) -> None:
                self.built = True

            def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
                return x + self.more(x) if training else x

        network = softplus_network(Auxiliary())
        with self.assertRaisesRegex(UserError, "makes weights .* when it is called in training alone"):
            model_of(network).fit(X, Y, verbose=0)

    def test_sizes_and_networks_of_other_kinds(self) -> None:
        with self.assertRaisesRegex(UserError, "update_batch_size='full': give a whole number"):
            model_of().fit(X, Y, batch_size="full", verbose=0)
        for network in (lambda x: x, keras.Sequential):
            with self.assertRaisesRegex(
                TypeError, "network must be a built or unbuilt keras.Model, but it is"
            ):
                FullBatchModel(network)

    def test_steps_that_an_objective_does_not_have(self) -> None:
        data = UpdateBatches(X, Y, batch_size=10)
        model_of().objective(data, step=2)
        for step in (-1, 3):
            with self.assertRaisesRegex(UserError, rf"step={step}: the data have 3 step\(s\) per epoch"):
                model_of().objective(data, step=step)

    def test_a_loss_scale_factor(self) -> None:
        with self.assertRaisesRegex(UserError, "loss_scale_factor=1024.0 is not supported"):
            model_of(optimizer=keras.optimizers.SGD(0.1, loss_scale_factor=1024.0)).fit(X, Y, verbose=0)

    @parameterized.parameters(0, 1)
    def test_layers_frozen_or_thawed_since_compile(self, frozen_first: int) -> None:
        network = softplus_network(keras.layers.BatchNormalization(scale=False, center=False))
        layer = network.layers[1]
        layer.trainable = not frozen_first
        model = model_of(network)
        model.fit(X, Y, verbose=0)
        layer.trainable = not layer.trainable
        with self.assertRaisesRegex(UserError, r"frozen or thawed since compile\(\): call compile\(\) again"):
            model.fit(X, Y, verbose=0)
        model.evaluate(X, Y, verbose=0)
        model.compile(optimizer="sgd", loss=CROSS_ENTROPY)
        before = [w.numpy() for w in layer.weights]
        model.fit(X, Y, verbose=0)
        moved = [bool((old != w.numpy()).any()) for old, w in zip(before, layer.weights, strict=True)]
        self.assertEqual(moved, [layer.trainable] * len(moved))

    def test_layers_frozen_by_a_callback(self) -> None:
        model = model_of()

        def freeze(epoch: int, logs: Any) -> None:
            model.network.layers[0].trainable = epoch < 1

        callback = keras.callbacks.LambdaCallback(on_epoch_end=freeze)
        with self.assertRaisesRegex(UserError, "were frozen or thawed since compile"):
            model.fit(X, Y, epochs=5, callbacks=[callback], verbose=0)
        self.assertEqual(model.steps_completed, 2)

    def test_a_frozen_network_is_evaluated_but_not_trained(self) -> None:
        network = softplus_network()
        expected = model_of(network).evaluate(X, Y, verbose=0)
        network.trainable = False
        model = model_of(network)
        self.assertEqual(model.evaluate(X, Y, verbose=0), expected)
        with self.assertRaisesRegex(ValueError, "has no trainable weights: there is nothing to train"):
            model.fit(X, Y, verbose=0)

    @parameterized.parameters(keras.layers.MaxPooling2D, keras.layers.MaxPooling3D, keras.layers.MaxPooling1D)
    def test_xla_with_max_pooling_of_any_rank_and_an_exact_penalty(self, pooling: Any) -> None:
        rank = int(pooling.__name__[-2])
        network = keras.Sequential(
            [
                keras.Input((2,) * rank + (1,)),
                pooling(2),
                keras.layers.Flatten(),
                keras.layers.Dense(1),
            ]
        )
        x, y = np.ones((4, *(2,) * rank, 1), "float32"), np.ones((4, 1), "float32")
        model = model_of(network, loss="mse", penalty="nested_tape", penalty_strength=1.0, jit_compile="on")
        with self.assertRaisesRegex(UserError, "XLA's second derivative of max pooling is wrong"):
            model.fit(x, y, verbose=0)

    def test_xla_of_what_it_does_not_compile(self) -> None:
        inputs = keras.Input((4, 4, 2))
        x = keras.layers.Conv2D(2, 1)(inputs)
        x = keras.layers.Flatten()(keras.layers.Resizing(6, 6, interpolation="nearest", name="resize")(x))
        network = keras.Model(inputs, keras.layers.Dense(1)(x))
        x, y = np.ones((4, 4, 4, 2), "float32"), np.ones((4, 1), "float32")
        expected = (
            r"^jit_compile=on: the layer 'resize' \(Resizing\) leads to ResizeNearestNeighborGrad, which XLA"
        )
        with self.assertRaisesRegex(UserError, expected):
            model_of(network, loss="mse", jit_compile="on").fit(x, y, verbose=0)
        model_of(network, loss="mse", jit_compile="auto").fit(x, y, verbose=0)

    @parameterized.parameters("forward_over_reverse", "nested_tape", "none")
    def test_xla_by_penalty(self, penalty: str) -> None:
        strength = {} if penalty == "none" else {"penalty_strength": 1.0}
        model = model_of(softplus_network(), penalty=penalty, jit_compile="on", **strength)
        if penalty != "forward_over_reverse":
            model.fit(X, Y, verbose=0)
        else:
            with self.assertRaisesRegex(UserError, "some of XLA's operations have no forward mode"):
                model.fit(X, Y, verbose=0)

    def test_what_the_audit_refuses(self) -> None:
        network = softplus_network(keras.layers.Lambda(lambda x: x + tf.random.normal(tf.shape(x))))
        with self.assertRaisesRegex(UserError, "layer 'lambda.*draws random numbers by RandomStandardNormal"):
            model_of(network).fit(X, Y, verbose=0)

    def test_loss_scaling(self) -> None:
        keras.config.set_dtype_policy("mixed_float16")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        with self.assertRaisesRegex(ValueError, "mixed_bfloat16"):
            model_of().fit(X, Y, verbose=0)

    def test_inputs_that_are_not_the_networks(self) -> None:
        a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
        network = keras.Model([a, b], keras.layers.Dense(3)(keras.layers.Concatenate()([a, b])))
        x, y = np.ones((5, 2), "float32"), np.ones((5, 3), "float32")
        for inputs, words in (
            (x, r"has 2 inputs \('a', 'b'\), but x has 1"),
            ([x, y, x], "has 2 inputs .*, but x has 3"),
            ([y, x], "cannot be called on inputs of the shapes"),
            ({"a": x, "c": y}, "cannot be called on inputs"),
        ):
            with self.assertRaisesRegex(UserError, words) as caught:
                model_of(network).fit(inputs, np.zeros(5, int), verbose=0)
            self.assertLen(str(caught.exception).splitlines(), 1)
        with self.assertRaisesRegex(UserError, r"has 1 input \(.*\), but x has 2"):
            model_of().fit([X, X], Y, verbose=0)

    def test_targets_and_weights_that_are_not_the_outputs(self) -> None:
        inputs = keras.Input((FEATURES,))
        outputs = [keras.layers.Dense(2, name=name)(inputs) for name in ("p", "q")]
        network = keras.Model(inputs, outputs)
        y = np.zeros((SAMPLES, 2))
        for targets, weights, words in (
            (y, None, "The targets are one array, but the network has the output.*'p', 'q'"),
            ([y], None, r"The targets are 1 array\(s\)"),
            ({"p": y, "r": y}, None, "The targets are 'p', 'r'"),
            ({"p": y}, None, "nothing for the output 'q'"),
            ([y, y], {"r": np.ones(SAMPLES)}, "The weights are 'r'"),
            ([y, y], {"p": np.ones(SAMPLES)}, "The weights are 'p', but the network has the output"),
            ([y, y], [np.ones(SAMPLES), None], "The sample weights hold None"),
            ([y, y], np.array(["a"] * SAMPLES), "sample_weight is of dtype <U1: give numbers"),
            ([y, [y, y]], None, "The targets are a structure within a structure"),
        ):
            with self.assertRaisesRegex(UserError, words) as caught:
                model_of(network, loss="mse").fit(X, targets, sample_weight=weights, verbose=0)
            self.assertLen(str(caught.exception).splitlines(), 1)

    def test_metrics_without_targets_of_every_output(self) -> None:
        inputs = keras.Input((FEATURES,))
        idle = keras.layers.Dense(2, name="q", trainable=False)(inputs)
        network = keras.Model(inputs, {"p": keras.layers.Dense(2, name="p")(inputs), "q": idle})
        y = {"p": np.zeros((SAMPLES, 2))}
        model_of(network, loss={"p": "mse"}).fit(X, y, verbose=0)
        with self.assertRaisesRegex(UserError, "The targets are 'p', but the network has the output"):
            model_of(network, loss={"p": "mse"}, metrics={"p": ["mae"]}).fit(X, y, verbose=0)

    def test_flip_averaging_of_several_outputs(self) -> None:
        inputs = keras.Input((2, 2, 1))
        flat = keras.layers.Flatten()(inputs)
        network = keras.Model(inputs, [keras.layers.Dense(2)(flat), keras.layers.Dense(2)(flat)])
        y = np.zeros((5, 2))
        with self.assertRaisesRegex(UserError, "flip_averaging=True is for a network of one output"):
            model_of(network, loss="mse", flip_averaging=True).fit(np.zeros((5, 2, 2, 1)), [y, y], verbose=0)

    def test_weights_of_more_axes_than_the_losses(self) -> None:
        with self.assertRaisesRegex(
            UserError, "sample_weight has 2 axes, but there is one loss per place of 1"
        ):
            model_of().fit(X, Y, sample_weight=np.ones((SAMPLES, 2)), verbose=0)

    def test_outputs_that_are_masked_differently(self) -> None:
        tokens = keras.Input((4,), dtype="int32")
        masked = keras.layers.Embedding(5, 3, mask_zero=True)(tokens)
        plain = keras.layers.Embedding(5, 3)(tokens)
        network = keras.Model(tokens, [keras.layers.Dense(1)(masked), keras.layers.Dense(1)(plain)])
        y = np.ones((4, 4, 1), "float32")
        with self.assertRaisesRegex(UserError, "count places in different ways"):
            model_of(network, loss="mse").fit(np.ones((4, 4), "int32"), [y, y], verbose=0)

    def test_images_alone(self) -> None:
        a, b = keras.Input((2,)), keras.Input((2,))
        network = keras.Model([a, b], keras.layers.Dense(3)(keras.layers.Add()([a, b])))
        x = np.ones((5, 2), "float32")
        for setting in ({"augmentation": "crop"}, {"flip_averaging": True}):
            with self.assertRaisesRegex(
                UserError, rf"^{next(iter(setting))}.* is for a network of one input"
            ):
                model_of(network, **setting).fit([x, x], np.zeros(5, int), verbose=0)

    @parameterized.parameters(
        ({"augmentation": "flip"}, (4, 4, 3), True, "augmentation='flip' moves images, but not the targets"),
        ({"test_time_augmentation": "flip"}, (4, 4, 3), True, r"whose shape \(4, 4, 5\) has places"),
        ({"test_time_augmentation": "flip"}, (4, 3), False, r"is for images .* of the shape \(4, 3\)"),
        (
            {"augmentation": "flip"},
            (4, 4, 3),
            False,
            "for pixels from 0 to 255 .uint8., but inputs are float32",
        ),
    )
    def test_images_of_levels_alone(self, setting: dict, shape: tuple, of_places: bool, message: str) -> None:
        inputs = keras.Input(shape)
        flat = keras.layers.Identity() if of_places else keras.layers.Flatten()
        network = keras.Model(inputs, keras.layers.Dense(5)(flat(inputs)))
        y = np.zeros((5, *shape[:-1]) if of_places else 5, int)
        with self.assertRaisesRegex(UserError, message):
            model_of(network, **setting).fit(np.ones((5, *shape), "float32"), y, verbose=0)


class FunctionsTest(tf.test.TestCase, parameterized.TestCase):
    """What fit and evaluate are to ask."""

    @parameterized.parameters(
        (SparseCrossentropy(), 7, None),
        ("sparse_categorical_crossentropy", 7, None),
        (keras.losses.SparseCategoricalCrossentropy(), 7, None),
        (keras.losses.SparseCategoricalCrossentropy(ignore_class=-1), 7, -1),
        (keras.losses.sparse_categorical_crossentropy, 7, None),
        (keras.losses.CategoricalCrossentropy(), None, None),
        ("mse", None, None),
        (lambda y, z: y - z, None, None),
    )
    def test_losses_that_take_class_numbers(
        self, loss: Any, classes: int | None, ignored: int | None
    ) -> None:
        outputs = keras.KerasTensor((None, 7))
        model = model_of(loss=loss)
        targets = tf.TensorSpec([None], tf.int64) if classes else tf.TensorSpec([None, 7])
        compiled = compiled_loss.training_loss(model, model.network, targets, outputs)
        found = compiled_loss.classes(model, compiled, outputs)
        self.assertEqual(list(found.values()), [(classes, ignored)])

    @parameterized.parameters(
        ("mse", (40,), "targets have the shape [samples], the outputs [samples, 10]"),
        (SparseCrossentropy(), (40, 10), "give np.argmax(y, axis=-1) of one-hot targets"),
        ("mse", (40, 1), "targets have the shape [samples, 1], the outputs [samples, 10]"),
        (keras.losses.Huber(), (40,), "the loss 'huber_loss' takes both alike"),
    )
    def test_targets_that_would_be_broadcast(self, loss: Any, shape: tuple, words: str) -> None:
        # A micro-batch of as many samples as there are outputs hides it from TensorFlow too.
        network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(10)])
        model = model_of(network, loss=loss, micro_batch_size=10)
        with self.assertRaisesRegex(UserError, re.escape(words)):
            model.fit(np.ones((40, 3), "float32"), np.ones(shape, "float32"), verbose=0)

    def test_an_augmentation_that_draws_from_a_state(self) -> None:
        network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model = FullBatchModel(
            network, augmentation_function=lambda x, ids, epoch: tf.random.normal([5, 4]) + x
        )
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        with self.assertRaisesRegex(UserError, "The augmentation_function uses RandomStandardNormal"):
            model.fit(np.zeros((5, 4), "float32"), np.zeros(5, int), verbose=0)
        self.assertEqual(model.steps_completed, 0)


if __name__ == "__main__":
    tf.test.main()
