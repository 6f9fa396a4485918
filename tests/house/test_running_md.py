"""The Python in docs/running.md runs, as its text says."""

import contextlib
import io
import re

import keras
import numpy as np
import pytest

from tests.command import CommandTestCase, command, steps_of
from tests.house.test_readme import ROOT, blocks
from tf_fullbatch.optim.losses.registry import LOSSES

DOCUMENT = ROOT / "docs" / "running.md"


class RunningTest(CommandTestCase):
    draws_curves = False

    def setUp(self) -> None:
        super().setUp()
        self.enterContext(contextlib.chdir(self.folder))
        for code in blocks(DOCUMENT, "python"):
            name = code.split()[1].rstrip(",") if code.startswith("# ") else "program.py"
            (self.folder / name).write_text(code)

    def run_of(self, *flags: str) -> list[dict]:
        self.assert_done(command(*flags, "--output_dir=run", "--quiet"))
        return steps_of(self.folder / "run")

    def test_a_network(self) -> None:
        model = ("--model=mine.py:network", "--model_options=units=64", "--optimizer=keras:Lion")
        self.assertEqual(len(self.run_of(*model, "--learning_rate=0.001", "--epochs=2")), 2)

    def test_two_inputs_and_outputs(self) -> None:
        own = ("--dataset=both.py:data", "--model=both.py:network", "--loss=both.py:losses")
        steps = self.run_of(*own, "--micro_batch_size=50", "--epochs=20")
        self.assertLess(steps[-1]["loss"], 0.5 * steps[0]["loss"])

    def test_a_program(self) -> None:
        code = (self.folder / "program.py").read_text()
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, "running.md", "exec"), {"__name__": "running"})
        self.assertEqual(len(steps_of(self.folder / "runs" / "from_python")), 20)

    def test_the_table_of_losses_is_the_registry(self) -> None:
        _, _, table = DOCUMENT.read_text(encoding="utf-8").partition("| `--loss=` |")
        names = re.findall(r"^\| `(\w+)` \|", table.partition("\n\n")[0], re.MULTILINE)
        self.assertEqual(set(names), set(LOSSES))

    @pytest.mark.slow
    def test_fine_tuning(self) -> None:
        rng = np.random.default_rng(0)
        np.savez(
            "images.npz", inputs=rng.integers(0, 256, (16, 32, 32, 3), np.uint8), targets=np.arange(16) % 2
        )
        flags = (
            "--dataset=images.npz",
            "--model=tune.py:network",
            "--micro_batch_size=8",
            "--epochs=1",
            "--weight_decay=0",
        )
        factors = ("--learning_rate_factors=head/=1,.*=0", "--learning_rate=0.1")
        self.run_of(*flags, *factors)
        tuned = keras.models.load_model("run/model.keras")
        self.assert_done(command(*flags, "--learning_rate=1e-30", "--output_dir=start", "--quiet"))
        start = keras.models.load_model("start/model.keras")
        moved = {
            ours.path
            for ours, theirs in zip(tuned.weights, start.weights, strict=True)
            if np.abs(ours.numpy() - theirs.numpy()).max() > 1e-20  # above what the lowest rate moves
        }
        self.assertEqual(moved, {"head/kernel", "head/bias"})
