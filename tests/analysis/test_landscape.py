"""Surfaces of losses: a parabola's, those of three kinds of statistics, and going on after a stop."""

import io
import math

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.analysis.known_objectives import Parabola
from tests.core.objectives import INPUTS, LABELS, SAMPLES, ObjectiveCase, asked, random_tree
from tests.core.problems import cross_entropy, flat, smooth
from tests.networks import softplus_network
from tests.training.small_models import X, Y, model_of
from tf_fullbatch.analysis import landscape
from tf_fullbatch.analysis.directions import random_directions
from tf_fullbatch.analysis.filters import filter_axes
from tf_fullbatch.analysis.landscape import surface
from tf_fullbatch.analysis.surfaces import Surface, axis, axis_around
from tf_fullbatch.analysis.values import value
from tf_fullbatch.core import trees
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent

GRID = (axis(3), axis(5, 0.5))


class ParabolaTest(ObjectiveCase):
    def test_a_line_and_a_plane_are_the_parabola(self) -> None:
        known = Parabola()
        theta = known.objective.theta()
        directions = random_directions(theta, 1, normalise="none")
        line = surface(known.objective, theta, directions[:1])
        self.assertEqual(line.loss.shape, (51,))
        w, (d, e) = flat(theta), (flat(d) for d in directions)
        self.assert_close(line.loss, np.array([known.loss(w + a * d) for a in axis()]))
        plane = surface(known.objective, theta, directions, GRID)
        self.assert_close(
            plane.loss, np.array([[known.loss(w + a * d + b * e) for b in GRID[1]] for a in GRID[0]])
        )
        self.assertTrue(np.isnan(plane.accuracy).all())

    def test_its_lowest_point_is_the_minimum(self) -> None:
        known = Parabola()
        theta = trees.unflatten(tf.constant(known.minimum), known.objective.variables)
        found = surface(known.objective, theta, random_directions(theta, 4), GRID)
        self.assertEqual(np.unravel_index(np.argmin(found.loss), found.loss.shape), (1, 2))
        self.assertAllClose(found.loss[1, 2], known.lowest, rtol=1e-12, atol=0)


class StatisticsTest(ObjectiveCase):
    @parameterized.parameters("batch", "frozen", "recalibrated")
    def test_the_centre_is_the_objectives_loss(self, statistics: str) -> None:
        problem = smooth(keras.layers.BatchNormalization())
        objective = asked(problem, statistics=statistics)
        theta = problem.theta
        found = surface(objective, theta, random_directions(theta, 0), GRID)
        self.assertEqual(found.statistics, statistics)
        self.assertAllClose(found.loss[1, 2], objective.loss(), rtol=1e-12, atol=0)
        self.assertTrue(np.all((found.accuracy >= 0) & (found.accuracy <= 1)))

    def test_each_point_is_the_network_with_those_weights(self) -> None:
        """By Keras' own layer: in training by micro-batches, in inference, and with its averages at that point."""
        network = (problem := smooth(keras.layers.BatchNormalization())).network
        theta, directions = problem.theta, [random_tree(problem.theta, 3)]
        found = {
            name: surface(asked(problem, statistics=name), theta, directions, [axis(3)]).loss
            for name in ("batch", "frozen", "recalibrated")
        }
        parts = [slice(i, i + 8) for i in range(0, SAMPLES, 8)]
        norm = network.layers[1]
        for i, a in enumerate(axis(3)):
            for variable, leaf in zip(
                network.trainable_variables, trees.add_scaled(theta, a, directions[0]), strict=True
            ):
                variable.assign(leaf)

            def loss(outputs: tf.Tensor, part: slice = slice(None)) -> float:
                return float(tf.reduce_mean(cross_entropy(tf.constant(LABELS[part]), outputs)))

            self.assertAllClose(found["frozen"][i], loss(network(INPUTS, training=False)), rtol=1e-12, atol=0)
            kept = [v.numpy() for v in (norm.moving_mean, norm.moving_variance)]
            shares = [(len(INPUTS[p]) / SAMPLES, p) for p in parts]
            batch = sum(share * loss(network(INPUTS[p], training=True), p) for share, p in shares)
            self.assertAllClose(found["batch"][i], batch, rtol=1e-12, atol=0)
            hidden = [(share, network.layers[0](INPUTS[p]).numpy()) for share, p in shares]
            norm.moving_mean.assign(sum(share * h.mean(0) for share, h in hidden))
            norm.moving_variance.assign(sum(share * h.var(0) for share, h in hidden))
            recalibrated = loss(network(INPUTS, training=False))
            self.assertAllClose(found["recalibrated"][i], recalibrated, rtol=1e-12, atol=0)
            for variable, old in zip((norm.moving_mean, norm.moving_variance), kept, strict=True):
                variable.assign(old)
        for one, other in (("batch", "frozen"), ("batch", "recalibrated"), ("frozen", "recalibrated")):
            self.assertGreater(np.abs(found[one] - found[other]).min(), 1e-4)

    def test_of_a_model(self) -> None:
        network = softplus_network(keras.layers.BatchNormalization())
        model = model_of(network, GradientDescent(0.1), micro_batch_size=5)
        objective = model.objective(X, Y, statistics="recalibrated")
        theta = objective.theta()
        for axes, variable in zip(filter_axes(network), objective.variables, strict=True):
            self.assertEqual(axes, (1,) if "kernel" in variable.path else ())
        found = surface(objective, theta, random_directions(theta, 0, axes=filter_axes(network)), GRID)
        self.assertAllClose(found.loss[1, 2], objective.loss(), rtol=1e-12, atol=0)

    def test_accuracy(self) -> None:
        problem = smooth()
        correct = np.argmax(problem.network(INPUTS), axis=1) == LABELS
        found = value(asked(problem))
        self.assertAllClose(found.accuracy, correct.mean(), rtol=1e-15, atol=0)
        self.assertGreater(found.accuracy, 0)
        self.assertAllClose(found.loss, asked(problem).loss(), rtol=1e-15, atol=0)
        self.assertTrue(math.isnan(value(Parabola().objective).accuracy))


