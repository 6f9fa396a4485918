"""SIGKILL at random moments, over and over: the run ends as if nothing had happened."""

import random
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, NamedTuple

import pytest

from tests.command import Ended
from tests.faults.processes import Process, events, finish, rows
from tests.faults.runs import FaultTestCase
from tests.faults.tally import faults

pytestmark = pytest.mark.faults

MOMENTS = {
    "start": "at the start of a process",
    "row": "after a step",
    "save": "while a checkpoint is written",
    "end": "after the last step",
}
PLAN = ("start", "row", "save", "row", "save", "row", "save", "row", "save")
"""Where the kills of a run fall, in an order of its own, before one at its end."""

STEPWISE = (
    "--batch_size=64", "--shuffle", "--augmentation=crop_flip", "--augmentation_padding=1", "--ema_decay=0.9",
    "--validation_size=50", "--epochs=38",
)  # fmt: skip


class Case(NamedTuple):
    """A run to be killed: its number of steps and its flags."""

    steps: int
    arguments: tuple[str, ...]


CASES = {
    "full batch, a checkpoint each step": Case(
        150, ("--epochs=150", "--checkpoint_every=1", "--evaluate_every=10", "--clip_norm=0.4")
    ),
    "SGD, a checkpoint each step": Case(152, (*STEPWISE, "--checkpoint_every=1")),
    "SGD, one checkpoint each 7 steps": Case(
        152, (*STEPWISE, "--checkpoint_every=7", "--keep_checkpoints=1", "--evaluate_every=3")
    ),
    "penalty, noise, two devices": Case(
        150,
        (
            "--epochs=75", "--batch_size=100", "--simulate_devices=2", "--micro_batch_size=25",
            "--penalty=forward_differences", "--penalty_strength=0.5", "--additive_noise=1e-3",
            "--multiplicative_noise=0.1", "--checkpoint_every=1", "--histograms_every=10", "--evaluate_every=5",
        ),
    ),
    "measured": Case(
        60,
        (
            "--epochs=60", "--checkpoint_every=1", "--clip_norm=0.4", "--evaluate_every=10", "--activation=softplus",
            "--measure=sharpness,noise_scale,critical_sharpness", "--measure_every=4",
            "--measure_options=sharpness.k=2,sharpness.smallest=1",
        ),
    ),
    "AdamW, one checkpoint each 3 steps": Case(
        152, (*STEPWISE, "--optimizer=adamw", "--learning_rate=1e-3", "--checkpoint_every=3")
    ),
}  # fmt: skip


def kill(process: Process, moment: str, target: int, dice: random.Random) -> None:
    """Kills a process at a moment."""
    folder, checkpoints = process.folder, process.folder / "checkpoints"
    started, before = events(folder), rows(folder)
    if moment == "start":
        process.see(lambda: events(folder) > started, "its event file")
        pause(dice.uniform(0, 1.5))
    else:
        # Beyond the rows of the process before: this one has got further.
        process.reach(max(target, before + 1) if moment != "end" else target)
        if moment == "save":
            process.see(lambda: any(checkpoints.glob(".step-*.aside")), "a checkpoint being written")
        pause(dice.uniform(0, {"row": 0.15, "save": 0.02, "end": 0.8}[moment]))
    process.kill()


def pause(seconds: float) -> None:
    """Waits more exactly than the poll of the other conditions."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass


def killed_again_and_again(name: str, folder: Path) -> Ended:
    """Kills a run and goes on, over and over; then lets it end."""
    case, dice = CASES[name], random.Random(name)
    moments = [*dice.sample(PLAN, k=len(PLAN)), "end"]
    for place, moment in enumerate(moments, start=1):
        target = case.steps if moment == "end" else place * case.steps // (len(moments) + 1)
        with faults(f"SIGKILL: {MOMENTS[moment]}"), Process(folder, *case.arguments, "--quiet") as process:
            kill(process, moment, target, dice)
    return finish(folder, *case.arguments, "--quiet")


class KilledTest(FaultTestCase):
    """All runs are started at once, two at a time; each test waits for its own."""

    kept: ClassVar[Path]
    chains: ClassVar[dict[str, Future[Ended]]]
    wholes: ClassVar[dict[str, Future[Ended]]]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.kept = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        pool = cls.enterClassContext(ThreadPoolExecutor(2))
        cls.chains, cls.wholes = {}, {}
        for number, name in enumerate(CASES):
            folder = cls.kept / f"killed-{number}"
            cls.chains[name] = pool.submit(killed_again_and_again, name, folder)
            cls.wholes[name] = pool.submit(
                finish, cls.kept / f"whole-{number}", *CASES[name].arguments, "--quiet"
            )

    def assert_survived(self, name: str) -> None:
        number = list(CASES).index(name)
        self.assert_done(self.chains[name].result())
        self.assert_done(self.wholes[name].result())
        whole, killed = (self.kept / f"{kind}-{number}" for kind in ("whole", "killed"))
        self.assertEqual(CASES[name].steps, rows(whole))
        self.assert_same_run(whole, killed)

    def test_full_batch(self):
        self.assert_survived("full batch, a checkpoint each step")

    def test_sgd(self):
        self.assert_survived("SGD, a checkpoint each step")

    def test_checkpoints_far_apart(self):
        self.assert_survived("SGD, one checkpoint each 7 steps")

    def test_penalty_noise_and_devices(self):
        self.assert_survived("penalty, noise, two devices")

    def test_measured(self):
        self.assert_survived("measured")

    def test_adamw(self):
        self.assert_survived("AdamW, one checkpoint each 3 steps")
