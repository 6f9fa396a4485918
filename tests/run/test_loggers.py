"""Runs with loggers: they get what the tables have, over a resume, and never decide results."""

import importlib.util
from unittest import mock

import numpy as np

import tf_fullbatch
from tests.command import CommandTestCase, contents, evaluations_of, steps_of, tiny
from tests.display.loggers.fakes import kept_logger, logged
from tests.rows import read_rows
from tf_fullbatch.display.loggers.registry import LOGGERS
from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS


class LoggersTest(CommandTestCase):
    draws_curves = False

    def setUp(self) -> None:
        super().setUp()
        self.good, self.bad = kept_logger(), kept_logger(fails_in="log")
        self.enterContext(mock.patch.dict(LOGGERS, {"wandb": self.good, "mlflow": self.bad}))

    def test_values_are_those_of_the_tables_and_a_failing_logger_changes_nothing(self) -> None:
        output = self.folder / "run"
        settings = (
            "--loggers=mlflow,wandb",
            "--schedule_epochs=4",
            "--evaluate_every=2",
            "--checkpoint_every=1",
        )
        ended = self.assert_done(tiny(output, "--epochs=2", *settings))
        self.assertEqual(1, ended.err.count("warning: --loggers=mlflow failed"))
        self.assert_done(tiny(output, "--epochs=4", *settings))
        expected = {}
        for table, columns in (("metrics", STEP_COLUMNS), ("evaluations", EVALUATION_COLUMNS)):
            for row in read_rows(output / f"{table}.csv", columns):
                names = [
                    c.name
                    for c in columns
                    if c.kind is not str and c.name != "step" and row[c.name] is not None
                ]
                expected |= {
                    (row["step"], f"{row.get('split', 'train')}/{name}"): row[name] for name in names
                }
        self.assertEqual(expected, logged(self.good))
        self.assertEqual(
            [Outcome.COMPLETED] * 2, [call[1] for call in self.good.calls if call[0] == "finish"]
        )
        self.assertEqual(["begin", "log", "begin", "log"], [call[0] for call in self.bad.calls])

        plain = self.folder / "plain"
        self.assert_done(tiny(plain, "--epochs=4", *settings[1:]))
        self.assertEqual((steps_of(plain), evaluations_of(plain)), (steps_of(output), evaluations_of(output)))

    def test_a_run_that_fails_says_so(self) -> None:
        ended = tiny(self.folder / "run", "--epochs=3", "--loggers=wandb", "--learning_rate=1e30")
        self.assertEqual(Outcome.NON_FINITE.exit_code, ended.code)
        self.assertEqual(("finish", Outcome.NON_FINITE), self.good.calls[-1])
        self.assertEqual(1, (ended.out + ended.err).count("the loss is nan in step 2"))

    def test_missing_packages_are_refused_before_anything_is_written(self) -> None:
        self.enterContext(mock.patch.object(importlib.util, "find_spec", return_value=None))
        self.good.packages = ("wandb",)
        for more in ((), ("--dry_run",)):
            ended = tiny(self.folder / "run", "--loggers=wandb", *more)
            self.assert_refused(ended, "--loggers=wandb", "not installed", "pip install")
        self.bad.packages = ("mlflow",)
        x = np.zeros((20, 2))
        with self.assertRaisesRegex(UserError, "^loggers=wandb,mlflow: wandb, mlflow are not installed. pip"):
            tf_fullbatch.train(
                model="linear",
                train=(x, np.arange(20) % 2),
                loggers=("wandb", "mlflow"),
                output_dir=self.folder / "run",
            )
        self.assertEqual({}, contents(self.folder))
