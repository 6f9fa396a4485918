"""Paths between two networks: the line to a permuted one, curves around its barrier, and their gradient."""

import numpy as np
import tensorflow as tf
from scipy import integrate

from tests.analysis.known_objectives import Parabola
from tests.core.objectives import INPUTS, LABELS, ObjectiveCase, asked, random_tree
from tests.core.problems import flat, smooth
from tf_fullbatch.analysis.barriers import barrier_of
from tf_fullbatch.analysis.connecting_paths import Curve, curve_losses, line_losses, trained_curve
from tf_fullbatch.analysis.surfaces import Surface
from tf_fullbatch.core import trees
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.errors import UserError


def minimum(objective: Objective) -> trees.Tree:
    """Weights of a low training loss, by gradient descent."""
    theta = objective.theta()
    for _ in range(150):
        theta = trees.add_scaled(theta, -0.8, objective.value_and_gradient(theta).gradient)
    return theta


def permuted(theta: trees.Tree) -> trees.Tree:
    """The same function with the hidden units in another order."""
    kernel, bias, head, offset = theta
    order = [1, 2, 3, 4, 0]
    return [tf.gather(kernel, order, axis=1), tf.gather(bias, order), tf.gather(head, order), offset]


class PermutedTest(ObjectiveCase):
    def test_a_line_has_a_barrier_that_a_curve_avoids(self) -> None:
        objective = asked(smooth())
        start = minimum(objective)
        end = permuted(start)
        line = line_losses(objective, start, end)
        self.assertEqual(line.loss.shape, (25,))
        self.assertAllClose(line.loss[0], objective.loss(start), rtol=1e-12)
        self.assertAllClose(line.loss[-1], line.loss[0], rtol=1e-12)
        straight = barrier_of(line)
        self.assertGreater(straight.loss, 0.2)
        self.assertFalse(straight.connected)
        trained = trained_curve(objective, start, end, steps=40, learning_rate=0.5)
        curve = curve_losses(objective, trained.curve)
        bent = barrier_of(curve)
        self.assertAllClose(curve.loss[[0, -1]], line.loss[[0, -1]], rtol=1e-12)
        self.assertLess(bent.loss, 0.3 * straight.loss)
        self.assertLess(bent.mean, 0.5 * straight.mean)
        self.assertLess(trained.losses[-1], 0.5 * trained.losses[0])

    def test_the_errors_are_the_networks(self) -> None:
        problem = smooth()
        objective = asked(problem)
        start, end = problem.theta, random_tree(problem.theta, 2)
        found = line_losses(objective, start, end, 5)
        for a, accuracy in zip(found.coordinates[0], found.accuracy, strict=True):
            for variable, w, v in zip(problem.network.trainable_variables, start, end, strict=True):
                variable.assign((1 - a) * w + a * v)
            correct = np.argmax(problem.network(INPUTS), axis=1) == LABELS
            self.assertAllClose(accuracy, correct.mean(), rtol=1e-12)


class LineTest(ObjectiveCase):
    def test_a_convex_loss_has_none(self) -> None:
        objective = Parabola().objective
        start, end = (random_tree(objective.theta(), s) for s in (1, 2))
        found = barrier_of(line_losses(objective, start, end))
        self.assertAllClose(found.loss, 0, atol=1e-12)

    def test_only_what_lacks_is_computed(self) -> None:
        objective = Parabola().objective
        start, end = (random_tree(objective.theta(), s) for s in (1, 2))
        whole = line_losses(objective, start, end, 5)
        known = Surface.from_arrays(whole.arrays())
        known.loss[1:3] = np.nan
        before = objective.evaluations
        self.assertAllEqual(line_losses(objective, start, end, 5, known=known).loss, whole.loss)
        self.assertAllClose(objective.evaluations - before, 2 / 3, rtol=1e-12)
        with self.assertRaisesRegex(UserError, "other weights"):
            line_losses(objective, end, start, 5, known=known)

    def test_words(self) -> None:
        objective = Parabola().objective
        theta = objective.theta()
        with self.assertRaisesRegex(UserError, "points=1"):
            line_losses(objective, theta, theta, 1)
        with self.assertRaisesRegex(UserError, "the curve's loss is (inf|nan) in step .* take a smaller one"):
            trained_curve(objective, theta, random_tree(theta), steps=60, learning_rate=1e300)


