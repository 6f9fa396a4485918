"""How many rounds go into one call."""

import unittest

from hypothesis import given
from hypothesis import strategies as st

from tf_fullbatch.data.pace import Pace


def after(calls: list[tuple[int, float]], most: int | None = None) -> int:
    """The rounds chosen after calls of (rounds, seconds)."""
    pace = Pace(most)
    for rounds, seconds in calls:
        pace.took(rounds, seconds)
    return pace.rounds


class PaceTest(unittest.TestCase):
    def test_begins_with_one_round(self):
        self.assertEqual(Pace().rounds, 1)

    def test_the_first_call_which_is_compiled_counts_for_nothing(self):
        self.assertEqual(after([(1, 1e-3)]), 1)
        self.assertEqual(after([(1, 20.0), (1, 0.05)]), 5)

    def test_aims_at_a_quarter_of_a_second(self):
        self.assertEqual(after([(1, 1.0), (10, 0.5)]), 5)
        self.assertEqual(after([(1, 1.0), (10, 0.125)]), 20)

    def test_grows_eightfold_at_most(self):
        self.assertEqual(after([(1, 1.0), (1, 1e-4)]), 8)
        self.assertEqual(after([(1, 1.0), (1, 1e-4), (8, 8e-4)]), 64)
        self.assertEqual(after([(1, 1.0), (1, 0.0)]), 8)

    def test_slow_rounds_come_one_by_one(self):
        self.assertEqual(after([(1, 1.0), (1, 0.01), (8, 8 * 30.0)]), 1)

    def test_follows_a_machine_that_slows_down(self):
        self.assertEqual(after([(1, 1.0), (100, 0.25), (100, 1.0)]), 25)

    def test_a_call_without_rounds_says_nothing(self):
        self.assertEqual(after([(1, 1.0), (10, 0.5), (0, 1e-5)]), 5)

    def test_grows_by_a_factor_or_is_fixed(self):
        self.assertEqual(after([(1, 1.0), (1, 1e-4)], most=3), 3)
        self.assertEqual(after([(1, 1.0), (1, 1e-4)], most=100), 100)
        self.assertEqual(after([(1, 1.0), (1, 1e-4)]), 8)

    @given(
        calls=st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1e4))),
        most=st.none() | st.integers(1, 50),
    )
    def test_there_is_always_a_round_to_go_over(self, calls, most):
        rounds = after(calls, most)
        self.assertGreaterEqual(rounds, 1)
        self.assertLessEqual(rounds, 8 * 10**6 if most is None else most)


if __name__ == "__main__":
    unittest.main()
