"""Figures of single samples: gradient norms, GraNd and EL2N against each sample by itself, in whatever order."""

import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.analysis.moments import GivenMoment, measured
from tests.core.objectives import INPUTS, LABELS, SAMPLES, ObjectiveCase, asked
from tests.core.problems import HIDDEN, Problem, cross_entropy, objective, smooth
from tests.networks import CLASSES, FEATURES
from tf_fullbatch.analysis.el2n import el2n_scores
from tf_fullbatch.analysis.grand import grand_scores
from tf_fullbatch.analysis.measures.base import MeasureSettings
from tf_fullbatch.analysis.measures.el2n import El2nSettings
from tf_fullbatch.analysis.measures.grand import AT_INITIALISATION, GrandSettings
from tf_fullbatch.analysis.measures.per_example import PerExampleSettings
from tf_fullbatch.analysis.per_example import per_example_norms
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.training_loss import OutputLoss, TrainingLoss
from tf_fullbatch.errors import UserError

WEIGHTS = np.random.default_rng(2).uniform(0.2, 3.0, SAMPLES)


def moved(name: str) -> Problem:
    """Its moving averages are no longer those of a new network."""
    problem = smooth(*HIDDEN[name]())
    for variable in problem.network.non_trainable_variables:
        if "moving" in variable.path:
            variable.assign(np.random.default_rng(4).uniform(0.5, 1.5, variable.shape))
    return problem


def by_samples(problem: Problem, **settings: Any) -> Objective:
    return asked(problem, 1, statistics="frozen", **settings)


def norms_one_by_one(problem: Problem, weights: np.ndarray, *, added: bool) -> np.ndarray:
    """Of each sample's weighted loss, with or without what layers add, by Keras in inference."""
    found = []
    for x, y, weight in zip(INPUTS, LABELS, weights, strict=True):
        with tf.GradientTape() as tape:
            outputs = problem.network(x[None], training=False)
            loss = weight * tf.reduce_sum(cross_entropy(tf.constant([y]), outputs))
            loss += sum(problem.network.losses) if added else 0
        variables = [v.value for v in problem.network.trainable_variables]
        leaves = tape.gradient(loss, variables)
        found.append(np.sqrt(sum(np.sum(np.square(leaf)) for leaf in leaves)))
    return np.array(found)


class NormsTest(ObjectiveCase):
    @parameterized.parameters("batch norm", "dropout", "regularizers")
    def test_are_those_of_each_sample_in_inference(self, name: str) -> None:
        problem = moved(name)
        found = by_samples(problem)
        expected = norms_one_by_one(problem, np.ones(SAMPLES), added=True)
        self.assertAllClose(per_example_norms(found), expected, rtol=1e-12, atol=0)
        self.assertEqual(found.evaluations, 1)

    def test_weights_and_regularizers_are_of_the_norms_but_not_of_grand(self) -> None:
        problem = moved("regularizers")
        found = by_samples(problem, sample_weight=WEIGHTS)
        expected = norms_one_by_one(problem, WEIGHTS, added=True)
        self.assertAllClose(per_example_norms(found), expected, rtol=1e-12, atol=0)
        expected = norms_one_by_one(problem, np.ones(SAMPLES), added=False)
        self.assertAllClose(grand_scores(found), expected, rtol=1e-12, atol=0)
        self.assertEqual(found.evaluations, 2)

    def test_squares_sum_up_to_the_covariance(self) -> None:
        # Where samples do not mix: mean |g_i|^2 is the mean squared norm of micro-batches of one.
        found = by_samples(smooth())
        squares = np.mean(per_example_norms(found) ** 2)
        self.assertAllClose(squares, found.value_and_gradient().mean_squared_norm, rtol=1e-12, atol=0)

    @parameterized.parameters(
        {"shuffle": True},
        {"shuffle": True, "seed": 5},
        {"on_device": False, "chunk_micro_batches": 3},
        {"on_device": False, "shuffle": True},
    )
    def test_are_in_the_arrays_order_however_they_come(self, **settings: Any) -> None:
        problem = moved("batch norm")
        for scores in (per_example_norms, el2n_scores):
            expected = scores(by_samples(problem))
            self.assertAllClose(scores(by_samples(problem, **settings)), expected, rtol=1e-13, atol=0)
        self.assertGreater(np.std(np.diff(expected)), 0.01)

    def test_large_sample_numbers_keep_their_order(self) -> None:
        # In one float64 the last three would be one number.
        ids = np.array([2**60 + 1, 2**60, 5, 2**60 + 2], np.int64)
        problem = smooth()
        settings = {"micro_batch_size": 1, "statistics": "frozen"}
        found = objective(problem, INPUTS[:4], LABELS[:4], sample_ids=ids, **settings)
        in_order = objective(problem, INPUTS[[2, 1, 0, 3]], LABELS[[2, 1, 0, 3]], **settings)
        self.assertAllEqual(per_example_norms(found), per_example_norms(in_order))

    def test_other_objectives_are_refused(self) -> None:
        problem = moved("batch norm")
        for scores in (per_example_norms, grand_scores, el2n_scores):
            with self.assertRaisesRegex(UserError, "statistics='batch': .* ask for statistics='frozen'"):
                scores(asked(problem, 1))
            with self.assertRaisesRegex(
                UserError, "up to 8 samples: .* ask for micro_batch_size=1"
            ) as caught:
                scores(asked(problem, 8, statistics="frozen"))
            self.assertNotIn("\n", str(caught.exception))


