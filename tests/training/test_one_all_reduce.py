"""However many micro-batches a step has, the replicas talk to each other once."""

import json
import subprocess
import sys
import unittest
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Counts the strategy's reductions while the compiled functions are traced: what is traced runs once per step.
COUNT = """
import json, sys
import numpy as np
import tensorflow as tf
from tests.training.tiny import build_network
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.training.full_batch_model import FullBatchModel
import keras

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
counted = []
extended = type(strategy.extended)
for name in ("_reduce_to", "_batch_reduce_to"):
    original = getattr(extended, name)
    setattr(extended, name, lambda *a, _original=original, **k: (counted.append(1), _original(*a, **k))[1])
found = {}
for full in (0.0, 0.3):
    with strategy.scope():
        model = FullBatchModel(
            build_network(), micro_batch_size=4, penalty="nested_tape", penalty_strength=0.5,
            full_gradient_penalty_strength=full, clip_norm=0.1,
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=GradientDescent(0.1), loss=loss)
    inputs = np.random.default_rng(0).normal(size=(37, 6)).astype("float32")
    batches = UpdateBatches(inputs, np.arange(37) % 3, chunk_micro_batches=1)
    counts = []
    for epoch in range(3):
        counted.clear()
        model.fit(batches, epochs=epoch + 1, initial_epoch=epoch, verbose=0)
        counts.append(len(counted))
    found[str(full)] = counts
print(json.dumps(found))
"""


@pytest.mark.slow
class OneAllReduceTest(unittest.TestCase):
    def test_one_a_step_and_one_more_for_the_whole_gradients_penalty(self):
        done = subprocess.run(
            [sys.executable, "-c", COUNT], cwd=ROOT, capture_output=True, text=True, check=False
        )
        self.assertEqual(0, done.returncode, done.stderr[-2000:])
        found = json.loads(done.stdout.splitlines()[-1])
        # Traced in the first step; afterwards nothing outside the compiled functions reduces either.
        self.assertEqual({"0.0": [1, 0, 0], "0.3": [2, 0, 0]}, found)


if __name__ == "__main__":
    unittest.main()
