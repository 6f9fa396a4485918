"""The arithmetic of update batches: every sample once per epoch, the same micro-batches for any replicas and calls."""

import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_fullbatch.data.plan import BatchPlan

PLANS = st.builds(
    lambda samples, update, micro, replicas: BatchPlan(
        samples=samples,
        update_batch_size=min(update, samples),
        micro_batch_size=micro,
        replicas=replicas,
    ),
    st.integers(1, 60),
    st.integers(1, 70),
    st.integers(1, 20),
    st.integers(1, 5),
)


def micro_batches(plan: BatchPlan, step: int, chunk: int) -> dict[int, list[int]]:
    """Index -> positions, cut out of all chunks of a step as a replica does."""
    found = {}
    for begin in range(0, plan.rounds(step), chunk):
        for replica in range(plan.replicas):
            positions = plan.rows(step, replica, begin, begin + chunk)
            for i in range(0, len(positions), plan.micro_batch_size):
                index = replica + (begin + i // plan.micro_batch_size) * plan.replicas
                assert index % plan.replicas == replica
                assert index not in found
                found[index] = positions[i : i + plan.micro_batch_size].tolist()
    return found


class BatchPlanTest(tf.test.TestCase):
    @settings(deadline=None, max_examples=200)
    @given(plan=PLANS, chunk=st.integers(1, 5))
    def test_micro_batches_are_consecutive_and_do_not_depend_on_replicas_or_chunks(self, plan, chunk):
        seen = []
        for step in range(plan.steps_per_epoch):
            found = micro_batches(plan, step, chunk)
            self.assertEqual(sorted(found), list(range(plan.micro_batches(step))))
            in_order = [found[m] for m in range(len(found))]
            self.assertEqual(in_order, [plan.micro_batch(step, m).tolist() for m in range(len(found))])
            self.assertTrue(all(len(part) == plan.micro_batch_size for part in in_order[:-1]))
            self.assertEqual(sum(map(len, in_order)), plan.step_samples(step))
            seen += [position for part in in_order for position in part]
        self.assertEqual(seen, list(range(plan.samples)))

    @settings(deadline=None, max_examples=200)
    @given(plan=PLANS)
    def test_equal_micro_batches(self, plan):
        sizes = {
            len(plan.micro_batch(step, m))
            for step in range(plan.steps_per_epoch)
            for m in range(plan.micro_batches(step))
        }
        self.assertEqual(plan.equal_micro_batches, sizes.pop() if len(sizes) == 1 else None)

    @settings(deadline=None, max_examples=100)
    @given(plan=PLANS)
    def test_no_round_is_idle_on_every_replica(self, plan):
        for step in range(plan.steps_per_epoch):
            rounds = plan.rounds(step)
            for round_ in range(rounds):
                self.assertGreater(len(plan.rows(step, 0, round_, round_ + 1)), 0)
            self.assertEqual(len(plan.rows(step, 0, rounds, rounds + 1)), 0)

    def test_partial_last_step(self):
        plan = BatchPlan(samples=23, update_batch_size=10, micro_batch_size=4)
        self.assertEqual([plan.step_samples(s) for s in range(plan.steps_per_epoch)], [10, 10, 3])
        self.assertEqual([plan.micro_batches(s) for s in range(3)], [3, 3, 1])

    def test_a_micro_batch_may_be_larger_than_the_data(self):
        plan = BatchPlan(samples=23, update_batch_size=23, micro_batch_size=128)
        self.assertEqual(plan.micro_batches(0), 1)
        self.assertAllEqual(plan.micro_batch(0, 0), range(23))

    def test_wrong_sizes_are_refused(self):
        with self.assertRaisesRegex(ValueError, "update batch of 11 samples does not fit a data set of 10"):
            BatchPlan(samples=10, update_batch_size=11, micro_batch_size=2)
        for name in ("samples", "update_batch_size", "micro_batch_size", "replicas"):
            sizes = {"samples": 10, "update_batch_size": 5, "micro_batch_size": 2} | {name: 0}
            with self.assertRaisesRegex(ValueError, f"{name} must be at least 1, but it is 0"):
                BatchPlan(**sizes)

    def test_sizes_beyond_what_devices_count_are_refused(self):
        sizes = {"samples": 10, "update_batch_size": 5}
        with self.assertRaisesRegex(
            ValueError, r"micro_batch_size must be at most 1073741824 \(2\^30\), but"
        ):
            BatchPlan(**sizes, micro_batch_size=2**31 - 1)
        self.assertEqual(BatchPlan(**sizes, micro_batch_size=2**30).micro_batches(0), 1)


if __name__ == "__main__":
    tf.test.main()
