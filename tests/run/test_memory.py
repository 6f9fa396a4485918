"""What `--dry_run` says of memory: sizes that are known, what is measured, and what to lower."""

import contextlib
import os
import subprocess
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tests.training.small_models import CROSS_ENTROPY
from tf_fullbatch.config.run import Config
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.resident import ResidentSource, held_bytes, transfer_bytes
from tf_fullbatch.data.sources.dataset import in_order
from tf_fullbatch.data.stream import StreamSource, in_flight_bytes
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.run.memory import memory_rows, network_memory, samples_memory
from tf_fullbatch.run.splits import Splits
from tf_fullbatch.training.full_batch_model import FullBatchModel

ROOT = Path(__file__).parents[2]
ROW = 8 * 4 + 4 + 8
"""Bytes of a sample: inputs, target, number."""
ONE = tf.distribute.get_strategy()
TWO = mock.Mock(tf.distribute.MirroredStrategy, num_replicas_in_sync=2)
WORKERS = mock.Mock(tf.distribute.MultiWorkerMirroredStrategy, num_replicas_in_sync=2)


def splits(train: int = 110, test: int | None = None) -> Splits:
    """Samples of 8 numbers."""

    def split(samples: int):
        return in_order(np.zeros((samples, 8), np.float32), np.arange(samples, dtype=np.int32) % 2, 2)

    return Splits(split(train), None, None if test is None else split(test), "test")


def config(**settings: object) -> Config:
    return Config().replacing(**({"model": "linear", "micro_batch_size": 10} | settings))


def free(count: int) -> contextlib.AbstractContextManager:
    """The host has so many bytes free."""
    return mock.patch.object(psutil, "virtual_memory", return_value=mock.Mock(available=count))


class SamplesTest(tf.test.TestCase):
    def held(
        self, strategy: tf.distribute.Strategy, test: int | None = None, **settings: object
    ) -> list[int]:
        return [one.held for one in samples_memory(config(**settings), splits(test=test), strategy)]

    def test_each_device_holds_its_own_samples_or_all_or_none(self) -> None:
        self.assertEqual(self.held(ONE), [110 * ROW])
        self.assertEqual(self.held(TWO), [110 * ROW / 2])
        self.assertEqual(self.held(TWO, shuffle=True), [110 * ROW])
        self.assertEqual(self.held(ONE, data_on_device="off"), [0])
        self.assertEqual(self.held(WORKERS), [0])

    def test_evaluated_samples_stay_too_where_they_fit_beside_those_before(self) -> None:
        self.assertEqual(self.held(ONE, test=50), [110 * ROW, 50 * ROW])
        with free(4 * 110 * ROW):
            self.assertEqual(self.held(ONE, test=50), [110 * ROW, 50 * ROW])
            self.assertEqual(self.held(ONE, test=100), [110 * ROW, 0])
        with free(4 * 110 * ROW - 1):
            self.assertEqual(self.held(ONE, test=100), [0, 100 * ROW])


class Measured(NamedTuple):
    """Growth of this process' memory, in bytes."""

    after: int
    peak: int


def measured(made: Callable[[], object]) -> Measured:
    """How the resident set has grown once something is made, and how far it grew meanwhile; by Linux' own account."""
    process = psutil.Process()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = process.memory_info().rss
    kept = made()
    after = process.memory_info().rss
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM"))
    del kept
    return Measured(after - before, 1024 * int(line.split()[1]) - before)


def large_batches() -> UpdateBatches:
    inputs = np.ones((3000, 8000), np.float32)  # written, so that it is there
    return UpdateBatches(inputs, np.zeros(3000, np.int32))


def measured_on_the_device() -> Measured:
    batches = large_batches()
    ResidentSource(batches.select(np.arange(8)), 4, ONE)
    return measured(lambda: ResidentSource(batches, 64, ONE))


