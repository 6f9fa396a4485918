"""The loops that this package is compared with do the same work: they end at the same weights."""

import unittest

import pytest

from tests.float64 import Float64Case
from tf_fullbatch.benchmark import loops, workloads
from tf_fullbatch.benchmark.comparisons import Workload

PASSES = 3
WORK = Workload(
    model="resnet_tiny",
    image_size=8,
    channels=1,
    num_classes=3,
    samples=24,
    micro_batch_size=8,
    dtype_policy="float64",
)


def trained(make: loops.Maker, work: Workload) -> list:
    """The trainable weights after some passes."""
    net = workloads.network(work)
    make(net, work, workloads.random_data(work))(PASSES)
    return [v.numpy() for v in net.trainable_variables]


@pytest.mark.slow
class SameWorkTest(Float64Case):
    def test_a_full_batch_step(self):
        start = [v.numpy() for v in workloads.network(WORK).trainable_variables]
        ours, theirs = (trained(make, WORK) for make in (loops.full_batch_fit, loops.compiled_loop))
        self.assertAllClose(ours, theirs, rtol=1e-9, atol=1e-12)
        self.assertGreater(max(abs(a - b).max() for a, b in zip(ours, start, strict=True)), 1e-5)

    def test_steps_of_keras(self):
        # All samples in one step per pass: the order, which each draws for itself, does not matter.
        work = Workload(
            model="mlp", image_size=4, channels=1, num_classes=3, samples=8, micro_batch_size=8, batch_size=8
        )
        start = [v.numpy() for v in workloads.network(work).trainable_variables]
        ours, theirs = (trained(make, work) for make in (loops.full_batch_fit, loops.keras_fit))
        self.assertAllClose(ours, theirs, rtol=1e-9, atol=1e-12)
        self.assertGreater(max(abs(a - b).max() for a, b in zip(ours, start, strict=True)), 1e-5)

    def test_uneven_micro_batches_are_refused(self):
        work = Workload(model="mlp", image_size=4, samples=10, micro_batch_size=4)
        with self.assertRaisesRegex(ValueError, "do not divide 10 samples"):
            loops.compiled_loop(workloads.network(work), work, workloads.random_data(work))


if __name__ == "__main__":
    unittest.main()