class GoingOnTest(ObjectiveCase):
    def setUp(self) -> None:
        super().setUp()
        self.problem = smooth()
        self.objective = asked(self.problem)
        self.theta = self.problem.theta
        self.directions = random_directions(self.theta, 0)

    def surface(self, **settings) -> Surface:
        arguments = {"theta": self.theta, "directions": self.directions, "coordinates": GRID, **settings}
        return surface(self.objective, **arguments)

    def test_after_a_stop_only_what_lacks_is_computed(self) -> None:
        class StoppedError(Exception):
            pass

        file = io.BytesIO()

        def progress(found: Surface) -> None:
            if np.isfinite(found.loss).sum() == 4:
                np.savez(file, **found.arrays())
                raise StoppedError

        with self.assertRaises(StoppedError):
            self.surface(progress=progress)
        file.seek(0)
        known = Surface.from_arrays(np.load(file, allow_pickle=False))
        whole, seen, before = self.surface(), [], self.objective.evaluations
        resumed = self.surface(known=known, progress=lambda found: seen.append(np.isnan(found.loss).sum()))
        self.assertAllEqual(resumed.loss, whole.loss)
        self.assertAllEqual(resumed.accuracy, whole.accuracy)
        self.assertEqual(seen, list(range(10, -1, -1)))
        self.assertAllClose(self.objective.evaluations - before, 11 / 3, rtol=1e-12)
        self.assertEqual(np.isnan(known.loss).sum(), 11)  # what was known stays as it was

    def test_nothing_is_assigned(self) -> None:
        before = [v.numpy() for v in self.problem.network.variables]
        self.surface()
        for variable, old in zip(self.problem.network.variables, before, strict=True):
            self.assertAllEqual(variable, old)

    def test_what_is_known_of_something_else_is_refused(self) -> None:
        known = self.surface()
        for word, settings in (
            ("coordinates", {"coordinates": (axis(3), axis(5))}),
            ("weights or directions", {"theta": trees.scale(2.0, self.theta)}),
            ("weights or directions", {"directions": self.directions[::-1]}),
        ):
            with self.assertRaisesRegex(UserError, f"the known surface has other {word}"):
                self.surface(known=known, **settings)
        self.objective = asked(self.problem, statistics="frozen")
        with self.assertRaisesRegex(UserError, "the known surface has other statistics"):
            self.surface(known=known)

    def test_words(self) -> None:
        with self.assertRaisesRegex(UserError, "1 axes for 2 directions"):
            self.surface(coordinates=[axis(3)])
        with self.assertRaisesRegex(UserError, "0 axes for 0 directions"):
            self.surface(directions=[], coordinates=None)
        with self.assertRaisesRegex(UserError, "lack 'loss'"):
            Surface.from_arrays({"axis_0": axis(3)})
        with self.assertRaisesRegex(UserError, r"losses are \(5,\), but its axes have \(3,\) points"):
            Surface.from_arrays({**Surface.empty([axis(5)], "batch").arrays(), "axis_0": axis(3)})
        with self.assertRaisesRegex(UserError, "points=1"):
            axis(1)

    def test_axes(self) -> None:
        self.assertAllClose(axis(), np.linspace(-1, 1, 51), rtol=0, atol=1e-15)
        self.assertEqual(axis(51, 0.3)[25], 0)
        self.assertAllClose(axis_around([0, 3, 1], 4, 0.5), [-1.5, 0.5, 2.5, 4.5])

    def test_a_digest_is_of_values_shapes_and_order(self) -> None:
        one, other = tf.constant([[1.0, 2.0]]), tf.constant([3.0])
        found = [
            landscape.digest([one, other]),
            landscape.digest([other, one]),
            landscape.digest([tf.transpose(one), other]),
            landscape.digest([one + 1e-7, other]),
        ]
        self.assertLen(set(found), 4)
        self.assertEqual(found[0], landscape.digest([one, other]))


if __name__ == "__main__":
    tf.test.main()
