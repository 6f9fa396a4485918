"""Loading networks, weights and checkpoints runs no code that they carry or name."""

import pickle
import unittest
from pathlib import Path

import h5py
import keras
import numpy as np

from tests.command import CommandTestCase, tiny
from tests.fuzz import hostile_files
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.checkpoint_files import ARRAYS
from tf_fullbatch.records.checkpoints import load_checkpoint
from tf_fullbatch.run.initial_weights import load_initial_weights


class NoCodeRunsTest(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.sentinel = self.folder / "code-was-run"
        self.network = keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        )

    def assert_initial_weights_refused(self, path: Path) -> None:
        before = self.network.get_weights()
        with self.assertRaisesRegex(UserError, "^--initial_weights=") as caught:
            load_initial_weights(self.network, str(path))
        self.assertTrue(str(caught.exception).isprintable())
        self.assertFalse(self.sentinel.exists(), f"{path} ran its code")
        np.testing.assert_equal(self.network.get_weights(), before)

    def test_marshalled_code(self):
        for name in ("lambda.keras", "lambda.h5", "lambda.hdf5", "run/model.keras"):
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            hostile_files.lambda_network(path, self.sentinel)
            with self.subTest(name):
                self.assert_initial_weights_refused(path.parent if name.startswith("run") else path)
        # It is no dud: Keras runs it where it is told to.
        keras.models.load_model(self.folder / "lambda.keras", compile=False, safe_mode=False)
        self.assertTrue(self.sentinel.exists())

    def test_names_of_what_is_no_layer(self):
        path = self.folder / "named.keras"
        for name, change in hostile_files.naming_changes(self.sentinel).items():
            with self.subTest(name):
                hostile_files.network_with(path, change)
                self.assert_initial_weights_refused(path)
        hostile_files.network_with(path, lambda config: None)
        load_initial_weights(self.network, str(path))  # unchanged, it is read

    def test_pickles(self):
        names = ("a.weights.h5", "a.keras", "a.h5", "a.npz", "a.pkl", "a")
        for name in names:
            with self.subTest(name):
                hostile_files.pickled(self.folder / name, self.sentinel)
                self.assert_initial_weights_refused(self.folder / name)
        pickle.loads((self.folder / "a").read_bytes())
        self.assertTrue(self.sentinel.exists())

    def test_pickled_objects_within_weights(self):
        path = self.folder / "b.weights.h5"
        self.network.save_weights(path)
        with h5py.File(path, "r+") as file:
            kernel = file["layers/dense/vars"]
            del kernel["0"]
            kernel["0"] = np.void(pickle.dumps(hostile_files.Payload(self.sentinel)))
        self.assert_initial_weights_refused(path)

    def test_a_checkpoint(self):
        path = hostile_files.checkpoint_with_pickle(self.folder / "checkpoints", self.sentinel)
        with self.assertRaisesRegex(UserError, "cannot be used"):
            load_checkpoint(path)
        self.assertFalse(self.sentinel.exists())
        np.load(path / ARRAYS, allow_pickle=True)["00000"]
        self.assertTrue(self.sentinel.exists())

    def test_the_command(self):
        path, run = self.folder / "lambda.keras", self.folder / "run"
        hostile_files.lambda_network(path, self.sentinel)
        self.assert_refused(tiny(run, f"--initial_weights={path}"), "--initial_weights=")
        self.assertFalse(run.exists())
        run.mkdir()
        hostile_files.checkpoint_with_pickle(run / ".checkpoints", self.sentinel)
        (run / ".checkpoints").rename(run / "checkpoints")
        self.assert_refused(tiny(run), "--output_dir=")  # no configuration beside it
        (run / "config.json").write_text("{}")
        self.assert_refused(tiny(run), "config.json")
        (run / "config.json").unlink()
        (run / "checkpoints").rename(self.folder / "aside")
        self.assert_done(tiny(run, "--epochs=1", "--quiet"))
        for path in (run / "checkpoints").iterdir():
            path.rename(self.folder / path.name)
        (self.folder / "aside" / "step-00000001").rename(run / "checkpoints" / "step-00000001")
        self.assert_refused(tiny(run, "--epochs=1"), "none of the 1 checkpoints")
        self.assert_refused(tiny(run, "--mode=evaluate"), "none of the 1 checkpoints")
        self.assertFalse(self.sentinel.exists())


if __name__ == "__main__":
    unittest.main()
