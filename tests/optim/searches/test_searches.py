"""Line searches on functions of one number: what each promises holds, whatever it starts from."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from absl.testing import absltest, parameterized
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.searches.armijo import Armijo, NonMonotone
from tf_fullbatch.optim.searches.hager_zhang import HagerZhang
from tf_fullbatch.optim.searches.line import Found, Line, Start
from tf_fullbatch.optim.searches.polyak import Polyak
from tf_fullbatch.optim.searches.strong_wolfe import StrongWolfe


class Phi(NamedTuple):
    value: Callable[[float], float]
    slope: Callable[[float], float]

    def line(self) -> Line:
        return Line(self.value, lambda t: (self.value(t), self.slope(t)))

    def start(self, first: float) -> Start:
        return Start(self.value(0.0), self.slope(0.0), first)


def rosenbrock(at: tuple[float, float]) -> Phi:
    """Along the negative gradient from a point."""
    x = np.array(at)
    d = -optimize.rosen_der(x)
    return Phi(lambda t: float(optimize.rosen(x + t * d)), lambda t: float(optimize.rosen_der(x + t * d) @ d))


def barrier(t: float) -> float:
    return -t - math.log(1 - t) * 0.1 if t < 1 else math.nan


def more_thuente(b: float) -> Phi:
    """More and Thuente 1994, (5.1): flat for long, the minimum far away."""
    return Phi(lambda t: -t / (t * t + b), lambda t: (t * t - b) / (t * t + b) ** 2)


LINES = {
    "parabola": Phi(lambda t: (t - 1) ** 2, lambda t: 2 * (t - 1)),
    "quartic": Phi(lambda t: (t - 2) ** 4 - t, lambda t: 4 * (t - 2) ** 3 - 1),
    "waves": Phi(
        lambda t: math.cos(3 * t) / 3 + 0.02 * (t - 1) ** 2, lambda t: -math.sin(3 * t) + 0.04 * (t - 1)
    ),
    "barrier": Phi(barrier, lambda t: -1 + 0.1 / (1 - t) if t < 1 else math.nan),
    "far": more_thuente(2.0),
    "rosenbrock": rosenbrock((-1.2, 1.0)),
    "rosenbrock, near": rosenbrock((0.9, 0.8)),
}
FIRSTS = (1e-4, 0.03, 1.0, 7.0, 300.0)
WOLFE = {"quasi-Newton": (1e-4, 0.9), "conjugate gradients": (1e-4, 0.1), "exact": (1e-4, 1e-3)}


class StrongWolfeTest(parameterized.TestCase):
    @parameterized.product(name=tuple(LINES), first=FIRSTS, kind=tuple(WOLFE))
    def test_both_conditions_hold(self, name: str, first: float, kind: str) -> None:
        (c1, c2), phi = WOLFE[kind], LINES[name]
        line, start = phi.line(), phi.start(first)
        found = StrongWolfe(decrease=c1, curvature=c2, most=60).search(line, start)
        assert found is not None
        t = found.trial.length
        self.assertTrue(found.satisfied)
        self.assertGreater(t, 0)
        self.assertEqual((found.trial.value, found.trial.slope), (phi.value(t), phi.slope(t)))
        self.assertLessEqual(phi.value(t), start.value + c1 * t * start.slope)
        self.assertLessEqual(abs(phi.slope(t)), c2 * abs(start.slope))
        self.assertLessEqual(line.trials, 60)

    def test_what_meets_the_first_condition_alone_is_taken_and_said(self) -> None:
        falling = Phi(lambda t: -t, lambda t: -1.0)  # its slope never changes
        line = falling.line()
        found = StrongWolfe(most=6).search(line, falling.start(1.0))
        assert found is not None
        self.assertFalse(found.satisfied)
        self.assertEqual((found.trial.length, line.trials), (32.0, 6))

    def test_scipys_length_meets_the_same_conditions_and_takes_as_many_trials(self) -> None:
        for at in ((-1.2, 1.0), (0.5, 0.5), (2.0, -1.0)):
            x, phi = np.array(at), rosenbrock(at)
            theirs, calls, *_ = optimize.line_search(
                optimize.rosen, optimize.rosen_der, x, -optimize.rosen_der(x), c1=1e-4, c2=0.4
            )
            line = phi.line()
            found = StrongWolfe(curvature=0.4).search(line, phi.start(1.0))
            assert found is not None
            for t in (theirs, found.trial.length):
                self.assertLessEqual(abs(phi.slope(t)), 0.4 * abs(phi.slope(0)))
            self.assertLessEqual(line.trials, calls + 5)


class HagerZhangTest(parameterized.TestCase):
    @parameterized.product(name=tuple(LINES), first=FIRSTS, curvature=(0.9, 0.1))
    def test_wolfe_or_approximate_wolfe(self, name: str, first: float, curvature: float) -> None:
        phi, rule = LINES[name], HagerZhang(decrease=min(0.1, curvature / 2), curvature=curvature)
        start = phi.start(first)
        found = rule.search(phi.line(), start)
        assert found is not None
        self.assertTrue(found.satisfied)
        t = found.trial.length
        self.assertGreaterEqual(phi.slope(t), curvature * start.slope)
        wolfe = phi.value(t) <= start.value + rule.decrease * t * start.slope
        approximate = (2 * rule.decrease - 1) * start.slope >= phi.slope(t)
        self.assertTrue(wolfe or approximate)
        self.assertLessEqual(phi.value(t), start.value + rule.slack * abs(start.value))

    def test_ends_where_values_differ_by_rounding_alone(self) -> None:
        # 1 + (t - x)^2 / 2 in float32 is 1 all over the line: sufficient decrease is not to be seen.
        x = 1e-5
        phi = Phi(lambda t: float(np.float32(1 + (t - x) ** 2 / 2)), lambda t: t - x)
        self.assertEqual({phi.value(t) for t in np.linspace(0, 2 * x, 50)}, {1.0})
        found = HagerZhang().search(phi.line(), phi.start(5 * x))
        assert found is not None
        self.assertTrue(found.satisfied)
        self.assertLess(abs(found.trial.length - x), x)
        # An equal value is no decrease, though what backtracking asks for is rounded away in the end.
        self.assertIsNone(Armijo(most=60).search(phi.line(), phi.start(x)))
        self.assertIsNotNone(Armijo(slack=1e-7).search(phi.line(), phi.start(x)))
        near = Phi(lambda t: 1.0, lambda t: t - 1e-9)
        self.assertEqual(1.0, 1.0 + 1e-4 * 1e-9 * near.slope(0.0))
        self.assertIsNone(StrongWolfe().search(near.line(), near.start(1e-9)))
        self.assertIsNotNone(StrongWolfe(slack=1e-7).search(near.line(), near.start(1e-9)))

    def test_first_lengths_by_a_quadratic(self) -> None:
        phi = LINES["parabola"]  # from 1, its minimum is at 1

        def asked(last: float, **options: Any) -> list[float]:
            lengths: list[float] = []

            def value(t: float) -> float:
                lengths.append(t)
                return phi.value(t)

            line = Line(value, lambda t: (value(t), phi.slope(t)))
            self.assertIsNotNone(HagerZhang(**options).search(line, phi.start(5.0)._replace(last=last)))
            return lengths

        for last in (0.5, 3.0, 19.0):
            rounded = (
                4 * np.finfo(np.float64).eps / (0.1 * last) ** 2
            )  # of the parabola's bend, by values near 1
            np.testing.assert_allclose(asked(last), [0.1 * last, 1.0], rtol=rounded)
        self.assertEqual([25.0, 75.0], asked(25.0, probe=1.0, repeat=3.0)[:2])  # higher there
        self.assertEqual(5.0, asked(math.nan)[0])  # no step before
        self.assertEqual(5.0, asked(3.0, first="slopes")[0])

    def test_conditions_that_no_length_need_meet_are_refused(self) -> None:
        for rule, options in (
            (StrongWolfe, {"decrease": 0.5, "curvature": 0.1}),
            (HagerZhang, {"curvature": 0.05}),
        ):
            with self.assertRaisesRegex(UserError, "curvature has to be at least decrease"):
                rule(**options)

    def test_gives_up_within_its_most_trials(self) -> None:
        falling = Phi(lambda t: -t, lambda t: -1.0)
        line = falling.line()
        # Sufficient decrease holds everywhere, and the slope is never high enough.
        found = HagerZhang(curvature=0.9, most=7).search(line, falling.start(1.0))
        assert found is not None
        self.assertFalse(found.satisfied)
        self.assertEqual(line.trials, 7)


class BacktrackingTest(parameterized.TestCase):
    @parameterized.product(name=tuple(LINES), first=FIRSTS)
    def test_is_the_first_length_that_decreases_enough(self, name: str, first: float) -> None:
        phi, rule = LINES[name], Armijo(most=60)
        line, start = phi.line(), phi.start(first)
        found = rule.search(line, start)
        assert found is not None
        lengths = first * 0.5 ** np.arange(line.trials)
        enough = [phi.value(t) <= start.value + 1e-4 * t * start.slope for t in lengths]
        self.assertEqual(enough, [False] * (line.trials - 1) + [True])
        self.assertEqual(found.trial.length, lengths[-1])

    def test_gives_up(self) -> None:
        rising = Phi(lambda t: t, lambda t: -1.0)  # a slope that lies
        line = rising.line()
        self.assertIsNone(Armijo(most=4).search(line, rising.start(1.0)))
        self.assertEqual(line.trials, 4)

    def test_the_largest_of_the_last_values_is_what_is_gone_below(self) -> None:
        memory: tuple[float, ...] = ()
        rule = NonMonotone(reference="largest", window=3, most=1)
        for value, wanted in (
            (5.0, (5.0,)),
            (1.0, (5.0, 1.0)),
            (2.0, (5.0, 1.0, 2.0)),
            (0.5, (1.0, 2.0, 0.5)),
        ):
            rises = Phi(lambda t, value=value: value + 0.9 * t, lambda t: -1.0)
            found = rule.search(rises.line(), Start(value, -1.0, 1.0, memory))
            if value + 0.9 > max(wanted) - 1e-4:
                self.assertIsNone(found)
                memory = wanted
            else:
                assert found is not None
                memory = found.memory
            self.assertEqual(memory, wanted)

    @settings(max_examples=30, deadline=None)
    @given(
        values=st.lists(st.floats(-5, 5), min_size=2, max_size=8), eta=st.sampled_from([0.0, 0.5, 0.85, 1.0])
    )
    def test_the_mean_of_all_is_zhang_and_hagers(self, values: list[float], eta: float) -> None:
        q, c, memory = 1.0, values[0], ()
        for k, value in enumerate(values):
            if k:
                new = eta * q + 1
                q, c = new, (eta * q * c + value) / new
            found = NonMonotone(forgetting=eta).search(
                Line(lambda t: -math.inf, lambda t: (0.0, 0.0)), Start(value, -1.0, 1.0, memory)
            )
            self.assertIsNone(found)  # not finite
            found = NonMonotone(forgetting=eta).search(
                Line(lambda t: -1e9, lambda t: (0.0, 0.0)), Start(value, -1.0, 1.0, memory)
            )
            assert found is not None
            memory = found.memory
            np.testing.assert_allclose(memory, (q, c), rtol=1e-12, atol=1e-12)
        if eta == 1:
            np.testing.assert_allclose(memory[1], np.mean(values), atol=1e-12)
        if eta == 0:
            self.assertEqual(memory[1], values[-1])


class PolyakTest(absltest.TestCase):
    def test_reaches_the_minimum_of_a_cone_and_half_way_in_a_parabola(self) -> None:
        def of(value: float, slope: float, **given: float) -> Found | None:
            return Polyak(**given).search(Line(math.sin, lambda t: (0.0, 0.0)), Start(value, slope, 1.0))

        found = of(3.0, -2.0)
        assert found is not None
        self.assertEqual(found.trial.length, 1.5)
        bounded, above = of(3.0, -2.0, most_length=0.5), of(3.0, -2.0, lowest=1.0)
        assert bounded is not None
        assert above is not None
        self.assertEqual((bounded.trial.length, above.trial.length), (0.5, 1.0))
        self.assertIsNone(of(0.0, -1.0))


if __name__ == "__main__":
    absltest.main()
