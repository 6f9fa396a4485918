"""What batch normalisation normalises by where an objective is evaluated: batch, frozen, recalibrated."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.core.objectives import INPUTS, LABELS, SAMPLES, ObjectiveCase, asked, random_tree
from tests.core.problems import HIDDEN, Problem, cross_entropy, flat, objective, smooth
from tests.networks import CLASSES, FEATURES
from tf_fullbatch.core import trees
from tf_fullbatch.errors import RunInterruptedError, UserError


def in_inference(problem: Problem) -> float:
    outputs = problem.network(INPUTS, training=False)
    losses = [float(loss) for loss in problem.network.losses]
    return float(tf.reduce_mean(cross_entropy(tf.constant(LABELS), outputs))) + sum(losses)


def moved(problem: Problem) -> list[keras.Variable]:
    """The moving averages, no longer what they are made with."""
    statistics = [v for v in problem.network.non_trainable_variables if "moving" in v.path]
    generator = np.random.default_rng(4)
    for variable in statistics:
        variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    return statistics


class FrozenTest(ObjectiveCase):
    @parameterized.parameters(*HIDDEN)
    def test_is_the_network_in_inference(self, name: str) -> None:
        problem = smooth(*HIDDEN[name]())
        moved(problem)
        found = asked(problem, statistics="frozen")
        self.assertAllClose(found.loss(), in_inference(problem), rtol=1e-13, atol=0)
        point = found.value_and_gradient()
        self.assertAllClose(point.loss, found.loss(), rtol=1e-13, atol=0)
        self.assert_slope(found)

    def test_micro_batches_do_not_matter(self) -> None:
        problem = smooth(*HIDDEN["both"]())
        moved(problem)
        one, other = (asked(problem, size, statistics="frozen") for size in (4, SAMPLES))
        v = random_tree(problem.theta)
        self.assert_close(flat(one.hvp(None, v)), flat(other.hvp(None, v)))

    def assert_slope(self, found) -> None:
        v, step = random_tree(found.theta()), 1e-6
        at = found.theta()
        ahead, behind = (float(found.loss(trees.add_scaled(at, s, v))) for s in (step, -step))
        slope = float(trees.dot(found.value_and_gradient(at).gradient, v))
        self.assertAllClose(slope, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-8)


class RecalibratedTest(ObjectiveCase):
    def test_of_one_micro_batch_is_the_training_loss(self) -> None:
        problem = smooth(*HIDDEN["batch norm"]())
        moved(problem)
        there = trees.add_scaled(problem.theta, 0.3, random_tree(problem.theta, 5))
        whole, training = asked(problem, SAMPLES, statistics="recalibrated"), asked(problem, SAMPLES)
        self.assertAllClose(whole.loss(there), training.loss(there), rtol=1e-12, atol=0)
        self.assertAllClose(whole.loss(), training.loss(), rtol=1e-12, atol=0)

    @parameterized.parameters(False, True)
    def test_statistics_are_means_over_the_set(self, read_elsewhere: bool) -> None:
        problem = normalised(read_elsewhere)
        before = moved(problem)
        kept = [v.numpy() for v in before]
        found = float(asked(problem, statistics="recalibrated").loss())
        for variable, old in zip(before, kept, strict=True):
            self.assertAllEqual(variable, old)  # nothing is assigned
        parts = [INPUTS[i : i + 8] for i in range(0, SAMPLES, 8)]
        weights = [len(p) / SAMPLES for p in parts]
        mean = sum(w * p.mean(0) for w, p in zip(weights, parts, strict=True))
        variance = sum(w * p.var(0) for w, p in zip(weights, parts, strict=True))
        for variable, value in zip(before, (mean, variance), strict=True):
            variable.assign(value)
        self.assertAllClose(found, in_inference(problem), rtol=1e-12, atol=0)

    def test_costs_a_forward_pass_for_each_new_point(self) -> None:
        problem = smooth(*HIDDEN["batch norm"]())
        found = asked(problem, statistics="recalibrated")
        at, v = found.theta(), random_tree(problem.theta)
        found.loss(at)
        found.loss(at)
        self.assertAllClose(found.evaluations, 1, rtol=1e-12)
        found.hvp(at, v)
        self.assertAllClose(found.evaluations, 3, rtol=1e-12)
        found.loss(trees.scale(2.0, at))
        self.assertAllClose(found.evaluations, 3 + 2 / 3, rtol=1e-12)

    def test_derivatives_take_them_as_constants(self) -> None:
        problem = smooth(*HIDDEN["batch norm"]())
        at = problem.theta
        gradient = flat(asked(problem, statistics="recalibrated").value_and_gradient(at).gradient)
        self.assertGreater(
            np.linalg.norm(gradient - flat(asked(problem).value_and_gradient(at).gradient)), 1e-3
        )


class WordsTest(ObjectiveCase):
    def test_unknown_statistics(self) -> None:
        with self.assertRaisesRegex(
            UserError, "statistics='moving': accepted are batch, frozen, recalibrated"
        ):
            asked(smooth(), statistics="moving")

    def test_a_stop_breaks_a_pass_off(self) -> None:
        votes = iter([None, "SIGTERM", "SIGTERM"])
        found = objective(
            smooth(),
            INPUTS,
            LABELS,
            micro_batch_size=4,
            chunk_micro_batches=1,
            on_device=False,
            stopped_by=lambda: next(votes),
        )
        with self.assertRaisesRegex(RunInterruptedError, "SIGTERM"):
            found.loss()


def normalised(read_elsewhere: bool) -> Problem:
    """Batch normalisation of the inputs, whose moving mean something else may read, and one layer."""
    keras.utils.set_random_seed(3)
    norm = keras.layers.BatchNormalization()
    inputs = keras.Input((FEATURES,))
    hidden = norm(inputs)
    if read_elsewhere:
        hidden = Reader(norm)(hidden)
    return Problem(keras.Model(inputs, keras.layers.Dense(CLASSES)(hidden)))


class Reader(keras.layers.Layer):
    """Adds nothing, and reads the moving mean for it."""

    def __init__(self, norm: keras.layers.BatchNormalization):
        super().__init__()
        self._of = [norm]

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x + 0 * tf.convert_to_tensor(self._of[0].moving_mean)


if __name__ == "__main__":
    tf.test.main()