@unittest.skipUnless(os.access("/proc/self/clear_refs", os.W_OK), "Linux alone tells")
class MeasuredTest(tf.test.TestCase, parameterized.TestCase):
    """Of 96 MB of samples, larger than anything else that is made meanwhile."""

    def setUp(self) -> None:
        super().setUp()
        self.batches = large_batches()

    @pytest.mark.slow
    def test_samples_on_the_device(self) -> None:
        # In a process of its own: this one's heap keeps what other tests freed.
        program = "from tests.run.test_memory import measured_on_the_device as f; print(*f())"
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )
        found = Measured(*map(int, done.stdout.split()))
        held = held_bytes(self.batches, 1)
        self.assertAllClose(found.after, held, rtol=0.1)
        self.assertAllClose(found.peak, held + transfer_bytes(self.batches, 1), rtol=0.1)

    def test_samples_that_stream(self) -> None:
        # Measured in a process of its own, 69 MB grow where 66 are said; here the heap keeps what other tests freed.
        batches = UpdateBatches(self.batches.inputs, self.batches.targets, shuffle=True)
        source, made = StreamSource(batches, 128, ONE), []

        def select_rows(rows: np.ndarray, epoch: int) -> Any:
            made.append(len(rows))
            return UpdateBatches.select_rows(batches, rows, epoch)

        with mock.patch.object(batches, "select_rows", select_rows):
            next(source.calls(0, 0))
            deadline = time.monotonic() + 10
            while len(made) < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.2)
        self.assertEqual(made, [512] * 3)  # one in use, two ahead, and of the last the arrays it was made of
        self.assertEqual(in_flight_bytes(batches, 128, 1), 4 * 512 * (8000 * 4 + 4 + 8))


class RowsTest(tf.test.TestCase, parameterized.TestCase):
    def rows(self, units: int = 2, loaded: bool = True, **settings: object) -> dict[str, str]:
        network = keras.Sequential([keras.Input((8,)), keras.layers.Dense(units), keras.layers.Dense(2)])
        chosen = config(**settings)
        model = FullBatchModel(network, **chosen.step.to_flat())
        model.compile(GradientDescent(0.1), CROSS_ENTROPY)
        model.optimizer.build(network.trainable_variables)
        self.network = network_memory(model)
        return dict(memory_rows(chosen, model, splits(test=40), loaded=loaded))

    def test_sizes_that_are_known(self) -> None:
        rows = self.rows()
        weights = (8 * 2 + 2) + (2 * 2 + 2)
        # Weights and momentum buffers; the optimizer's counter and learning rate are a few bytes.
        self.assertBetween(self.network.weights, 2 * 4 * weights, 2 * 4 * weights + 16)
        self.assertEqual(self.network.gradients, 3 * 4 * weights)
        self.assertEqual(self.network.activations, 10 * 4 * (2 + 2))
        self.assertEqual(rows["host memory"], "5.4 kB of samples: training 3.96 kB, test 1.44 kB")
        self.assertIn("samples 6.6 kB (training 4.84 kB, test 1.76 kB)", rows["device memory"])
        copied = 110 * 8 * 4 - 40 * ROW  # the training samples are copied before the others are there
        total = self.network.total + 150 * ROW + copied
        said = (
            f"about {total / 1000:.3g} kB beside the samples' arrays (1.76 kB of it while samples are copied)"
        )
        self.assertIn(said, rows["peak memory"])
        self.assertNotIn("does not fit", rows)

    def test_what_streams(self) -> None:
        rows = self.rows(data_on_device="off", chunk_micro_batches=2)
        on_their_way = 4 * 2 * 10 * ROW * 2  # four chunks of each set
        self.assertIn(
            f"training and test samples stream, {on_their_way / 1000:.3g} kB on their way",
            rows["device memory"],
        )

    def test_arrays_that_are_not_loaded_need_room_too(self) -> None:
        self.rows()
        needed = self.network.total + 4 * 2 * 10 * ROW * 2  # what streams
        streaming = {"data_on_device": "off", "chunk_micro_batches": 2}
        with free(needed + 5400):
            rows = self.rows(loaded=False, **streaming)
            self.assertNotIn("does not fit", rows)
            self.assertRegex(rows["peak memory"], r"^about \S+ kB with the samples' arrays, of")
        with free(needed + 5399):
            self.assertNotIn("does not fit", self.rows(**streaming))
            said = self.rows(loaded=False, **streaming)["does not fit"]
            self.assertRegex(
                said, r"^1 bytes of host memory are lacking: give the images as a folder, which stay in"
            )

    def test_what_to_lower(self) -> None:
        self.rows()
        with free(9000):
            said = self.rows(data_on_device="on")["does not fit"]
            self.assertRegex(
                said, r"^\S+ \S+ are lacking: let the samples stream, by --data_on_device=off\.$"
            )
            self.assertNotIn("does not fit", self.rows(data_on_device="off", chunk_micro_batches=1))
        with free(2000):
            said = self.rows(data_on_device="off", micro_batch_size=100)["does not fit"]
            self.assertRegex(said, "lower --micro_batch_size=100, for instance to 50")
            said = self.rows(units=100, data_on_device="off", micro_batch_size=1)["does not fit"]
            self.assertRegex(said, "choose a smaller --model")


if __name__ == "__main__":
    tf.test.main()
