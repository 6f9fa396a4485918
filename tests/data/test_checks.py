"""Targets that are refused before training, and those that pass."""

from typing import Any

import numpy as np
from absl.testing import absltest, parameterized

from tf_fullbatch.data.checks import check_targets
from tf_fullbatch.errors import UserError


class CheckTargetsTest(parameterized.TestCase):
    @parameterized.parameters(
        (np.array(["cat", "dog"]), "text, the first is 'cat'.*np.unique"),
        (np.array([b"cat", b"dog"]), "text"),
        (np.array([0, 1], dtype=object), "Python objects, the first a int.*tolist"),
        (np.array([[0, 1], [2]], dtype=object), "Python objects, the first a list"),
        (np.array([1 + 2j]), "complex128.*real numbers"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), "datetime64"),
        (np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")]), "real numbers"),
    )
    def test_what_is_no_number(self, targets: np.ndarray, words: str) -> None:
        for classes in (None, 3):
            with self.assertRaisesRegex(UserError, words) as caught:
                check_targets(targets, classes)
            self.assertLen(str(caught.exception).splitlines(), 1)

    @parameterized.parameters(
        ([1, 2, 3], "from 1 to 3, but with 3 outputs.*classes 0 to 2: subtract 1"),
        ([-1, 0, 1], "from -1 to 1, .*: add 1"),
        ([-1, 1], "from -1 to 1, .*: add 1"),
        ([0, 3], "from 0 to 3, .*: give it 4 outputs"),
        ([5, 9], "from 5 to 9, .*: give it 10 outputs"),
        ([[0], [3]], "from 0 to 3"),
        ([0.0, 3.0], "from 0 to 3"),
        ([255], "from 255 to 255.*: subtract 255"),
        ([0.0, 0.5], "hold 0.5, but this loss takes class numbers, 0 to 2: give whole numbers"),
        ([0.0, float("nan")], "hold nan"),
        ([0.0, float("inf")], "hold inf"),
    )
    def test_classes(self, targets: list, words: str) -> None:
        with self.assertRaisesRegex(UserError, words) as caught:
            check_targets(np.array(targets), 3)
        self.assertLen(str(caught.exception).splitlines(), 1)

    @parameterized.parameters(
        ([0, 1, 2], 3, None),
        ([[0, 2], [1, 1]], 3, None),
        ([0.0, 2.0], 3, None),
        ([True, False], 2, None),
        ([-1, 0, 2], 3, -1),
        ([255, 0, 2], 3, 255),
        ([-1, -1], 3, -1),
        ([-7.5, 1e9], None, None),
    )
    def test_what_passes(self, targets: list, classes: int | None, ignored: int | None) -> None:
        for dtype in {np.array(targets).dtype, np.dtype("float32")}:
            check_targets(np.array(targets, dtype), classes, ignored)

    def test_one_output(self) -> None:
        with self.assertRaisesRegex(UserError, "over one output is always 0"):
            check_targets(np.zeros(3, int), 1)

    def test_other_classes_than_the_ignored_one_count(self) -> None:
        with self.assertRaisesRegex(UserError, "from -2 to 1"):
            check_targets(np.array([-1, -2, 1]), 3, -1)

    def test_unsigned_and_small_integers(self) -> None:
        for dtype in ("uint8", "int8", "uint64"):
            targets: Any = np.array([0, 1, 2], dtype)
            check_targets(targets, 3)
            with self.assertRaisesRegex(UserError, "from 1 to 3"):
                check_targets(targets + np.array(1, dtype), 3)


if __name__ == "__main__":
    absltest.main()
