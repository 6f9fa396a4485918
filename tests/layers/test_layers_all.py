"""The whole conformance table: every layer, penalty and dtype policy."""

import pytest
import tensorflow as tf
from absl.testing import parameterized

from tests.layers.case import DTYPES
from tests.layers.cases import CASES
from tests.layers.conformance import ConformanceTestCase


@pytest.mark.slow
class AllTest(ConformanceTestCase):
    @parameterized.parameters(*CASES)
    def test_row(self, name: str) -> None:
        self.check(CASES[name], DTYPES)


if __name__ == "__main__":
    tf.test.main()
