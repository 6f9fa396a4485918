"""Fifty mutated sets of flags as real processes: each completes or ends with one line, and harms no folder."""

import os
import subprocess
import sys
import tempfile
import time
import unittest
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz.flag_sets import mutated_flag_sets, write_hostile_flagfiles
from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.run import Config
from tf_fullbatch.errors import UserError

SETS = 50
FROM_VALID = 30
"""How many of them get past the flags, to what is known only once the data are read and the network is built."""

LONGEST_SECONDS = 120
AT_ONCE = 2
TINY = (
    "--dataset=digits", "--train_size=64", "--validation_size=0", "--model=linear", "--epochs=1",
    "--micro_batch_size=16", "--warmup_epochs=0", "--penalty_warmup_epochs=0", "--image_size=none",
    "--simulate_devices=0", "--num_replicas=none", "--mode=train", "--dry_run=false", "--quiet",
    "--initial_weights=none", "--data_dir=none",
)  # fmt: skip
# Without what the tests' own process has TensorFlow say: its errors are no lines of ours.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"} | {
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_NUM_INTRAOP_THREADS": "1",
}


class Ended(NamedTuple):
    """How a process ended."""

    arguments: list[str]
    code: int
    err: str
    seconds: float


def run(arguments: list[str], folder: Path) -> Ended:
    """`python -m tf_fullbatch.main` with the arguments, from a folder of its own."""
    begun = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-m", "tf_fullbatch.main", *map(os.fsencode, arguments)],
        cwd=folder,
        env=ENVIRONMENT | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    err = process.stderr.decode("utf-8", "backslashreplace")
    return Ended(arguments, process.returncode, err, time.monotonic() - begun)


def drawn_sets(hostile: list[str]) -> list[list[str]]:
    """The sets to run, the same each time; tiny settings are appended, and most of them parse with those."""
    hostile = [path for path in hostile if _can_be_given(path)]
    parsed: list[list[str]] = []
    refused: list[list[str]] = []
    configs: list[Config | None] = []

    @settings(max_examples=3000, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(mutated_flag_sets(tuple(hostile)))
    def collect(arguments: list[str]) -> None:
        if len(parsed) + len(refused) == SETS or not all(map(_can_be_given, arguments)):
            return
        model = "--model=linear" if len(parsed) % 3 == 0 else "--model=resnet_tiny"
        tiny = [*arguments, *TINY, model]
        try:
            config = cli_flags.parse(["main", *tiny])
        except UserError:
            config = None
        chosen, most = (refused, SETS - FROM_VALID) if config is None else (parsed, FROM_VALID)
        # Of the sets that say the same, one is enough.
        if len(chosen) < most and tiny not in chosen and (config is None or config not in configs):
            chosen.append(tiny)
            configs.append(config)

    collect()
    return parsed + refused


def _can_be_given(argument: str) -> bool:
    """Whether a command line can hold it."""
    try:
        return "\0" not in argument and len(os.fsencode(argument)) < 50_000
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return False


@pytest.mark.slow
class RealProcessesTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.folder / "flagfiles").mkdir()
        self.hostile = write_hostile_flagfiles(self.folder / "flagfiles")
        self.codes: Counter[int] = Counter()

    def test_each_completes_or_ends_with_one_line(self):
        sets = drawn_sets(self.hostile)
        self.assertEqual(SETS, len(sets))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ends = list(pool.map(self.run_and_use, range(SETS), sets))
        for problem in filter(None, ends):
            with self.subTest():
                self.fail(problem)
        self.assertGreater(self.codes[0], SETS // 5, self.codes)
        self.assertGreater(self.codes[2], SETS // 5, self.codes)

    def run_and_use(self, number: int, arguments: list[str]) -> str | None:
        """Runs a set, and what it left behind; what is wrong, if anything is."""
        place = self.folder / str(number)
        place.mkdir()
        ended = run([*arguments, "--output_dir=run"], place)
        self.codes[ended.code] += 1
        problem = _problem(ended)
        output = place / "run"
        if problem is None and ended.code == 0 and output.exists():
            problem = _problem(run(["--mode=evaluate", "--output_dir=run"], place), completes=True)
        elif problem is None and output.exists():
            # The same set with other settings appended goes on, begins anew, or is refused in one line.
            problem = _problem(run([*TINY, "--output_dir=run"], place))
        return problem


def _problem(ended: Ended, *, completes: bool = False) -> str | None:
    lines = ended.err.splitlines()
    shown = f"{[argument[:80] for argument in ended.arguments]}: code {ended.code}\n{ended.err[-1500:]}"
    if "Traceback" in ended.err or (completes and ended.code != 0):
        return shown
    if ended.code != 0 and not (
        lines and lines[-1].startswith("error: ") and ended.err.count("error: ") == 1
    ):
        return shown
    return None


if __name__ == "__main__":
    unittest.main()
