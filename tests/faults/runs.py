"""What the fault tests share: a run that nothing disturbs, and the comparison of another one with it."""

import functools
import re
import shutil
import tempfile
import unittest
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from tests.command import Ended, evaluations_of, measurements_of, steps_of
from tests.faults.processes import finish
from tf_fullbatch.records.checkpoints import list_checkpoints, load_checkpoint

SHORT = (
    "--batch_size=64", "--shuffle", "--augmentation=crop_flip", "--augmentation_padding=1", "--ema_decay=0.9",
    "--validation_size=50", "--epochs=30", "--evaluate_every=5", "--checkpoint_every=2", "--quiet",
)  # fmt: skip
"""A run with something of everything: 30 epochs of 4 steps, 3 of them full."""
SHORT_STEPS = 120

_undisturbed: dict[tuple[str, ...], Path] = {}


@functools.cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    """Where undisturbed runs are kept until the suite ends."""
    return tempfile.TemporaryDirectory()


class FaultTestCase(unittest.TestCase):
    """Has a folder for each test."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def undisturbed(self, *arguments: str, **options: Any) -> Path:
        """The folder of a run from beginning to end; made once for each set of flags."""
        if arguments not in _undisturbed:
            folder = Path(_kept().name, str(len(_undisturbed)))
            self.assert_done(finish(folder, *arguments, **options))
            _undisturbed[arguments] = folder
        return _undisturbed[arguments]

    def copy(self, folder: Path, name: str) -> Path:
        """A copy of a run's folder."""
        return Path(shutil.copytree(folder, self.folder / name))

    def assert_done(self, ended: Ended) -> None:
        self.assertEqual(0, ended.code, ended.err)
        self.assertNotRegex(ended.err, r"(?i)traceback|error")

    def assert_ended(self, ended: Ended, code: int, pattern: str) -> None:
        """An exit code, and nothing on standard error but one line "error: " that matches."""
        self.assertEqual(code, ended.code, ended.err)
        self.assertEqual(1, len(ended.err.splitlines()), ended.err)
        self.assertRegex(ended.err, rf"\Aerror: .*{pattern}.*\n\Z")

    def assert_same_run(self, whole: Path, other: Path) -> None:
        """Weights, records and TensorBoard's reading are those of the undisturbed run, bit for bit."""
        self.assertEqual(steps_of(whole), steps_of(other))
        self.assertEqual(evaluations_of(whole), evaluations_of(other))
        if (whole / "measurements.csv").exists():
            self.assertEqual(measurements_of(whole), measurements_of(other))
        expected, found = (load_checkpoint(list_checkpoints(f / "checkpoints")[0]) for f in (whole, other))
        self.assertEqual(expected.step, found.step)
        self.assertEqual(list(expected.arrays), list(found.arrays))
        for name, array in expected.arrays.items():
            self.assertEqual(array.tobytes(), found.arrays[name].tobytes(), name)
        for name in ("samples_seen", "best", "best_step", "epoch_ended"):
            self.assertEqual(expected.metadata[name], found.metadata[name], name)
        self.assert_charts(whole, other)

    def assert_charts(self, whole: Path, other: Path) -> None:
        """Every step once in every chart, with the same value; of results, begun anew by a resumed run, the last."""
        runs = [path.relative_to(whole) for path in sorted((whole / "summaries").iterdir()) if path.is_dir()]
        for run in (Path("summaries"), *runs):
            expected, found = charts(whole / run), charts(other / run)
            self.assertEqual(set(expected), set(found), run)
            kept = slice(-1, None) if run.name == "results" else slice(None)
            for tag, points in expected.items():
                self.assertEqual(points[kept], found[tag][kept], f"{run}: {tag}")
        steps = [row["step"] for row in steps_of(whole)]
        self.assertEqual(list(range(1, len(steps) + 1)), steps)
        loss = charts(other / "summaries" / "train")["loss"]
        self.assertEqual(steps, [step for step, _ in loss])


def charts(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard's server reads in a folder, without what a clock decides."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    points = {
        tag: [
            (e.step, float(e.tensor_proto.float_val[0]))
            for e in events.Tensors(tag)
            if e.tensor_proto.float_val
        ]
        for tag in events.Tags()["tensors"]
    }
    return {tag: found for tag, found in points.items() if not re.match("speed/.*second", tag)}
