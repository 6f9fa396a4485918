"""`Goals`, the callback: the pass after which `fit` ends, however steps come together, and what it refuses."""

from collections.abc import Mapping
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

import tf_fullbatch
from tests.float64 import Float64Case
from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.optim.rules.lbfgs import LBFGS
from tf_fullbatch.optim.rules.newton_cg import NewtonCG
from tf_fullbatch.optim.rules.search_optimizer import SearchOptimizer
from tf_fullbatch.optim.rules.searched_descent import SearchedDescent

X = np.random.default_rng(0).normal(size=(60, 5))
Y = np.random.default_rng(1).integers(0, 3, 60)
SEPARATE = np.argmax(X[:, :3], axis=1)


def model(optimizer: Any = None, *, dropout: float = 0.0, **settings: Any) -> tf_fullbatch.FullBatchModel:
    """A logistic regression."""
    keras.utils.set_random_seed(0)
    drops = [keras.layers.Dropout(dropout)] if dropout else []
    network = keras.Sequential([keras.Input((5,)), *drops, keras.layers.Dense(3)])
    found = tf_fullbatch.FullBatchModel(network, **{"micro_batch_size": 10} | settings)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found.compile(optimizer=optimizer or tf_fullbatch.GradientDescent(0.5), loss=loss)
    return found


def values(made: tf_fullbatch.FullBatchModel) -> np.ndarray:
    return np.concatenate([np.ravel(weight) for weight in made.network.get_weights()])


