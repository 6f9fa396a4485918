"""Runs that make every step and diverge all the same: said, kept, and completed for nobody."""

import textwrap
import unittest
from pathlib import Path

from tests.command import CommandTestCase, command, evaluations_of, steps_of, summary_of
from tf_fullbatch.errors import Outcome
from tf_fullbatch.records.checkpoints import list_checkpoints
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.report.run_reading import read_run
from tf_fullbatch.report.run_records import Status

CODE = """
    import keras

    class Explodes(keras.layers.Layer):
        def __init__(self, by=1e9, **more):
            super().__init__(**more)
            self.by = float(by)

        def call(self, x, training=False):
            return x if training else self.by * x

        def get_config(self):
            return super().get_config() | {"by": self.by}

    def network(input_shape, num_classes, by="1e9"):
        layers = [keras.layers.Flatten(), keras.layers.Dense(num_classes), Explodes(by)]
        return keras.Sequential([keras.Input(input_shape), keras.layers.Rescaling(1 / 16), *layers])

    def normalised(input_shape, num_classes):
        layers = [keras.layers.BatchNormalization(), keras.layers.Dense(num_classes), Explodes()]
        return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), *layers])
"""


class DivergedTest(CommandTestCase):
    draws_curves = False

    def diverged(self, model: str, *arguments: str) -> tuple[Path, str]:
        """The folder of a run that ends so, and what is said of it."""
        file, run = self.folder / "own.py", self.folder / "run"
        file.write_text(textwrap.dedent(CODE))
        ended = command(
            f"--model={file}:{model}", "--train_size=100", "--micro_batch_size=50", "--epochs=2",
            f"--output_dir={run}", *arguments,
        )  # fmt: skip
        self.assertEqual(Outcome.DIVERGED.exit_code, ended.code, ended.err)
        self.assertEqual(7, ended.code)
        errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
        self.assertEqual(1, len(errors))
        return run, errors[0]

    def test_it_is_said_kept_and_not_completed(self) -> None:
        run, said = self.diverged("network")
        self.assertRegex(
            said,
            r"^error: diverged: the test cross-entropy is \S+e\+\d+ after step 2, more than 1000 times that of "
            r"guessing \(2.3\)\. The last step had \S+ on the training set: lower --learning_rate, or use "
            r"--ema_decay\. All files are kept",
        )
        self.assertEqual(("DIVERGED", 2), tuple(summary_of(run)[name] for name in ("outcome", "steps")))
        self.assertIn(summary_of(run)["message"], said)
        self.assertEqual(2, len(steps_of(run)))
        self.assertEqual([1, 2], [row["step"] for row in evaluations_of(run)])
        self.assertTrue(RunFolder(run).model.exists())
        self.assertTrue(list_checkpoints(run / "checkpoints"))
        recorded = read_run(RunFolder(run))
        self.assertEqual(Status.ENDED, recorded.status)
        self.assertIn("diverged: the test cross-entropy", recorded.reason)
        # The same command trains nothing, and says it again.
        before = steps_of(run)
        self.assertEqual(self.diverged("network")[1], said)
        self.assertEqual(before, steps_of(run))

    def test_batch_normalisation_is_named(self) -> None:
        said = self.diverged("normalised", "--validation_size=50")[1]
        self.assertIn("the validation cross-entropy is", said)
        self.assertIn("batch normalisation's moving averages do not fit the weights", said)

    def test_not_finite(self) -> None:
        run, said = self.diverged("network", "--model_options=by='inf'")
        self.assertRegex(said, r"the test loss is (nan|inf) after step 2\. ")
        self.assertEqual("DIVERGED", summary_of(run)["outcome"])


if __name__ == "__main__":
    unittest.main()
