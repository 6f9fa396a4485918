"""Where samples are kept."""

from unittest import mock

import numpy as np
import tensorflow as tf

from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.errors import UserError
from tf_fullbatch.training.drivers import stay_on_devices

WORKERS = mock.Mock(tf.distribute.MultiWorkerMirroredStrategy)
ONE_PROCESS = mock.Mock(tf.distribute.MirroredStrategy)


def batches(on_device: bool | None) -> UpdateBatches:
    return UpdateBatches(np.zeros((3, 2)), np.zeros(3), on_device=on_device)


class StayOnDevicesTest(tf.test.TestCase):
    def test_where_they_fit_and_one_process_feeds_them(self) -> None:
        for on_device, stay in ((None, True), (True, True), (False, False)):
            self.assertEqual(stay_on_devices(batches(on_device), ONE_PROCESS), stay)
        self.assertFalse(stay_on_devices(batches(None), WORKERS))

    def test_several_workers_cannot_be_told_to_hold_them(self) -> None:
        with self.assertRaisesRegex(UserError, "several workers: their samples stream, so leave it at auto"):
            stay_on_devices(batches(True), WORKERS)


if __name__ == "__main__":
    tf.test.main()