class Steps(keras.callbacks.Callback):
    """Every step; it makes each a call of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[dict] = []

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.records += self.model.last_steps


class SaysConverged(keras.callbacks.Callback):
    """An optimizer that says so in every step."""

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.model.optimizer.converged = True

    def steps_before_a_look(self, steps_completed: int) -> int:
        return 1


class GoalsTest(Float64Case):
    def passes(
        self, y: np.ndarray, *callbacks: keras.callbacks.Callback, epochs: int = 40, **fit: Any
    ) -> Any:
        trained = model()
        trained.fit(X, y, epochs=epochs, verbose=0, callbacks=list(callbacks), **fit)
        return trained

    def test_ends_after_the_first_pass_that_reaches_it_however_steps_come_together(self) -> None:
        seen = Steps()
        self.passes(SEPARATE, seen, batch_size=25)
        rows = [seen.records[i : i + 3] for i in range(0, 120, 3)]
        sizes = np.array([25, 25, 10]) / 60
        means = {
            n: np.array([[s[n] for s in row] for row in rows]) @ sizes for n in ("loss", "gradient_norm")
        }
        for name, mean in means.items():
            limit = float(mean[17])
            first = int(np.flatnonzero(mean <= limit + 1e-12)[0])
            ends = []
            for others in ([], [Steps()]):
                goals = tf_fullbatch.Goals(**{f"stop_at_{name}": limit + 1e-12})
                trained = self.passes(SEPARATE, *others, goals, batch_size=25)
                reached = goals.reached
                assert reached is not None
                self.assertEqual((f"stop_at_{name}", 3 * first + 3, first + 1), (reached.name, *reached[3:]))
                self.assertAlmostEqual(mean[first], reached.value, delta=1e-14)
                self.assertEqual(3 * first + 3, trained.steps_completed)
                ends.append(values(trained))
            plain = values(self.passes(SEPARATE, epochs=first + 1, batch_size=25))
            self.assertAllEqual(ends[0], plain)
            self.assertAllEqual(ends[1], plain)

    def test_ends_after_perfect_passes(self) -> None:
        seen = Steps()
        self.passes(SEPARATE, seen, epochs=150)
        perfect = np.array([step["accuracy"] == 1 for step in seen.records])
        self.assertFalse(perfect[0])
        first = next(i for i in range(2, 150) if perfect[i - 2 : i + 1].all())
        goals = tf_fullbatch.Goals(stop_after_perfect=3)
        self.assertEqual(first + 1, self.passes(SEPARATE, goals, epochs=150).steps_completed)
        self.assertEqual((3, Outcome.STOPPED_BY_GOAL), (goals.reached.value, goals.outcome))

    def test_a_goal_that_is_not_reached_changes_nothing(self) -> None:
        goals = tf_fullbatch.Goals(stop_at_loss=-1.0, stop_after_perfect=3, stop_at_gradient_norm=0.0)
        self.assertAllEqual(values(self.passes(Y, goals)), values(self.passes(Y)))
        self.assertEqual((None, Outcome.COMPLETED), (goals.reached, goals.outcome))

    def test_it_begins_anew_with_each_fit(self) -> None:
        goals = tf_fullbatch.Goals(stop_after_perfect=2)
        trained = self.passes(SEPARATE, goals, epochs=150)
        before = trained.steps_completed
        trained.fit(X, SEPARATE, epochs=before + 50, initial_epoch=before, verbose=0, callbacks=[goals])
        self.assertEqual(before + 2, trained.steps_completed)

    def test_wrong_inputs(self) -> None:
        for settings, said in (
            ({"stop_after_perfect": 0}, "^stop_after_perfect=0: must be at least 1"),
            ({"stop_after_perfect": 1.5}, "^stop_after_perfect=1.5: must be a whole number"),
            ({"stop_at_gradient_norm": -1.0}, "^stop_at_gradient_norm=-1.0: must be at least 0"),
            ({"stop_at_loss": float("nan")}, "^stop_at_loss=nan: must be a finite number"),
        ):
            with self.assertRaisesRegex(UserError, said):
                tf_fullbatch.Goals(**settings)
        numbers = model()
        numbers.compile(optimizer=tf_fullbatch.GradientDescent(0.1), loss="mean_squared_error")
        goals = tf_fullbatch.Goals(stop_after_perfect=1)
        with self.assertRaisesRegex(UserError, "^stop_after_perfect=1: accuracy has no meaning"):
            numbers.fit(X, X[:, :3], verbose=0, callbacks=[goals])
        stock = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
        stock.compile(loss="mean_squared_error")
        with self.assertRaisesRegex(UserError, "^Goals: the model is a Sequential"):
            stock.fit(X, X[:, :3], verbose=0, callbacks=[goals])


class ConvergedTest(Float64Case):
    def test_a_search_that_stays_ends_the_training(self) -> None:
        goals, seen = tf_fullbatch.Goals(), Steps()
        trained = model(LBFGS(1.0, weight_decay=0.01))
        trained.fit(X, Y, epochs=500, verbose=0, callbacks=[seen, goals])
        self.assertLess(trained.steps_completed, 100)
        self.assertTrue(goals.converged)
        self.assertEqual(Outcome.CONVERGED, goals.outcome)
        updates = [step["update_norm"] for step in seen.records]
        self.assertEqual(0.0, updates[-1])
        self.assertNotIn(0.0, updates[:-1])
        point = trained.objective(X, Y).value_and_gradient(
            [tf.constant(w) for w in trained.network.get_weights()]
        )
        residual = [g + 0.01 * w for g, w in zip(point.gradient, trained.network.get_weights(), strict=True)]
        self.assertLess(max(float(tf.reduce_max(abs(r))) for r in residual), 1e-6)

    def test_a_step_begins_at_the_very_value_that_the_last_one_found(self) -> None:
        begun, found = [], []
        searched = SearchedDescent._searched

        def recorded(self: SearchedDescent, along: Any, value: float, *rest: Any, **named: Any) -> Any:
            made = searched(self, along, value, *rest, **named)
            begun.append(value)
            found.append(made.found.trial.value if made else value)
            return made

        with mock.patch.object(SearchedDescent, "_searched", recorded):
            model(LBFGS(1.0, weight_decay=0.01)).fit(
                X, Y, epochs=500, verbose=0, callbacks=[tf_fullbatch.Goals()]
            )
        self.assertGreater(len(begun), 10)
        self.assertEqual(found[:-1], begun[1:])
        steps = found[
            :-2
        ]  # the last two are those along the direction and the negative gradient that found nothing
        self.assertEqual(sorted(set(steps), reverse=True), steps)

    def test_a_goal_that_is_reached_in_the_same_pass_is_named(self) -> None:
        goals = tf_fullbatch.Goals(stop_at_loss=99.0)
        model(LBFGS(1.0)).fit(X, Y, epochs=9, verbose=0, callbacks=[SaysConverged(), goals])
        self.assertEqual((Outcome.STOPPED_BY_GOAL, False), (goals.outcome, goals.converged))

    def test_not_where_the_function_differs_from_step_to_step(self) -> None:
        def steps(made: tf_fullbatch.FullBatchModel, **fit: Any) -> int:
            made.fit(X, Y, epochs=3, verbose=0, callbacks=[SaysConverged(), tf_fullbatch.Goals()], **fit)
            return made.steps_completed

        def method() -> SearchOptimizer:
            return NewtonCG(1.0)

        self.assertEqual(1, steps(model(method())))
        self.assertEqual(6, steps(model(method()), batch_size=30))
        self.assertEqual(3, steps(model(method(), dropout=0.1)))
        self.assertEqual(3, steps(model()))  # it searches nothing


if __name__ == "__main__":
    tf.test.main()
