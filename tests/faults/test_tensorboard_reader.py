"""TensorBoard reads a run's summaries while they are written."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from tests.faults.processes import Process, rows
from tests.faults.runs import SHORT, SHORT_STEPS, FaultTestCase
from tests.faults.tally import faults

pytestmark = pytest.mark.faults

LOSS = "loss"


class Reader:
    """Reads every run of a summaries folder again and again, as TensorBoard's server does."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._runs: dict[Path, EventAccumulator] = {}
        self.reads = 0
        self.seen: set[int] = set()

    def read(self) -> None:
        """Reads what is new in every run."""
        for path in [self._folder, *self._folder.glob("*/")]:
            if any(path.glob("events.out.tfevents.*")):
                new = EventAccumulator(str(path), size_guidance={"tensors": 0})
                self._runs.setdefault(path, new).Reload()
                self.reads += 1
        self.seen.add(len(self.steps()))

    def steps(self) -> list[int]:
        """Steps of the loss so far."""
        run = self._runs.get(self._folder / "train")
        return [e.step for e in run.Tensors(LOSS)] if run and LOSS in run.Tags()["tensors"] else []


class ReaderTest(FaultTestCase):
    def test_reading_while_it_is_written(self):
        """One reader over a run's whole life, in which it is killed twice."""
        whole, folder = self.undisturbed(*SHORT), self.folder / "run"
        reader = Reader(folder / "summaries")
        with faults("TensorBoard reading along, the run killed twice"):
            for until_row in (40, 80, None):
                with Process(folder, *SHORT) as process:
                    while process.running and (until_row is None or rows(folder) < until_row):
                        reader.read()
                        self.assertEqual(sorted(set(reader.steps())), reader.steps())
                    if until_row is not None:
                        process.kill()
                    else:
                        self.assert_done(process.end())
            reader.read()
            self.assertEqual(list(range(1, SHORT_STEPS + 1)), reader.steps())
            self.assertGreater(len(reader.seen), 3)
            self.assert_same_run(whole, folder)