def of_probabilities(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return keras.losses.sparse_categorical_crossentropy(targets, outputs)


def of_one_hot(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.nn.softmax_cross_entropy_with_logits(targets, outputs)


def of_column(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return cross_entropy(targets[:, 0], outputs)


def squares(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum((outputs[:, 0] - tf.cast(targets, outputs.dtype))[:, None] ** 2, axis=-1)


class El2nTest(ObjectiveCase):
    def expected(self, problem: Problem, *, logits: bool = True) -> np.ndarray:
        outputs = problem.network(INPUTS, training=False).numpy()
        if logits:
            outputs = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
        return np.linalg.norm(outputs - np.eye(CLASSES)[LABELS], axis=1)

    @parameterized.parameters("batch norm", "dropout")
    def test_is_the_distance_from_the_label(self, name: str) -> None:
        problem = moved(name)
        found = by_samples(problem, sample_weight=WEIGHTS)
        self.assertAllClose(el2n_scores(found), self.expected(problem), rtol=1e-12, atol=0)
        self.assertAllClose(found.evaluations, 1 / 3, rtol=1e-15)

    def test_outputs_may_be_probabilities(self) -> None:
        problem = smooth(keras.layers.Dense(CLASSES), sample_loss=of_probabilities)
        problem = Problem(
            keras.Sequential([problem.network, keras.layers.Softmax()]), sample_loss=of_probabilities
        )
        expected = self.expected(problem, logits=False)
        self.assertAllClose(el2n_scores(by_samples(problem)), expected, rtol=1e-12, atol=0)

    @parameterized.parameters((of_one_hot, np.eye(CLASSES)[LABELS]), (of_column, LABELS[:, None]))
    def test_targets_may_be_one_hot_or_a_column(self, sample_loss: Any, targets: np.ndarray) -> None:
        problem = smooth(sample_loss=sample_loss)
        found = objective(problem, INPUTS, targets, micro_batch_size=1, statistics="frozen")
        self.assertAllClose(el2n_scores(found), self.expected(problem), rtol=1e-12, atol=0)

    def test_no_classes_are_refused(self) -> None:
        inputs = keras.Input((FEATURES,))
        one, other = (keras.layers.Dense(1)(inputs) for _ in range(2))
        several = Problem(keras.Model(inputs, [one, other]))
        several.loss.training_loss = TrainingLoss({"one": OutputLoss(squares), "other": None})
        for problem, said in (
            (Problem(keras.Model(inputs, one), sample_loss=squares), r"outputs \(1, 1\) and targets \(1,\)"),
            (several, "has several outputs"),
        ):
            with self.assertRaisesRegex(
                UserError, rf"EL2N takes outputs \[batch, classes\].*{said}"
            ) as caught:
                el2n_scores(by_samples(problem))
            self.assertNotIn("\n", str(caught.exception))


class MeasuresTest(ObjectiveCase):
    @parameterized.parameters(
        (PerExampleSettings(), per_example_norms, "per_example_gradient_norm"),
        (GrandSettings(), grand_scores, "grand"),
        (El2nSettings(), el2n_scores, "el2n"),
    )
    def test_sum_up(self, settings: MeasureSettings, scores: Any, name: str) -> None:
        moment = GivenMoment(moved("batch norm"))
        found, each = measured(settings.build(), moment), scores(moment.by_samples())
        self.assertEqual({quantity for quantity, _ in found}, set(settings.quantities))
        self.assertTrue(settings.in_inference)
        self.assertEqual(found[f"{name}_mean", ""], each.mean())
        self.assertEqual(found[f"{name}_standard_deviation", ""], each.std())
        self.assertEqual(found[f"{name}_max", ""], each.max())
        self.assertEqual(found[f"{name}_quantile", "0.5"], np.median(each))
        self.assertAllClose(found[f"{name}_quantile", "0.25"], np.sort(each)[[5, 6]].mean(), rtol=1e-14)
        self.assertLen(found, 3 + 5)

    def test_grand_warns_once_before_the_first_update(self) -> None:
        measure, problem = GrandSettings().build(), smooth()
        with self.assertWarnsRegex(UserWarning, "does not reproduce") as caught:
            measured(measure, GivenMoment(problem, step=0))
        self.assertEqual(str(caught.warning), AT_INITIALISATION)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            measured(measure, GivenMoment(problem, step=0))
            measured(GrandSettings().build(), GivenMoment(problem, step=1))
