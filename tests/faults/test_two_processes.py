"""Two processes on one output folder."""

import pytest

from tests.faults.processes import Process, finish
from tests.faults.runs import SHORT, FaultTestCase
from tests.faults.tally import faults

pytestmark = pytest.mark.faults


class TwoProcessesTest(FaultTestCase):
    def test_the_second_is_refused_and_a_dead_one_holds_nothing(self):
        whole, folder = self.undisturbed(*SHORT), self.folder / "run"
        with Process(folder, *SHORT) as first:
            first.reach(1)
            first.pause()
            with faults("second process on a folder"):
                self.assert_ended(finish(folder, *SHORT), 2, "is in use by another process")
            first.kill()
        with faults("next process on the folder of a killed one"):
            self.assert_done(finish(folder, *SHORT))
            self.assert_same_run(whole, folder)
