"""The objective of an update batch: loss, gradient and curvature against micro-batches by hand and dense matrices."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.core.objectives import (
    GENERATOR,
    INPUTS,
    LABELS,
    SAMPLES,
    ObjectiveCase,
    asked,
    mean_hessian,
    random_tree,
)
from tests.core.problems import (
    HIDDEN,
    Problem,
    flat,
    matrix,
    mean_squares,
    micro_batches,
    objective,
    scalars,
    smooth,
)
from tf_fullbatch.core import trees
from tf_fullbatch.core.penalties import PENALTIES, Penalty

OPERATORS = tuple(name for name in PENALTIES if name != "none")


class CurvatureTest(ObjectiveCase):
    @parameterized.parameters(*HIDDEN)
    def test_hvp_is_the_mean_over_micro_batches_of_explicit_hessians(self, name: str) -> None:
        problem = smooth(*HIDDEN[name]())
        found, v = asked(problem), random_tree(problem.theta)
        self.assert_product(found.hvp(None, v), mean_hessian(problem, 8), v)

    @parameterized.parameters("dense", "batch norm", "regularizers")
    def test_ggn_is_the_mean_over_micro_batches(self, name: str) -> None:
        problem = smooth(*HIDDEN[name]())
        found, v = asked(problem), random_tree(problem.theta)
        expected = sum(
            len(p.inputs) / SAMPLES * matrix(problem, "ggn", p) for p in micro_batches(INPUTS, LABELS, 8)
        )
        self.assert_product(found.hvp(None, v, "ggn"), expected, v)

    @parameterized.parameters("dense", "layer norm")
    def test_any_micro_batches_give_one_hessian_where_samples_do_not_mix(self, name: str) -> None:
        problem = smooth(*HIDDEN[name]())
        whole, v = mean_hessian(problem, SAMPLES), random_tree(problem.theta)
        for size in (3, 8, 100):
            self.assert_product(asked(problem, size).hvp(None, v), whole, v)

    def test_with_batch_norm_they_do_not(self) -> None:
        problem = smooth(*HIDDEN["batch norm"]())
        v = random_tree(problem.theta)
        found, other = (flat(asked(problem, size).hvp(None, v)) for size in (8, SAMPLES))
        self.assertGreater(np.linalg.norm(found - other), 1e-3 * np.linalg.norm(other))

    @parameterized.parameters("hessian", "ggn")
    def test_is_symmetric_and_linear(self, curvature: str) -> None:
        problem = smooth(*HIDDEN["both"]())
        found, (u, v) = asked(problem), (random_tree(problem.theta, seed) for seed in (1, 2))
        of_u, of_v = (found.hvp(None, w, curvature) for w in (u, v))
        self.assertAllClose(trees.dot(u, of_v), trees.dot(v, of_u), rtol=1e-12, atol=0)
        both = found.hvp(None, trees.add_scaled(u, -2.5, v), curvature)
        self.assert_close(flat(both), flat(of_u) - 2.5 * flat(of_v))

    def test_is_the_derivative_of_the_gradient(self) -> None:
        # Of the very gradient that training descends, BatchNorm and all; a quotient of order step^2.
        problem, step = smooth(*HIDDEN["both"]()), 1e-5
        found, v = asked(problem), random_tree(problem.theta)
        ahead, behind = (
            flat(found.value_and_gradient(trees.add_scaled(problem.theta, s, v)).gradient)
            for s in (step, -step)
        )
        self.assert_close(flat(found.hvp(None, v)), (ahead - behind) / (2 * step), 1e-7)

    def test_masked_places_weigh_by_their_number(self) -> None:
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Masking(), keras.layers.Dense(3, activation="softplus"), keras.layers.Dense(2)]
        network = keras.Sequential([keras.Input((4, 2)), *layers])
        problem = Problem(network, mean_squares, tf.TensorSpec([None, 4, 2], tf.float64))
        inputs, targets = GENERATOR.normal(size=(7, 4, 2)), GENERATOR.normal(size=(7, 4, 2))
        inputs[0, 1:] = inputs[4, :2] = 0
        found = objective(problem, inputs, targets, micro_batch_size=3)
        (whole,) = micro_batches(inputs, targets, 7)
        v = random_tree(problem.theta)
        self.assert_product(found.hvp(None, v), problem.hessian(whole, scalars()), v)
        self.assert_product(found.hvp(None, v, "ggn"), matrix(problem, "ggn", whole), v)
        point = problem.gradient(whole, scalars())
        self.assert_close(flat(found.value_and_gradient().gradient), flat(point.gradient))
        self.assertAllClose(found.loss(), point.loss, rtol=1e-13, atol=0)

    def test_elsewhere_than_at_the_present_weights(self) -> None:
        problem = smooth(*HIDDEN["batch norm"]())
        found, v = asked(problem), random_tree(problem.theta)
        there = trees.add_scaled(problem.theta, 0.3, random_tree(problem.theta, 5))
        points = [found.value_and_gradient(there), found.loss(there), found.hvp(there, v)]
        here = [found.value_and_gradient(), found.loss(), found.hvp(None, v)]
        for variable, value in zip(problem.network.trainable_variables, there, strict=True):
            variable.assign(value)
        moved = [found.value_and_gradient(), found.loss(), found.hvp(None, v)]
        for a, b, c in zip(*map(tf.nest.flatten, (points, moved, here)), strict=True):
            self.assertAllEqual(a, b)
            if np.any(a):  # accuracies and penalties may be equal
                self.assertFalse(np.size(a) > 1 and np.allclose(a, c))
        self.assert_product(found.hvp(None, v), mean_hessian(problem, 8), v)


class GradientTest(ObjectiveCase):
    @parameterized.parameters(*HIDDEN)
    def test_loss_and_gradient_are_means_over_micro_batches(self, name: str) -> None:
        problem = smooth(*HIDDEN[name]())
        found = asked(problem)
        point, parts = found.value_and_gradient(), micro_batches(INPUTS, LABELS, 8)
        by_hand = [(len(p.inputs) / SAMPLES, problem.gradient(p, scalars())) for p in parts]
        self.assert_close(flat(point.gradient), sum(w * flat(g.gradient) for w, g in by_hand))
        self.assertAllClose(point.loss, sum(w * g.loss for w, g in by_hand), rtol=1e-13, atol=0)
        square = sum(w * g.squared_norm for w, g in by_hand)
        self.assertAllClose(point.mean_squared_norm, square, rtol=1e-12, atol=0)
        hits = [
            np.sum(np.argmax(g.outputs, 1) == p.targets) for p, (_, g) in zip(parts, by_hand, strict=True)
        ]
        self.assertAllClose(point.accuracy, sum(hits) / SAMPLES, rtol=1e-14, atol=0)
        self.assertEqual(float(point.penalty), 0.0)
        self.assertAllClose(found.loss(), point.loss, rtol=1e-13, atol=0)

    @parameterized.product(name=OPERATORS, full=(0.0, 0.3))
    def test_penalised_gradient(self, name: str, full: float) -> None:
        problem, when = smooth(*HIDDEN["batch norm"]()), scalars(full=full)
        found, penalty = asked(problem, when=when), Penalty(name=name, epsilon=1e-3)
        point = found.value_and_gradient(penalty=penalty)
        plain = found.value_and_gradient()
        whole = plain.gradient if full else None
        parts = micro_batches(INPUTS, LABELS, 8)
        by_hand = [
            (len(p.inputs) / SAMPLES, problem.gradient(p, when, whole, penalty=penalty)) for p in parts
        ]
        self.assert_close(flat(point.gradient), sum(w * flat(g.gradient) for w, g in by_hand), 1e-10)
        self.assertAllClose(point.loss, plain.loss, rtol=1e-13, atol=0)
        squares = 0.5 * float(plain.mean_squared_norm) + full * float(trees.squared_norm(plain.gradient))
        self.assertAllClose(point.penalty, 0.8 / 8 * squares, rtol=1e-12, atol=0)
        self.assertGreater(np.linalg.norm(flat(point.gradient) - flat(plain.gradient)), 1e-4)

    def test_figures_of_each_micro_batch(self) -> None:
        problem, penalty = smooth(*HIDDEN["batch norm"]()), Penalty(name="nested_tape")
        for size, of in ((8, None), (5, penalty), (100, None)):
            figures = asked(problem, size).micro_batches(penalty=of)
            parts = micro_batches(INPUTS, LABELS, size)
            by_hand = [problem.gradient(p, scalars(), penalty=of) for p in parts]
            self.assertAllClose(figures.loss, [g.loss for g in by_hand], rtol=1e-13, atol=0)
            self.assertAllClose(figures.squared_norm, [g.squared_norm for g in by_hand], rtol=1e-12, atol=0)
            self.assertAllEqual(figures.samples, [len(p.inputs) for p in parts])
            self.assertAllEqual(figures.finite, np.ones(len(parts)))

    def test_what_is_not_finite_is_told_micro_batch_by_micro_batch(self) -> None:
        inputs = INPUTS.copy()
        inputs[9, 2] = np.nan
        figures = objective(smooth(), inputs, LABELS, micro_batch_size=5).micro_batches()
        self.assertAllEqual(figures.finite, [1, 0, 1, 1, 1])
        self.assertAllEqual(np.isfinite(figures.loss), [True, False, True, True, True])
        self.assertAllEqual(figures.samples, [5, 5, 5, 5, 3])

    def test_one_step_of_several(self) -> None:
        problem = smooth(*HIDDEN["dropout"]())
        found = asked(problem, 4, step=2, batch_size=9)  # samples 18 to 22
        parts = [
            part._replace(sample_ids=part.sample_ids + 18)
            for part in micro_batches(INPUTS[18:], LABELS[18:], 4)
        ]
        by_hand = [problem.gradient(p, scalars()) for p in parts]
        expected = 4 / 5 * flat(by_hand[0].gradient) + 1 / 5 * flat(by_hand[1].gradient)
        self.assert_close(flat(found.value_and_gradient().gradient), expected)
        self.assertAllEqual(found.micro_batches().samples, [4, 1])

    def test_augmentation_is_that_of_the_step_in_every_question_and_noise_is_left_out(self) -> None:
        def shift(x: tf.Tensor, ids: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
            return x + tf.cast(ids + epoch, x.dtype)[:, tf.newaxis] / 10

        problem = smooth(augmentation=shift, multiplicative_noise=0.5, seed=4)
        when = scalars(step=6)._replace(epoch=tf.constant(3, tf.int64))
        found, v = asked(problem, when=when), random_tree(problem.theta)
        (whole,) = micro_batches(INPUTS, LABELS, SAMPLES)
        prepared = problem.loss.prepared(whole, when)
        self.assertAllClose(prepared.inputs, shift(INPUTS, np.arange(SAMPLES), 3), rtol=1e-15, atol=0)
        self.assertIsNotNone(prepared.noise)
        calm = smooth(augmentation=shift, seed=4)
        self.assert_product(found.hvp(None, v), calm.hessian(calm.loss.prepared(whole, when), when), v)
        expected = calm.gradient(whole, when)
        self.assert_close(flat(found.value_and_gradient().gradient), flat(expected.gradient))
        self.assertAllClose(found.loss(), expected.loss, rtol=1e-13, atol=0)


if __name__ == "__main__":
    tf.test.main()
