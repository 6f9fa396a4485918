"""Runs with a uniform average of their weights: evaluated, resumed to the last bit, opened, refused."""

import re
import shutil
import textwrap
from pathlib import Path

import numpy as np

from tests.command import CommandTestCase, command, contents, evaluations_of, summary_of
from tf_fullbatch import open_run
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.checkpoints import list_checkpoints, load_latest
from tf_fullbatch.records.run_folder import RunFolder

CODE = """
    import keras

    def normalised(input_shape, num_classes):
        layers = [keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.Dense(num_classes)]
        return keras.Sequential(
            [keras.Input(input_shape), keras.layers.Rescaling(1 / 16), keras.layers.Flatten(), *layers]
        )

    def spectral(input_shape, num_classes):
        dense = keras.layers.SpectralNormalization(keras.layers.Dense(num_classes))
        return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), dense])
"""


class SwaTest(CommandTestCase):
    draws_curves = False

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.file, cls.run_folder = cls.shared / "own.py", cls.shared / "run"
        cls.file.write_text(textwrap.dedent(CODE))
        cls.arguments = (
            f"--model={cls.file}:normalised", "--train_size=100", "--validation_size=50", "--micro_batch_size=25",
            "--batch_size=50", "--shuffle", "--learning_rate=0.5", "--epochs=6", "--swa_start_epoch=3",
            "--checkpoint_every=1", "--keep_checkpoints=99", "--deterministic",
        )  # fmt: skip
        ended = command(*cls.arguments, f"--output_dir={cls.run_folder}")
        assert ended.code == 0, ended.err

    def arrays(self, folder: Path) -> dict[str, np.ndarray]:
        checkpoint, _ = load_latest(folder / "checkpoints")
        assert checkpoint is not None
        return dict(checkpoint.arrays)

    def test_it_is_evaluated_beside_the_weights_once_it_has_begun(self) -> None:
        rows = evaluations_of(self.run_folder)
        self.assertEqual([1, 2, 3, 4, 5, 6], sorted({r["step"] // 2 for r in rows if r["weights"] == "raw"}))
        self.assertEqual([3, 4, 5, 6], sorted({row["step"] // 2 for row in rows if row["weights"] == "swa"}))
        self.assertEqual({"raw", "swa"}, set(summary_of(self.run_folder)["final"]["test"]))

    def test_it_is_the_mean_of_the_passes(self) -> None:
        found = self.arrays(self.run_folder)
        (name,) = [name for name in found if re.fullmatch("swa/.*/gamma", name)]
        own = []
        for step in (6, 8, 10, 12):
            own.append(open_run(self.run_folder, step=step, own_code=True).network.layers[3].gamma.numpy())
        self.assertEqual(4, found["swa/updates"])
        self.assertEqual(4, found["swa/calibrated"])
        self.assertLess(abs(found[name] - np.mean(own, axis=0)).max(), 1e-6)

    def test_resumed_it_has_the_same_bits(self) -> None:
        for last in (7, 8):  # within a pass, and at its end
            run = Path(shutil.copytree(self.run_folder, self.folder / str(last)))
            for checkpoint in list_checkpoints(run / "checkpoints"):
                if int(checkpoint.name.partition("-")[2]) > last:
                    shutil.rmtree(checkpoint)
            self.assert_done(command(*self.arguments, f"--output_dir={run}"))
            whole, parts = self.arrays(self.run_folder), self.arrays(run)
            self.assertEqual(list(whole), list(parts))
            for name, array in whole.items():
                self.assertEqual(array.tobytes(), parts[name].tobytes(), name)
            self.assertEqual(evaluations_of(self.run_folder), evaluations_of(run))

    def test_it_is_evaluated_again_and_opened(self) -> None:
        (row,) = [
            r for r in evaluations_of(self.run_folder)[-4:] if (r["split"], r["weights"]) == ("test", "swa")
        ]
        again = self.assert_done(
            command(f"--model={self.file}:normalised", "--mode=evaluate", f"--output_dir={self.run_folder}")
        )
        self.assertRegex(again.out, rf"test +swa +450 +{row['cross_entropy']:.4f}")
        early = self.assert_done(
            command(
                f"--model={self.file}:normalised",
                "--mode=evaluate",
                f"--output_dir={self.run_folder}",
                "--step=4",
            )
        )
        self.assertNotIn("swa", early.out)
        run = open_run(self.run_folder, own_code=True)
        run.use_average("swa")
        test = run.splits.test
        figures = run.model.evaluate(test.inputs, test.targets, verbose=0, return_dict=True)
        self.assertAlmostEqual(row["loss"], figures["loss"], delta=1e-6)
        with self.assertRaisesRegex(UserError, "kept no ema average of its weights"):
            run.use_average("ema")
        with self.assertRaisesRegex(UserError, "at step 4 there is no swa average yet"):
            open_run(self.run_folder, step=4, own_code=True).use_average("swa")

    def test_a_checkpoint_that_was_not_evaluated_gets_statistics_where_it_is_opened(self) -> None:
        run = self.folder / "run"
        self.assert_done(command(*self.arguments, "--evaluate_every=6", f"--output_dir={run}"))
        seldom = open_run(run, step=10, own_code=True)
        often = open_run(self.run_folder, step=10, own_code=True)
        for opened in (seldom, often):
            opened.use_average("swa")
        for one, other in zip(seldom.network.get_weights(), often.network.get_weights(), strict=True):
            self.assertEqual(one.tobytes(), other.tobytes())

    def test_refused(self) -> None:
        run = self.folder / "run"
        for arguments, said in (
            (("--swa_start_epoch=0",), "--swa_start_epoch=0: must be at least 1"),
            (("--swa_start_epoch=7", "--epochs=6"), "--swa_start_epoch=7 is after the last pass, 6"),
            (
                ("--swa_start_epoch=3", "--ema_decay=0.9"),
                "--ema_decay=0.9 and --swa_start_epoch=3 are two averages",
            ),
            (
                (f"--model={self.file}:spectral", "--swa_start_epoch=3"),
                "is assigned when the network is called",
            ),
        ):
            self.assert_refused(command("--train_size=100", f"--output_dir={run}", *arguments), said)
            self.assertEqual({}, contents(run))
        self.assertEqual(3, RunFolder(self.run_folder).read_config().runtime.swa_start_epoch)
