"""The central flow as an optimizer on two replicas, in a process of its own."""

import json
import subprocess
import sys

import tensorflow as tf


class ReplicasTest(tf.test.TestCase):
    def test_two_replicas_step_as_one(self) -> None:
        ended = subprocess.run(
            [sys.executable, "-m", "tests.training.flow_replicas"], capture_output=True, text=True, check=True
        )
        found = json.loads(ended.stdout)
        self.assertTrue(found["same"])
        self.assertLess(found["apart"], 1e-12)  # sums in another order


if __name__ == "__main__":
    tf.test.main()
