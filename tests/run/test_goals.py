"""Runs that end at a goal, or because their method has converged: what they leave, and how they are gone on with."""

import json
import shutil
from pathlib import Path

import numpy as np

import tf_fullbatch
from tests.command import (
    CommandTestCase,
    Ended,
    command,
    contents,
    evaluations_of,
    measurements_of,
    steps_of,
    summary_of,
)
from tests.studies.studies import TINY as STUDIED
from tf_fullbatch.records.checkpoints import list_checkpoints
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.study_file import Arm
from tf_fullbatch.report.run_reading import read_run
from tf_fullbatch.report.run_records import Status
from tf_fullbatch.studies.cost import cost_of
from tf_fullbatch.studies.planned_runs import Run

RUN = (
    "--train_size=100", "--model=linear", "--micro_batch_size=50", "--batch_size=50", "--shuffle", "--epochs=12",
    "--schedule_epochs=12", "--evaluate_every=5", "--ema_decay=0.5", "--checkpoint_every=1", "--keep_checkpoints=99",
)  # fmt: skip


def of(folder: Path, *arguments: str) -> Ended:
    return command(*RUN, f"--output_dir={folder}", *arguments)


class GoalTest(CommandTestCase):
    """Two steps per pass, evaluated every five passes, so that the goal's pass would not be."""

    draws_curves = False

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.whole, cls.ended = cls.shared / "whole", cls.shared / "ended"
        assert of(cls.whole).code == 0
        losses = np.array([row["loss"] for row in steps_of(cls.whole)]).reshape(12, 2).mean(axis=1)
        cls.limit = float(losses[6]) + 1e-9
        assert list(losses <= cls.limit).index(True) == 6
        cls.goal = f"--stop_at_loss={cls.limit!r}"
        cls.first = of(cls.ended, cls.goal)

    def copied(self) -> Path:
        return Path(shutil.copytree(self.ended, self.folder / "run"))

    def test_it_is_named_and_leaves_what_a_completed_run_does(self) -> None:
        self.assert_done(self.first)
        self.assertRegex(
            self.first.out, r"outcome +stopped by its goal stop_at_loss=\S+: a training loss of \S+ in pass 7"
        )
        summary = summary_of(self.ended)
        self.assertEqual(
            ("STOPPED_BY_GOAL", 14, 7.0), tuple(summary[n] for n in ("outcome", "steps", "epochs"))
        )
        goal = summary["goal"]
        self.assertEqual(
            ("stop_at_loss", self.limit, 14, 7), (goal["name"], goal["limit"], goal["step"], goal["epoch"])
        )
        self.assertEqual(steps_of(self.whole)[:14], steps_of(self.ended))
        self.assertEqual({5, 7}, {row["step"] / 2 for row in evaluations_of(self.ended)})
        self.assertEqual(
            {"raw", "ema"}, {row["weights"] for row in evaluations_of(self.ended) if row["step"] == 14}
        )
        self.assertEqual("step-00000014", list_checkpoints(self.ended / "checkpoints")[0].name)
        self.assertTrue(RunFolder(self.ended).model.exists())
        recorded = read_run(RunFolder(self.ended))
        self.assertEqual((Status.COMPLETED, "stopped by a goal"), (recorded.status, recorded.ended_by))

    def test_the_same_command_does_nothing(self) -> None:
        before = contents(self.ended)
        again = self.assert_done(of(self.ended, self.goal))
        self.assertRegex(
            again.err,
            r"nothing to do: \S+ ended after 7 of 12 epochs, stopped by its goal .* lower that goal",
        )
        self.assertEqual(before, contents(self.ended))

    def test_without_its_goal_it_goes_on_to_its_last_pass(self) -> None:
        run = self.copied()
        self.assert_done(of(run, "--stop_at_loss=0"))
        self.assertEqual(steps_of(self.whole), steps_of(run))
        self.assertEqual("COMPLETED", summary_of(run)["outcome"])
        self.assertNotIn("goal", summary_of(run))

    def test_a_goal_reached_already_ends_it_at_once_and_evaluated(self) -> None:
        run = Path(shutil.copytree(self.whole, self.folder / "run"))
        for checkpoint in list_checkpoints(run / "checkpoints"):
            if int(checkpoint.name.partition("-")[2]) > 16:
                shutil.rmtree(checkpoint)
        self.assert_done(of(run, self.goal))
        self.assertEqual(
            ("STOPPED_BY_GOAL", 16), tuple(summary_of(run)[name] for name in ("outcome", "steps"))
        )
        self.assertEqual([10, 16], sorted({row["step"] for row in evaluations_of(run)}))

    def test_resumed_within_a_pass_it_ends_where_it_did(self) -> None:
        run = self.copied()
        for checkpoint in list_checkpoints(run / "checkpoints"):
            if int(checkpoint.name.partition("-")[2]) > 13:
                shutil.rmtree(checkpoint)
        self.assert_done(of(run, self.goal))
        self.assertEqual(steps_of(self.ended), steps_of(run))
        self.assertEqual(evaluations_of(self.ended), evaluations_of(run))
        self.assertEqual(summary_of(self.ended)["goal"], summary_of(run)["goal"])

    def test_killed_after_its_last_checkpoint_it_makes_no_step_more(self) -> None:
        run = self.copied()
        (run / "summary.json").unlink()
        self.assert_done(of(run, self.goal))
        self.assertEqual(steps_of(self.ended), steps_of(run))
        self.assertEqual(evaluations_of(self.ended), evaluations_of(run))
        self.assertEqual("STOPPED_BY_GOAL", summary_of(run)["outcome"])

    def test_in_a_study_it_is_finished_unless_the_goal_is_another(self) -> None:
        config = RunFolder(self.ended).read_config()
        for limit, done in ((self.limit, True), (0.0, False)):
            asked = config.replacing(stop_at_loss=limit)
            run = Run(Arm(name="a", config=asked), 0, asked, RunFolder(self.ended), cost_of(STUDIED))
            self.assertEqual((done, 1.0 if done else 7 / 12), (run.is_finished(), run.fraction()))
            recorded = read_run(RunFolder(self.ended), 0, asked)
            self.assertEqual(done, recorded.status is Status.COMPLETED)


