"""What FullBatchModel refuses, with a message that says what to do, instead of training something else."""

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
from tf_fullbatch.training import refusals
from tf_fullbatch.training.full_batch_model import FullBatchModel


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
        for wrong in ({"y": Y}, {"batch_size": 5}, {"shuffle": True}):
            with self.assertRaisesRegex(ValueError, "belong to UpdateBatches"):
                model.fit(batches, verbose=0, **wrong)

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
            FullBatchModel(softplus_network(), **settings)
        self.assertIn(f"--{next(iter(settings))}", str(caught.exception))
        self.assertIsInstance(caught.exception, ValueError)

    def test_numpy_numbers_are_numbers(self) -> None:
        settings = FullBatchModel(
            softplus_network(), micro_batch_size=np.int64(4), clip_norm=np.float32(0.5)
        ).settings
        self.assertEqual((settings.micro_batch_size, settings.clip_norm), (4, 0.5))

    def test_unknown_settings(self) -> None:
        with self.assertRaisesRegex(TypeError, "clip"):
            FullBatchModel(softplus_network(), clip=0.5)

    @parameterized.parameters({"steps_per_execution": 2}, {"loss_weights": [2.0]})
    def test_arguments_of_compile_that_would_be_ignored(self, **arguments: Any) -> None:
        model = FullBatchModel(softplus_network())
        model.compile(optimizer="sgd", loss=CROSS_ENTROPY, **arguments)
        with self.assertRaisesRegex(ValueError, next(iter(arguments))):
            model.fit(X, Y, verbose=0)

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
        with self.assertRaisesRegex(UserError, "--multiplicative_noise needs a loss per sample"):
            model_of(loss=whole, multiplicative_noise=0.1).fit(X, Y, verbose=0)
        masked = keras.Sequential(
            [
                keras.Input((4,), dtype="int32"),
                keras.layers.Embedding(5, 3, mask_zero=True),
                keras.layers.Dense(1),
            ]
        )
        with self.assertRaisesRegex(UserError, "which a mask cannot weight"):
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
            r"--jit_compile=on: the layer 'resize' \(Resizing\) leads to ResizeNearestNeighborGrad, which XLA"
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

    def test_networks_of_several_outputs(self) -> None:
        inputs = keras.Input((FEATURES,))
        network = keras.Model(inputs, [keras.layers.Dense(2)(inputs), keras.layers.Dense(2)(inputs)])
        with self.assertRaisesRegex(ValueError, "must return one tensor"):
            model_of(network).fit(X, Y, verbose=0)


class FunctionsTest(tf.test.TestCase, parameterized.TestCase):
    """What fit and evaluate are to ask."""

    @parameterized.parameters(
        ("sample_weight", np.ones(3), "scale the loss"),
        ("class_weight", {0: 1.0}, "scale the loss"),
        ("validation_split", 0.2, "validation_data"),
        ("validation_steps", 3, "all of validation_data"),
        ("steps_per_epoch", 3, "batch_size"),
    )
    def test_arguments(self, name: str, value: Any, words: str) -> None:
        for method in ("fit", "evaluate"):
            with self.assertRaisesRegex(UserError, rf"{method}\(\) does not take {name}: .*{words}"):
                refusals.refuse_arguments(method, {name: value})
        refusals.refuse_arguments("fit", {name: None})

    def test_arguments_that_say_nothing_or_are_unknown(self) -> None:
        refusals.refuse_arguments("fit", {"validation_split": 0.0})
        with self.assertRaisesRegex(TypeError, "unexpected argument 'batchsize'"):
            refusals.refuse_arguments("fit", {"batchsize": 3})

    @parameterized.parameters("train_on_batch", "test_on_batch")
    def test_on_batch(self, method: str) -> None:
        instead = "evaluate" if method == "test_on_batch" else "fit"
        with self.assertRaisesRegex(UserError, rf"{method}\(\) is not supported: use {instead}\("):
            refusals.refuse_on_batch(method)

    @parameterized.parameters(
        (lambda: tf.data.Dataset.from_tensor_slices(X), "to know all of its samples"),
        (lambda: (x for x in X), "x is a generator.*to know all"),
        (lambda: iter([X]), "to know all"),
        (lambda: [X, X], "x is a list of 2 arrays"),
        (lambda: (X, X), "x is a tuple of 2 arrays"),
        (lambda: [tf.constant(X), X], "2 arrays"),
        (lambda: {"a": X}, "x is a dict of 1 arrays"),
    )
    def test_data(self, data: Any, words: str) -> None:
        with self.assertRaisesRegex(UserError, words) as caught:
            refusals.refuse_data(data())
        self.assertLen(str(caught.exception).splitlines(), 1)

    def test_a_sequence_of_keras(self) -> None:
        class Batches(keras.utils.PyDataset):
            def __len__(self) -> int:
                return 1

            def __getitem__(self, index: int) -> Any:
                return X, Y

        with self.assertRaisesRegex(UserError, "validation_data is a Batches"):
            refusals.refuse_data(Batches(), "validation_data")

    def test_data_that_pass(self) -> None:
        for data in (X, X.tolist(), tuple(Y.tolist()), list(Y), tf.constant(X), Y):
            refusals.refuse_data(data)

    def test_several_inputs(self) -> None:
        a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
        with self.assertRaisesRegex(UserError, r"has 2 inputs \('a', 'b'\)"):
            refusals.refuse_several_inputs(keras.Model([a, b], keras.layers.Concatenate()([a, b])))
        refusals.refuse_several_inputs(softplus_network())

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
        self.assertEqual(refusals.classes_of(loss, keras.KerasTensor((None, 7))), (classes, ignored))

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
