"""What every family of networks must do in training, in float64, beside plain TensorFlow: one row per family.

A family that is not in the table of `families.py` fails the first test; `test_family_penalties.py` and
`test_family_precision.py` go over the same table.
"""

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.models import families
from tests.models.families import FAMILIES, TINY, cut, flat, mean_over_samples, plain, samples
from tests.training.small_models import model_of
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.models.registry import MODELS
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.records.checkpoints import load_checkpoint, save_checkpoint
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.state import TrainingState

SAMPLES, MICRO_BATCH, RATE = 11, 4, 0.125
COUNTS = (4, 4, 3)
LONG = ("preresnet_tiny", "wrn10_1", "pyramidnet_tiny", "densenet_tiny", "vgg11", "convnext_micro")
"""Networks that take seconds to compile, of kinds of layers that others here have too."""


def norm(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector))


def model_for(network: keras.Model, **settings: Any) -> FullBatchModel:
    """Descent with momentum, whose first step is `RATE` times the gradient."""
    model = model_of(network, GradientDescent(RATE, nesterov=False), micro_batch_size=MICRO_BATCH, **settings)
    model.optimizer.build(network.trainable_variables)
    return model


class EveryFamilyTest(Float64Case):
    def test_every_registered_family_is_here(self) -> None:
        self.assertEqual(set(FAMILIES), set(MODELS.values()), "families.py must have a row for every family")
        for name, (family, _) in TINY.items():
            self.assertIs(MODELS[name], family)

    @parameterized.parameters(*(name for name in TINY if name not in LONG))
    def test_steps(self, name: str) -> None:
        self.assert_steps(name)

    @parameterized.parameters(*LONG)
    @pytest.mark.slow
    def test_steps_of_long_ones(self, name: str) -> None:
        self.assert_steps(name)

    def assert_steps(self, name: str) -> None:
        """The first step, any chunks, and a training that goes on from a checkpoint."""
        network, (inputs, labels) = families.built(name), samples(name, SAMPLES)
        model = model_for(network)
        state = TrainingState(model)
        before, parts = state.capture(), [plain(network, *part) for part in cut(inputs, labels, MICRO_BATCH)]
        whole, weights = plain(network, inputs, labels), flat(network.trainable_variables)
        statistics = flat(network.non_trainable_variables)

        history = model.fit(inputs, labels, epochs=1, verbose=0).history
        after_one = state.capture()
        gradient = (weights - flat(network.trainable_variables)) / RATE
        expected = mean_over_samples([part.gradient for part in parts], COUNTS)
        self.assertLess(norm(gradient - expected), 1e-12 * norm(expected))
        loss = mean_over_samples([part.loss for part in parts], COUNTS)
        self.assertAllClose(history["loss"], [loss], rtol=1e-12)
        self.assert_statistics(network, statistics, [part.state for part in parts])
        of_whole = norm(gradient - whole.gradient) / norm(expected)
        if families.has_batch_norm(network):
            self.assertGreater(of_whole, 1e-2)  # normalised by each micro-batch
        else:
            self.assertLess(of_whole, 1e-12)

        chunks = UpdateBatches(inputs, labels, chunk_micro_batches=1)
        model.fit(chunks, initial_epoch=1, epochs=2, verbose=0)
        after_two = state.capture()
        state.restore(before)
        model.fit(chunks, epochs=1, verbose=0)
        self.assert_same_bits(state.capture(), after_one)
        self.assert_goes_on(name, model, state, after_one)
        model.fit(inputs, labels, initial_epoch=1, epochs=2, verbose=0)
        self.assert_same_bits(state.capture(), after_two)

    def assert_statistics(self, network: keras.Model, old: np.ndarray, states: list[np.ndarray]) -> None:
        """With momentum k and K micro-batches: k^K of the old ones, and the rest of what the micro-batches measured."""
        k, kept = families.NORM_MOMENTUM, families.NORM_MOMENTUM ** len(COUNTS)
        measured = mean_over_samples([(state - k * old) / (1 - k) for state in states], COUNTS)
        found = flat(network.non_trainable_variables)
        self.assertEqual(bool(len(found)), families.has_batch_norm(network))
        self.assertAllClose(found, kept * old + (1 - kept) * measured, rtol=1e-11, atol=1e-12)

    def assert_goes_on(
        self, name: str, model: FullBatchModel, state: TrainingState, arrays: dict[str, np.ndarray]
    ) -> None:
        """A checkpoint's arrays, through its files, in this model and in a network that began elsewhere."""
        with tempfile.TemporaryDirectory() as folder:
            path = save_checkpoint(folder, step=1, epoch=1, arrays=arrays, metadata={})
            loaded = load_checkpoint(path).arrays
        state.restore(loaded)
        other = families.built(name, seed=1, moved=False)
        other_state = TrainingState(model_for(other))
        other_state.restore(loaded)
        self.assert_same_bits(other_state.capture(), arrays)
        some = samples(name, 3)[0]
        self.assertAllEqual(other(some), model.network(some))
        self.assertAllEqual(other(some, training=True), model.network(some, training=True))
        state.restore(loaded)  # that call moved the statistics

    def assert_same_bits(self, found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
        self.assertEqual(list(found), list(expected))
        for name, array in expected.items():
            self.assertEqual(found[name].tobytes(), array.tobytes(), name)

    @parameterized.parameters(*TINY)
    def test_saved_and_loaded(self, name: str) -> None:
        """A model as one file: settings, weights, and what the optimizer keeps."""
        network, (inputs, _) = families.built(name), samples(name, 3)
        model = model_for(network, penalty="nested_tape", penalty_strength=0.5)
        model.optimizer.buffers[0].assign(np.full(model.optimizer.buffers[0].shape, 0.5))
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / "model.keras")
            loaded = keras.models.load_model(Path(folder) / "model.keras", safe_mode=True)
        self.assertAllEqual(loaded(inputs), network(inputs))
        self.assertEqual(loaded.settings, model.settings)
        for one, other in zip(loaded.variables, model.variables, strict=True):
            self.assertAllEqual(one, other)
        self.assertAllEqual(loaded.optimizer.buffers[0], model.optimizer.buffers[0])


if __name__ == "__main__":
    tf.test.main()
