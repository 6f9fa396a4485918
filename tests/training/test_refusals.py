"""What FullBatchModel refuses, with a message that says what to do, instead of training something else."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.networks import FEATURES, softplus_network
from tests.training.small_models import CROSS_ENTROPY, SAMPLES, X, Y, model_of
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.errors import UserError
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
