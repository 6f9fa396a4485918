"""Where training stands, by its steps."""

import unittest

from tf_fullbatch.data.plan import BatchPlan
from tf_fullbatch.training.timeline import Timeline


class TimelineTest(unittest.TestCase):
    def test_epochs_are_the_same_numbers_wherever_training_goes_on(self) -> None:
        for per_epoch in (1, 3, 7, 10, 49):
            plan = BatchPlan(samples=per_epoch, update_batch_size=1, micro_batch_size=1, replicas=1)
            whole = Timeline(plan, 0)
            for first in range(3 * per_epoch):
                resumed = Timeline(plan, first, first % per_epoch)
                for step in range(first, 4 * per_epoch):
                    self.assertEqual(whole.epochs_completed(step), resumed.epochs_completed(step))
                    self.assertEqual(whole.epoch(step), resumed.epoch(step))
                    self.assertEqual(whole.step_in_epoch(step), resumed.step_in_epoch(step))

    def test_steps_of_another_plan_count_from_the_present_epoch_on(self) -> None:
        plan = BatchPlan(samples=4, update_batch_size=1, micro_batch_size=1, replicas=1)
        timeline = Timeline(plan, 6)  # of an update batch of another size: epoch 1 begins
        self.assertEqual(
            (1, 0, 1.0), (timeline.first_epoch, timeline.step_in_epoch(6), timeline.epochs_completed(6))
        )
        self.assertEqual((2, 2.25), (timeline.epoch(10), timeline.epochs_completed(11)))


if __name__ == "__main__":
    unittest.main()
