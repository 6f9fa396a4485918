"""What `--dry_run` says of memory."""

from unittest import mock

import numpy as np
import tensorflow as tf

from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.run.plan import _held_bytes

ROW = 8 * 4 + 4 + 8
"""Bytes of a sample: inputs, target, number."""


def batches(**options: bool) -> UpdateBatches:
    return UpdateBatches(np.zeros((11, 8), np.float32), np.zeros(11, np.int32), **options)


class HeldBytesTest(tf.test.TestCase):
    def test_each_device_holds_its_own_samples_or_all_or_none(self) -> None:
        one = tf.distribute.get_strategy()
        two = mock.Mock(tf.distribute.MirroredStrategy, num_replicas_in_sync=2)
        workers = mock.Mock(tf.distribute.MultiWorkerMirroredStrategy, num_replicas_in_sync=2)
        self.assertEqual(_held_bytes(batches(), one), 11 * ROW)
        self.assertEqual(_held_bytes(batches(), two), 11 * ROW / 2)
        self.assertEqual(_held_bytes(batches(shuffle=True), two), 11 * ROW)
        self.assertEqual(_held_bytes(batches(on_device=False), one), 0)
        self.assertEqual(_held_bytes(batches(), workers), 0)


if __name__ == "__main__":
    tf.test.main()