class OtherEndsTest(CommandTestCase):
    def test_converged(self) -> None:
        run = ("--train_size=100", "--model=linear", "--optimizer=lbfgs", "--weight_decay=0.1", "--epochs=400",
               "--dtype_policy=float64", "--evaluate_every=1000",
               "--measure=trace", "--measure_every=1000", f"--output_dir={self.folder}")  # fmt: skip
        ended = self.assert_done(command(*run))
        self.assertRegex(ended.out, "outcome +converged: no lower value")
        summary = summary_of(self.folder)
        self.assertEqual("CONVERGED", summary["outcome"])
        self.assertLess(summary["steps"], 400)
        self.assertEqual([summary["steps"]], [row["step"] for row in evaluations_of(self.folder)])
        self.assertEqual({0, summary["steps"]}, {row["step"] for row in measurements_of(self.folder)})
        self.assertEqual(0.0, steps_of(self.folder)[-1]["update_norm"])
        self.assertEqual(Status.COMPLETED, read_run(RunFolder(self.folder)).status)
        again = self.assert_done(command(*run))
        self.assertIn("nothing to do", again.err)
        (self.folder / "summary.json").unlink()
        self.assert_done(command(*run))
        self.assertEqual(summary["steps"], summary_of(self.folder)["steps"])
        self.assertEqual("CONVERGED", summary_of(self.folder)["outcome"])

    def test_refused_where_accuracy_has_no_meaning(self) -> None:
        np.savez(
            self.folder / "numbers.npz",
            inputs=np.random.default_rng(0).normal(size=(20, 3)),
            targets=np.arange(20.0),
        )
        run = self.folder / "run"
        for more in ((), ("--dry_run",)):
            refused = command(
                f"--dataset={self.folder / 'numbers.npz'}", "--model=linear", "--loss=keras:MeanSquaredError",
                "--micro_batch_size=20", "--stop_after_perfect=2", f"--output_dir={run}", *more,
            )  # fmt: skip
            self.assert_refused(refused, "--stop_after_perfect=2: accuracy has no meaning")
            self.assertEqual({}, contents(run))
        self.assert_refused(command("--stop_after_perfect=0"), "--stop_after_perfect=0: must be at least 1")

    def test_from_python_and_in_the_plan(self) -> None:
        x = np.random.default_rng(0).normal(size=(40, 3))
        settings = {"model": "linear", "train": (x, np.argmax(x, axis=1)), "output_dir": self.folder / "run",
                    "quiet": True, "stop_after_perfect": 2, "learning_rate": 1.0, "epochs": 200,
                    "micro_batch_size": 40}  # fmt: skip
        run = tf_fullbatch.train(**settings)
        self.assertLess(run.step, 200)
        self.assertEqual([1.0, 1.0], list(run.history["accuracy"])[-2:])
        self.assertLess(list(run.history["accuracy"])[-3], 1)
        self.assertEqual(run.step, tf_fullbatch.train(**settings).step)
        self.assertEqual(
            "STOPPED_BY_GOAL", json.loads((self.folder / "run" / "summary.json").read_text())["outcome"]
        )
        planned = self.assert_done(command(*RUN, "--stop_at_loss=0.5", "--dry_run"))
        self.assertRegex(planned.out, "ends earlier +after the first pass that reaches stop_at_loss=0.5")
