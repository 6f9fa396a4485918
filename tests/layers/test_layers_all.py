"""The whole conformance table: every layer, penalty and dtype policy."""

import multiprocessing
import unittest
from concurrent.futures import ProcessPoolExecutor

import pytest
from absl.testing import parameterized

from tests.layers.case import DTYPES
from tests.layers.cases import CASES
from tests.layers.conformance import faults

ROWS_PER_PROCESS = 15
"""TensorFlow keeps some of what every traced loop took, about 100 MiB a row, until the process ends."""


def faults_of(name: str) -> list[str]:
    return faults(CASES[name], DTYPES)


@pytest.mark.slow
class AllTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.processes = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), max_tasks_per_child=ROWS_PER_PROCESS
        )

    @classmethod
    def tearDownClass(cls) -> None:
        cls.processes.shutdown()
        super().tearDownClass()

    @parameterized.parameters(*CASES)
    def test_row(self, name: str) -> None:
        self.assertEqual(self.processes.submit(faults_of, name).result(), [])


if __name__ == "__main__":
    unittest.main()