class CurveTest(ObjectiveCase):
    def setUp(self) -> None:
        super().setUp()
        self.known = Parabola()
        like = self.known.objective.theta()
        self.start, self.end, self.control = (random_tree(like, s) for s in (1, 2, 3))

    def mean_loss(self, control: np.ndarray) -> float:
        """By adaptive quadrature of the parabola."""
        w, v = flat(self.start), flat(self.end)

        def loss(t: float) -> float:
            return self.known.loss((1 - t) ** 2 * w + 2 * t * (1 - t) * control + t**2 * v)

        return integrate.quad(loss, 0, 1, epsabs=1e-13, epsrel=1e-13)[0]

    def test_a_step_descends_the_curves_mean_loss(self) -> None:
        """The loss along it is of degree 4 in t, its gradient too: three places integrate both exactly."""
        rate, step = 0.1, 1e-5
        trained = trained_curve(
            self.known.objective,
            self.start,
            self.end,
            steps=1,
            learning_rate=rate,
            nodes=3,
            control=self.control,
        )
        c = flat(self.control)
        self.assertAllClose(trained.losses, [self.mean_loss(c)], rtol=1e-12)
        slope = [
            (self.mean_loss(c + step * e) - self.mean_loss(c - step * e)) / (2 * step) for e in np.eye(len(c))
        ]
        self.assertAllClose((c - flat(trained.curve.control)) / rate, slope, rtol=1e-8, atol=1e-9)

    def test_momentum(self) -> None:
        settings = {"learning_rate": 0.1, "control": self.control}
        arguments = self.known.objective, self.start, self.end
        c = [
            flat(trained_curve(*arguments, steps=steps, momentum=0.7, **settings).curve.control)
            for steps in (0, 1, 2)
        ]
        self.assertAllEqual(c[0], flat(self.control))
        one = trees.unflatten(tf.constant(c[1]), self.control)
        plain = trained_curve(*arguments, steps=1, learning_rate=0.1, control=one).curve.control
        self.assertAllClose(c[2] - c[1], 0.7 * (c[1] - c[0]) + flat(plain) - c[1], rtol=1e-12, atol=1e-14)

    def test_drawn_places_are_the_seeds(self) -> None:
        def control(**settings) -> np.ndarray:
            trained = trained_curve(
                self.known.objective, self.start, self.end, steps=4, learning_rate=0.1, **settings
            )
            return flat(trained.curve.control)

        self.assertAllEqual(control(seed=1), control(seed=1))
        self.assertNotAllClose(control(seed=1), control(seed=2))
        self.assertAllEqual(control(), control())

    def test_both_rules_find_the_best_control_point(self) -> None:
        """Of a parabola `int 2t(1-t) (B(t) - m) dt = 0`: the shares of w_0 and w_1 are 1/10, of c 2/15, of m 1/3."""
        best = 7.5 * (self.known.minimum / 3 - 0.1 * (flat(self.start) + flat(self.end)))
        lowest = self.mean_loss(best)
        begun = self.mean_loss(0.5 * (flat(self.start) + flat(self.end)))
        for steps, settings, share in ((50, {"nodes": 3}, 0.02), (100, {"seed": 0, "momentum": 0}, 0.2)):
            trained = trained_curve(
                self.known.objective, self.start, self.end, steps=steps, learning_rate=0.3, **settings
            )
            above = self.mean_loss(flat(trained.curve.control)) - lowest
            self.assertBetween(above, 0, share * (begun - lowest))

    def test_its_ends_are_the_networks_to_the_bit(self) -> None:
        curve = Curve(self.start, self.control, self.end)
        self.assertAllEqual(flat(curve.at(0.0)), flat(self.start))
        self.assertAllEqual(flat(curve.at(1.0)), flat(self.end))
        middle = 0.25 * flat(self.start) + 0.5 * flat(self.control) + 0.25 * flat(self.end)
        self.assert_close(flat(curve.at(0.5)), middle)


if __name__ == "__main__":
    tf.test.main()
