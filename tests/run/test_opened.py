"""`open_run`: a run at one of its checkpoints."""

import numpy as np

from tests.command import CommandTestCase, command, steps_of, tiny
from tf_fullbatch import open_run
from tf_fullbatch.core import trees
from tf_fullbatch.errors import UserError


class OpenRunTest(CommandTestCase):
    draws_curves = False

    def test_the_objective_is_what_the_next_step_measures(self):
        run, flags = self.folder / "run", ("--schedule_epochs=4", "--augmentation=crop", "--quiet")
        self.assert_done(tiny(run, "--epochs=2", *flags))
        point = open_run(run).objective().value_and_gradient()
        self.assert_done(tiny(run, "--epochs=3", *flags))
        step = steps_of(run)[2]
        self.assertAlmostEqual(float(point.loss), step["loss"], delta=1e-5 * step["loss"])
        norm = float(trees.global_norm(point.gradient))
        self.assertAlmostEqual(norm, step["gradient_norm"], delta=1e-4 * norm)
        self.assertGreater(abs(step["loss"] - steps_of(run)[1]["loss"]), 1e-3)

    def test_any_kept_checkpoint(self):
        run = self.folder / "run"
        self.assert_done(
            tiny(
                run,
                "--epochs=3",
                "--checkpoint_every=1",
                "--keep_checkpoints=2",
                "--ema_decay=0.5",
                "--quiet",
            )
        )
        newest, earlier = open_run(run), open_run(run, step=2)
        self.assertEqual([(found.step, found.epoch) for found in (newest, earlier)], [(3, 3), (2, 2)])
        self.assertEqual(newest.history.loc[3, "loss"], steps_of(run)[2]["loss"])
        self.assertEqual(len(newest.splits.train), 200)
        self.assertEqual(newest.config.runtime.epochs, 3)
        # The records have the test split after each pass, with the weights and with their average.
        of_test = earlier.evaluations[earlier.evaluations["split"] == "test"].set_index(["step", "weights"])
        test = earlier.splits.test
        for kind in ("raw", "ema"):
            logits = earlier.network.predict(test.inputs, verbose=0)
            loss = float(earlier.loss(test.targets, logits))
            self.assertAlmostEqual(loss, of_test.loc[(2, kind), "loss"], delta=1e-5 * loss)
            earlier.use_average()
        table = self.assert_done(command("--mode=evaluate", f"--output_dir={run}", "--step=2")).out
        self.assertIn("step 2, epoch 2", table)
        self.assertIn(f"{of_test.loc[(2, 'raw'), 'loss']:.4f}", table)
        start = self.folder / "start"
        flags = ("--epochs=1", "--learning_rate=1e-12", "--weight_decay=0", "--quiet")
        self.assert_done(tiny(start, *flags, f"--initial_weights={run}", "--step=2"))
        found, expected = (
            opened.network.trainable_weights[0].numpy() for opened in (open_run(start), open_run(run, 2))
        )
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        self.assertFalse(np.allclose(found, newest.network.trainable_weights[0].numpy(), rtol=1e-5))

    def test_checkpoints_that_are_not_kept(self):
        run = self.folder / "run"
        self.assert_done(tiny(run, "--epochs=1", "--quiet"))
        with self.assertRaisesRegex(UserError, "^step=7: .* has no such checkpoint; kept are the steps 1"):
            open_run(run, 7)
        with self.assertRaisesRegex(UserError, "kept no moving average"):
            open_run(run).use_average()
        self.assert_refused(
            command("--mode=evaluate", f"--output_dir={run}", "--step=7"), "--step=7", "kept are"
        )
        new = self.folder / "new"
        for source, flags, words in (
            (run, "--step=7", "kept are"),
            (run / "model.keras", "--step=1", "only a run folder has steps"),
            (run, "--step=1 --width=4", "does not fit"),
        ):
            ended = tiny(new, f"--initial_weights={source}", *flags.split())
            self.assert_refused(ended, words)
        self.assert_refused(tiny(new, "--step=1"), "--step=1 has no effect here")
        self.assertFalse(new.exists())

    def test_a_folder_without_a_run(self):
        with self.assertRaisesRegex(UserError, "nowhere"):
            open_run(self.folder / "nowhere")
