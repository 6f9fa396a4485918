"""Studies and sweeps from Python: arguments become the command's, results come back as tables."""

import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import tf_fullbatch
from tests.studies.test_conduct import FakeExecution
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.studies import conduct

SMALL = {"dataset": "digits", "train_size": 64, "validation_size": 100, "micro_batch_size": 32, "model": "linear",
         "epochs": 4, "clip_norm": None, "flip_averaging": False}  # fmt: skip
TWO = {"plain": SMALL, "clipped": SMALL | {"clip_norm": np.float64(0.25)}}


def network(input_shape: Any, num_classes: int, **options: Any) -> None:
    """Stands for a user's own, which is never called here."""


class FromPythonTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory())) / "study"
        FakeExecution.made, FakeExecution.stop_at, FakeExecution.fails = [], None, None
        self.enterContext(mock.patch.object(conduct, "StudyExecution", FakeExecution))

    def study(self, arms: Any = TWO, **arguments: Any) -> Any:
        return tf_fullbatch.run_study(self.folder, arms, **{"seeds": [3, 4], "quiet": True, **arguments})

    def test_runs_and_choice(self):
        found = self.study(
            sweep={"learning_rate": [0.1, 0.3], "clipped": {"learning_rate": np.array([0.2, 0.5])}}
        )
        self.assertEqual(
            {"plain": {"learning_rate": "0.3"}, "clipped": {"learning_rate": "0.5"}}, found.chosen
        )
        self.assertEqual([("plain", 3), ("clipped", 3), ("plain", 4), ("clipped", 4)],
                         list(zip(found.runs["arm"], found.runs["seed"], strict=True)))  # fmt: skip
        self.assertEqual({"COMPLETED"}, set(found.runs["outcome"]))
        self.assertEqual([0.3, 0.5, 0.3, 0.5], found.runs["validation_accuracy"].tolist())
        self.assertEqual([0.1, 0.3, 0.2, 0.5], found.trials["learning_rate"].tolist())
        self.assertEqual((self.folder, []), (found.folder, found.failures))

    def test_settings_arrive(self):
        self.study()
        config = RunFolder(self.folder / "clipped" / "seed-3").read_config()
        self.assertEqual(0.25, config.step.clip_norm)
        self.assertEqual({**config.values(), **SMALL, "clip_norm": 0.25}, config.values())

    def test_trials_alone_then_the_study(self):
        sweep = {"learning_rate": [0.1, 0.3]}
        found = tf_fullbatch.run_sweep(self.folder, TWO, sweep, quiet=True)
        self.assertEqual(0, len(found.runs))
        self.assertEqual({"learning_rate": "0.3"}, found.chosen["plain"])
        FakeExecution.made = []
        self.study(sweep=sweep)
        self.assertEqual(
            ["plain, seed 3", "clipped, seed 3", "plain, seed 4", "clipped, seed 4"], FakeExecution.made
        )

    def test_a_failure_is_told(self):
        FakeExecution.fails = "plain, seed 3"
        found = self.study()
        self.assertEqual([("plain, seed 3", "out of memory")], found.failures)
        self.assertEqual(["clipped", "plain", "clipped"], found.runs["arm"].tolist())

    def test_values_with_commas_and_quotes(self):
        options = ["alpha=1,dropout=0", "alpha=0.5,name='x'", 'alpha=0.5,name="y"']
        found = self.study({"a": SMALL | {"model": "keras:MobileNetV2"}}, sweep={"model_options": options})
        self.assertEqual(options, found.trials["model_options"].tolist())

    def test_functions_and_options(self):
        self.study({"a": SMALL | {"model": network, "model_options": {"width": 8, "act": "relu"}}})
        values = RunFolder(self.folder / "a" / "seed-3").read_config().values()
        self.assertEqual(("tests.studies.test_from_python:network", "width=8,act='relu'"),
                         (values["model"], values["model_options"]))  # fmt: skip

    def test_refused_folder_and_sweep(self):
        with self.assertRaisesRegex(UserError, "^output_dir=None: expected the study's folder"):
            tf_fullbatch.run_study(None, TWO)
        with self.assertRaisesRegex(UserError, "^sweep={}: nothing to try"):
            tf_fullbatch.run_sweep(self.folder, TWO, {})

    def test_refused(self):
        for arms, arguments, said in (
            ({"a": {"epoch": 3}}, {}, "no setting 'epoch'; 'epochs' is one"),
            ({"a": {"epochs": 0}}, {}, "arm 'a': --epochs=0: must be at least 1"),
            ({"a b": {}}, {}, "the name is 'a b', but a name is one word"),
            (TWO, {"sweep": {"learning_rat": [1, 2]}}, "no setting 'learning_rat'"),
            (TWO, {"sweep": {"learning_rate": 0.1}}, "sweep: learning_rate is 0.1; give a list of values"),
            (TWO, {"sweep": {"bold": {"learning_rate": [1, 2]}}}, "sweep: there is no arm 'bold'; the arms are plain"),
            (TWO, {"sweep": {"learning_rate": [0.1, 0.2]}, "choose_by": "test_loss"}, "test data choose nothing"),
            (TWO, {"sweep": {"learning_rate": [0.1, 0.2]}, "sweep_seed": 3}, "--sweep_seed=3 is one of --seeds"),
            ({}, {}, "a study needs arms"),
            (["a"], {}, "^arms=.'a'.: expected name -> settings"),
            ({"a": None}, {}, "^arms: 'a' is None; expected a name and its settings"),
            (TWO, {"compare": ["plain"]}, "^compare=.'plain'.: expected pairs of names of arms"),
            (TWO, {"sweep": ["learning_rate"]}, "^sweep=.'learning_rate'.: expected setting -> values"),
            (TWO, {"seeds": 3}, "^seeds=3: expected a list of whole numbers"),
            ({"a": {"model": lambda shape, classes: None}}, {}, "^model is an object of this program .function., but"),
            ({"a": {"dataset": np.zeros(3)}}, {}, "^dataset is an object of this program .ndarray., but the runs"),
            ({"a": {"model": "python:model"}}, {}, "arm 'a': --model=python:model stands for an object"),
            ({"a": {"model": "nofile.py:f"}}, {}, "arm 'a': --model=.*nofile.py:f: there is no file"),
            ({"a": {"model": "no_such_module:f"}}, {}, "arm 'a': .* there is no module no_such_module"),
        ):  # fmt: skip
            with self.subTest(said), self.assertRaisesRegex(UserError, said):
                self.study(arms, **arguments)
        self.assertFalse(self.folder.exists())


if __name__ == "__main__":
    unittest.main()
