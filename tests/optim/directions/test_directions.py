"""L-BFGS and conjugate gradients against the textbooks' matrices, in float64."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.directions.base import Direction, Kept
from tf_fullbatch.optim.directions.lbfgs import LBFGS
from tf_fullbatch.optim.directions.nonlinear_cg import BETAS, NonlinearCG

SIZE = 6


class Step(NamedTuple):
    theta: np.ndarray
    gradient: np.ndarray
    direction: np.ndarray
    length: float
    kept: Kept


def empty(rule: Direction, size: int = SIZE) -> Kept:
    slots = rule.keeps(size).items()
    return {name: tf.zeros(slot.shape, slot.dtype or "float64") for name, slot in slots}


def followed(
    rule: Direction,
    gradient: Callable[[np.ndarray], np.ndarray],
    lengths: Callable[[np.ndarray, np.ndarray], float],
    steps: int,
) -> list[Step]:
    """Steps from fixed weights, compiled as training compiles them."""
    direct, accept = tf.function(rule.direction), tf.function(rule.accepted)
    theta, kept, found = np.linspace(-0.2, 0.3, SIZE), empty(rule), []
    for _ in range(steps):
        g = gradient(theta)
        d, kept = direct(kept, tf.constant(g), [])
        length = lengths(theta, d.numpy())
        found.append(Step(theta, g, d.numpy(), length, kept))
        theta = theta + length * d.numpy()
        kept = accept(kept, tf.constant(g), d, tf.constant(length, tf.float64))
    return found


def bumpy(theta: np.ndarray) -> np.ndarray:
    """The gradient of a function with negative curvature between its minima."""
    mixed = np.random.default_rng(0).normal(size=(SIZE, SIZE)) / SIZE
    return 4 * theta**3 - 3 * theta + (mixed + mixed.T) @ theta


def spread(theta: np.ndarray) -> np.ndarray:
    return quadratic() @ theta


def quadratic() -> np.ndarray:
    root = np.random.default_rng(1).normal(size=(SIZE, SIZE))
    return root @ root.T + np.diag(np.arange(1.0, SIZE + 1))


def exact(theta: np.ndarray, d: np.ndarray) -> float:
    """To the minimum of the quadratic along a direction."""
    return float(-(quadratic() @ theta) @ d / (d @ quadratic() @ d))


class LBFGSTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(history=(1, 3, 10), damping=(0.0, 0.2), length=(0.1, 0.4))
    def test_is_the_inverse_matrix_of_the_last_pairs(
        self, history: int, damping: float, length: float
    ) -> None:
        steps = followed(LBFGS(history=history, damping=damping), bumpy, lambda *_: length, 12)
        pairs: list[tuple[np.ndarray, np.ndarray]] = []
        moved = left_out = 0
        for before, now in itertools.pairwise(steps):
            s, y = now.theta - before.theta, now.gradient - before.gradient
            if damping:
                model = np.linalg.inv(self.inverse(pairs, before)) @ s  # B s
                if s @ y < damping * (s @ model):
                    share = (1 - damping) * (s @ model) / (s @ model - s @ y)
                    y = share * y + (1 - share) * model
                    moved += 1
            if s @ y > 1e-10 * (s @ s):
                pairs = [*pairs, (s, y)][-history:]
            else:
                left_out += 1
            expected = -self.inverse(pairs, now) @ now.gradient
            self.assertAllClose(now.direction, expected, rtol=1e-8, atol=1e-10)
            self.assertEqual(int(now.kept["skipped"]), left_out)
            self.assertLess(now.direction @ now.gradient, 0)
        self.assertGreater(moved if damping else left_out, 0)  # the curvature is negative somewhere

    def inverse(self, pairs: list[tuple[np.ndarray, np.ndarray]], at: Step) -> np.ndarray:
        """H of pairs, the oldest first: `(I - rho s y^T) H (I - rho y s^T) + rho s s^T`; of none, the first step's."""
        if not pairs:
            return np.eye(SIZE) * min(1, 1 / np.linalg.norm(at.gradient))
        s, y = pairs[-1]
        h = np.eye(SIZE) * (s @ y) / (y @ y)
        for s, y in pairs:
            rho = 1 / (s @ y)
            left = np.eye(SIZE) - rho * np.outer(s, y)
            h = left @ h @ left.T + rho * np.outer(s, s)
        return h

    def test_ends_on_a_quadratic_after_as_many_steps_as_there_are_parameters(self) -> None:
        # Damping moves some pairs here too, where the first matrix is far off.
        steps = followed(LBFGS(damping=0.0), spread, exact, SIZE + 1)
        self.assertLess(np.linalg.norm(steps[-1].gradient), 1e-9 * np.linalg.norm(steps[0].gradient))
        self.assertGreater(np.linalg.norm(steps[-3].gradient), 1e-6 * np.linalg.norm(steps[0].gradient))

    def test_forgets(self) -> None:
        rule = LBFGS()
        last = followed(rule, spread, lambda *_: 0.1, 4)[-1]
        kept = rule.forgotten(last.kept)
        found, kept = rule.direction(kept, tf.constant(last.gradient), [])
        self.assertAllClose(found, -last.gradient / np.linalg.norm(last.gradient), rtol=1e-15)
        self.assertEqual(int(kept["pairs"]), 0)

    def test_a_step_that_went_nowhere_is_no_pair(self) -> None:
        rule = LBFGS()
        g = tf.ones(SIZE, tf.float64)
        d, kept = rule.direction(empty(rule), g, [])
        found, kept = rule.direction(rule.accepted(kept, g, d, tf.constant(0.0, tf.float64)), g, [])
        self.assertEqual((int(kept["pairs"]), int(kept["skipped"])), (0, 1))
        self.assertAllClose(found, d)


class NonlinearCGTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*BETAS)
    def test_is_conjugate_gradients_on_a_quadratic(self, beta: str) -> None:
        steps = followed(NonlinearCG(beta=beta), spread, exact, SIZE + 1)
        first = np.linalg.norm(steps[0].gradient)
        self.assertLess(np.linalg.norm(steps[-1].gradient), 1e-9 * first)
        directions = np.array([step.direction for step in steps[:-1]])
        products = directions @ quadratic() @ directions.T
        scale = np.sqrt(np.outer(np.diag(products), np.diag(products)))
        self.assertAllClose(products / scale, np.eye(SIZE), rtol=0, atol=1e-7)

    def test_each_beta_is_the_papers(self) -> None:
        for step, after in self.neighbours():
            new, old, d = after.gradient, step.gradient, step.direction
            y = new - old
            least = -1 / (np.linalg.norm(d) * min(0.01, np.linalg.norm(old)))
            expected = {
                "polak_ribiere": max(0, new @ y / (old @ old)),
                "hestenes_stiefel": max(0, new @ y / (d @ y)),
                "hager_zhang": max((y - 2 * d * (y @ y) / (d @ y)) @ new / (d @ y), least),
            }
            for name, function in BETAS.items():
                found = function(tf.constant(new), tf.constant(old), tf.constant(d))
                self.assertAllClose(found, expected[name], rtol=1e-12)

    def neighbours(self) -> list[tuple[Step, Step]]:
        steps = followed(NonlinearCG(), bumpy, lambda *_: 0.05, 9)
        return list(itertools.pairwise(steps))

    @parameterized.parameters(*BETAS)
    def test_begins_anew_with_the_gradient(self, beta: str) -> None:
        every = followed(NonlinearCG(beta=beta, restart_every=2), spread, exact, 6)
        for i in (0, 2, 4):
            self.assertAllEqual(every[i].direction, -every[i].gradient)
        rule = NonlinearCG(beta=beta)
        last = followed(rule, spread, exact, 3)[-1]
        found, _ = rule.direction(rule.forgotten(last.kept), tf.constant(last.gradient), [])
        self.assertAllEqual(found, -last.gradient)
        # Nearly the same gradient twice: far from orthogonal. Hager and Zhang's has no such rule.
        again, kept = rule.direction(last.kept, tf.constant(last.kept["gradient"].numpy() * 0.9), [])
        self.assertEqual(int(kept["since_restart"]) == 0, beta != "hager_zhang")
        self.assertLess(float(tf.tensordot(again, last.kept["gradient"], 1)), 0)

    def test_refuses_an_unknown_beta(self) -> None:
        with self.assertRaisesRegex(
            UserError, "beta='dai_yuan': accepted are polak_ribiere, hestenes_stiefel"
        ):
            NonlinearCG(beta="dai_yuan")


if __name__ == "__main__":
    tf.test.main()
