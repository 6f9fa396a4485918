"""`objective_of_run`: what a run's next step would descend."""

from tests.command import CommandTestCase, steps_of, tiny
from tf_fullbatch import objective_of_run
from tf_fullbatch.core import trees
from tf_fullbatch.errors import UserError


class ObjectiveOfRunTest(CommandTestCase):
    draws_curves = False

    def test_it_is_what_the_next_step_measures(self):
        run, flags = self.folder / "run", ("--schedule_epochs=4", "--augmentation=crop", "--quiet")
        self.assert_done(tiny(run, "--epochs=2", *flags))
        point = objective_of_run(run).value_and_gradient()
        self.assert_done(tiny(run, "--epochs=3", *flags))
        step = steps_of(run)[2]
        self.assertAlmostEqual(float(point.loss), step["loss"], delta=1e-5 * step["loss"])
        norm = float(trees.global_norm(point.gradient))
        self.assertAlmostEqual(norm, step["gradient_norm"], delta=1e-4 * norm)
        self.assertGreater(abs(step["loss"] - steps_of(run)[1]["loss"]), 1e-3)

    def test_a_folder_without_a_run(self):
        with self.assertRaisesRegex(UserError, "nowhere"):
            objective_of_run(self.folder / "nowhere")
