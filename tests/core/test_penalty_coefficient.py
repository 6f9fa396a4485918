"""A penalty's direction, coefficient, value and cost."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.core.known_hessians import Quadratic, SoftplusNet
from tests.core.problems import scalars
from tf_fullbatch.core import penalties, trees
from tf_fullbatch.core.names import GRADIENT_EVALUATIONS
from tf_fullbatch.core.penalties import PENALTIES, Penalty

OPERATORS = tuple(name for name in PENALTIES if name != "none")


class PenaltyTest(tf.test.TestCase, parameterized.TestCase):
    """An operator with its direction and its coefficient."""

    @parameterized.parameters(*OPERATORS)
    def test_direction_and_coefficient(self, name: str) -> None:
        problem = Quadratic()
        full = [tf.constant([[1.0], [-2.0], [0.5]], tf.float64), tf.constant([3.0, 0.25], tf.float64)]
        g, h = problem.gradient, problem.hessian
        for own, whole in ((0.5, 0.0), (0.5, 0.3), (0.0, 0.3)):
            penalty = Penalty(name=name)
            point = penalty(problem.loss, problem.theta, scalars(strength=own, full=whole), full)
            v = own * g + whole * trees.flatten(full).numpy()
            self.assertAllClose(trees.flatten(point.product), h @ v, rtol=1e-10, atol=1e-10)
            found = trees.flatten(penalty.changed(point, scalars(rate=0.8)))
            self.assertAllClose(found, g + 0.8 / 4 * h @ v, rtol=1e-10, atol=1e-10)

    @parameterized.parameters(*OPERATORS)
    def test_without_a_whole_gradient_its_strength_is_not_used(self, name: str) -> None:
        problem = Quadratic()
        point = Penalty(name=name)(problem.loss, problem.theta, scalars(strength=0.5, full=9.0), None)
        expected = 0.5 * problem.hessian @ problem.gradient
        self.assertAllClose(trees.flatten(point.product), expected, rtol=1e-10, atol=1e-10)

    @parameterized.parameters(("forward_differences", 1.0), ("central_differences", 0.5))
    def test_epsilon_is_the_length_of_the_step(self, name: str, share: float) -> None:
        visited = []

        def loss(theta: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tuple]:
            visited.append(theta[0].numpy())
            return tf.reduce_sum(theta[0] ** 3), ()

        start = tf.constant([0.5, -1.0, 2.0], tf.float64)
        Penalty(name=name, epsilon=0.2)(loss, [start], scalars(), None)
        self.assertAllClose(np.linalg.norm(visited[-1] - start), 0.2 * share, rtol=1e-10, atol=0)

    def test_what_it_adds_to_the_loss(self) -> None:
        full = [tf.constant([3.0, -4.0], tf.float64)]
        when = scalars(rate=0.8, strength=0.5, full=0.3)
        square = tf.constant(7.0, tf.float64)
        found = penalties.penalty_value(when, square, full)
        self.assertAllClose(found, 0.8 / 8 * (0.5 * 7 + 0.3 * 25), rtol=1e-14, atol=0)
        self.assertAllClose(penalties.penalty_value(when, square, None), 0.35, rtol=1e-14, atol=0)

    def test_its_gradient_is_the_penalised_one(self) -> None:
        # d/dtheta (lr/8) s |g|^2 = (lr/4) s H g.
        problem = SoftplusNet()
        theta = problem.theta
        with tf.GradientTape() as tape:
            tape.watch(theta)
            square = trees.squared_norm(penalties.value_and_gradient(problem.loss, theta).gradient)
            value = penalties.penalty_value(scalars(), square, None)
        expected = trees.flatten(tape.gradient(value, theta))
        penalty = Penalty(name="nested_tape")
        point = penalty(problem.loss, theta, scalars(), None)
        added = trees.flatten(penalty.changed(point, scalars()))
        found = added - trees.flatten(point.gradient)
        self.assertAllClose(found, expected, rtol=1e-10, atol=1e-14)

    def test_exact_and_costs_are_those_of_the_operator(self) -> None:
        exact = {name for name in OPERATORS if Penalty(name=name).exact}
        self.assertEqual(exact, set(penalties.EXACT))
        for name in OPERATORS:
            self.assertEqual(Penalty(name=name).gradient_evaluations, GRADIENT_EVALUATIONS[name])


if __name__ == "__main__":
    tf.test.main()
