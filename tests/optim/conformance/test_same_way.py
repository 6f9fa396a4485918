"""How a pass is cut, where samples are, and when a training was interrupted: no method goes another way for it."""

import tempfile

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.optim.conformance import trainings
from tests.optim.conformance.methods import labels, method, other_labels
from tests.optim.conformance.problems import DECAY, tanh_mlp
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.training.state import TrainingState

PLACES = ((True, None), (True, 1), (False, 1), (False, 2))
"""(on the device, micro-batches per call)."""
REORDERED = ("larc",)
"""Methods whose products of scalars TensorFlow's graph optimiser orders anew when a step is a graph of its own: all but
the last bits are the same, and these too without its `arithmetic_optimization`."""


class SameWayCase(Float64Case):
    def assert_same_way(self, label: str) -> None:
        """Micro-batches of another size to 1e-12 of the change of the weights, a resumed training to the last bit."""
        of = method(label)
        start = trainings.weights(trainings.model_of(of, tanh_mlp(), 1))
        with tempfile.TemporaryDirectory() as folder:
            whole = trainings.five_steps(of, save_to=folder)
            resumed = trainings.resumed(of, folder)
        expected = TrainingState(whole).capture()
        for name, found in TrainingState(resumed).capture().items():
            self.assertEqual(found.tobytes(), expected[name].tobytes(), name)
        change = np.linalg.norm(trainings.weights(whole) - start)
        self.assertGreater(change, 1e-3)
        other = trainings.five_steps(of, micro_batch_size=23)
        self.assertLessEqual(
            np.linalg.norm(trainings.weights(other) - trainings.weights(whole)), 1e-12 * change
        )


class SameWayTest(SameWayCase):
    @parameterized.parameters(*labels())
    def test_any_micro_batches_and_a_checkpoint_on_the_way(self, label: str) -> None:
        self.assert_same_way(label)


@pytest.mark.slow
class EveryLineSearchTest(SameWayCase):
    @parameterized.parameters(*other_labels())
    def test_any_micro_batches_and_a_checkpoint_on_the_way(self, label: str) -> None:
        self.assert_same_way(label)


@pytest.mark.slow
class PlacesTest(Float64Case):
    @parameterized.parameters(*labels())
    def test_several_steps_per_call_streamed_and_in_chunks_have_the_same_bits(self, label: str) -> None:
        of, problem, found = method(label), tanh_mlp(), []
        # Methods that compare gradients of different steps refuse mini-batches.
        passes = (
            {"batch_size": None, "epochs": 5} if of.compares_gradients else {"batch_size": 5, "epochs": 1}
        )
        epochs = passes.pop("epochs")
        for on_device, chunk in PLACES:
            model = trainings.model_of(of, problem, 5, micro_batch_size=2, decay=DECAY)
            batches = UpdateBatches(
                problem.inputs,
                problem.targets,
                on_device=on_device,
                chunk_micro_batches=chunk,
                **passes,
            )
            model.fit(batches, epochs=epochs, verbose=0)
            self.assertEqual(model.steps_completed, 5)
            found.append(TrainingState(model).capture())
        for other in found[1:]:
            for name, expected in found[0].items():
                if label in REORDERED:
                    self.assertAllClose(other[name], expected, rtol=1e-12, atol=1e-14)
                else:
                    self.assertEqual(other[name].tobytes(), expected.tobytes(), name)


if __name__ == "__main__":
    tf.test.main()
