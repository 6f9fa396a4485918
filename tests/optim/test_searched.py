"""Methods with a line search as training runs them: what they cost, what they go down, refusals; ends with options that
`conformance` leaves out."""

from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.optim.conformance.problems import DECAY, logistic_minimum, some_classes
from tf_fullbatch import FullBatchModel
from tf_fullbatch.config.cli_flags import parse
from tf_fullbatch.core.objective import Point
from tf_fullbatch.errors import NoStepError, SearchFailedError, UserError
from tf_fullbatch.optim.descent import At
from tf_fullbatch.optim.rules.fista import Fista
from tf_fullbatch.optim.rules.lbfgs import LBFGS
from tf_fullbatch.optim.rules.newton_cg import NewtonCG, truncated_cg
from tf_fullbatch.optim.rules.nonlinear_cg import NonlinearCG
from tf_fullbatch.optim.rules.search_optimizer import SearchOptimizer
from tf_fullbatch.optim.rules.searched_gradient_descent import SearchedGradientDescent

X, Y = some_classes(60)
ROWS: tuple[tuple[type[SearchOptimizer], dict[str, Any], int], ...] = (
    (LBFGS, {"line_search": "hager_zhang", "damping": 0.0}, 25),
    (NonlinearCG, {"line_search": "strong_wolfe", "beta": "polak_ribiere"}, 25),
    (NonlinearCG, {"line_search": "strong_wolfe", "beta": "hestenes_stiefel"}, 25),
    (NewtonCG, {"curvature": "ggn", "damping": 1e-4, "line_search": "strong_wolfe"}, 12),
    (Fista, {"learning_rate": 1.0, "restart": "function", "line_search": "none"}, 100),
    (SearchedGradientDescent, {"learning_rate": 1.0, "line_search": "hager_zhang", "momentum": 0.5}, 80),
)
"""(method, settings, steps that bring it to the minimum of a logistic regression), beside those of `conformance`."""


def network(*, normalised: bool = False, dropout: float = 0.0) -> keras.Model:
    """A logistic regression; or a network with batch normalisation."""
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(4, activation="tanh"), keras.layers.BatchNormalization()]
    drops = [keras.layers.Dropout(dropout)] if dropout else []
    return keras.Sequential([keras.Input((5,)), *(hidden if normalised else drops), keras.layers.Dense(3)])


def model(net: keras.Model, optimizer: keras.optimizers.Optimizer, **settings: Any) -> FullBatchModel:
    found = FullBatchModel(net, **{"micro_batch_size": 25} | settings)
    found.compile(optimizer=optimizer, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return found


def made(kind: type[SearchOptimizer], **settings: Any) -> SearchOptimizer:
    return kind(**{"learning_rate": 0.1} | settings)


def values(net: keras.Model) -> np.ndarray:
    return np.concatenate([np.ravel(v) for v in net.get_weights()])


class LogisticRegressionTest(Float64Case):
    @parameterized.parameters(*ROWS)
    def test_ends_where_scipy_does(self, kind: type[SearchOptimizer], settings: dict, steps: int) -> None:
        net = network()
        trained = model(net, made(kind, weight_decay=DECAY, **settings))
        history = trained.fit(X, Y, epochs=steps, verbose=0).history
        w = values(net)
        loss = float(trained.objective(X, Y).loss()) + DECAY / 2 * w @ w
        least = logistic_minimum(DECAY).value
        self.assertLess(abs(loss - least), 1e-6 if kind is SearchedGradientDescent else 1e-9)
        self.assertLess(history["loss"][5], history["loss"][0])


class DescentTest(Float64Case):
    @parameterized.product(
        kind=(LBFGS, NonlinearCG, NewtonCG, SearchedGradientDescent), penalty=("none", "nested_tape")
    )
    def test_each_step_lowers_the_penalised_loss_of_a_network_with_batch_normalisation(
        self, kind: type[SearchOptimizer], penalty: str
    ) -> None:
        net = network(normalised=True)
        settings = {"penalty": penalty, **({"penalty_strength": 3.0} if penalty != "none" else {})}
        trained = model(net, made(kind), **settings)
        seen: list[float] = []

        class See(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                seen.append(trained.last_step["penalised_objective"])

        trained.fit(X, Y, epochs=8, verbose=0, callbacks=[See()])
        self.assertEqual(sorted(seen, reverse=True), seen)
        self.assertLess(seen[-1], seen[0] - 0.05)

    def test_moving_averages_are_those_of_the_steps_that_were_made(self) -> None:
        net = network(normalised=True)
        other = network(normalised=True)
        model(net, made(LBFGS)).fit(X, Y, epochs=1, verbose=0)
        model(other, keras.optimizers.SGD(0.1)).fit(X, Y, epochs=1, verbose=0)
        for mine, its in zip(net.non_trainable_variables, other.non_trainable_variables, strict=True):
            self.assertAllEqual(mine.numpy(), its.numpy())

    @parameterized.product(kind=(LBFGS, NonlinearCG, SearchedGradientDescent), normalised=(False, True))
    def test_what_a_search_has_asked_where_it_ends_is_not_asked_again(
        self, kind: type[SearchOptimizer], normalised: bool
    ) -> None:
        # With a metric of one's own every step makes its pass; without one, all but the first have it from the search.
        ends, spent = [], []
        for metrics in ([], ["accuracy"]):
            net = network(normalised=normalised)
            trained = model(net, made(kind, line_search="strong_wolfe"))
            if metrics:
                loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
                trained.compile(optimizer=made(kind, line_search="strong_wolfe"), loss=loss, metrics=metrics)
            records: list[dict[str, float]] = []
            callback = keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs, t=trained, r=records: r.extend(t.last_steps)
            )
            trained.fit(X, Y, epochs=6, verbose=0, callbacks=[callback])
            ends.append(np.concatenate([np.ravel(w) for w in net.get_weights()]))
            spent.append(records)
        self.assertAllEqual(*ends)
        for name in (
            "loss",
            "accuracy",
            "gradient_norm",
            "mean_squared_micro_batch_gradient_norm",
            "samples",
        ):
            self.assertAllEqual([step[name] for step in spent[0]], [step[name] for step in spent[1]])
        saved = [b["gradient_evaluations"] - a["gradient_evaluations"] for a, b in zip(*spent, strict=True)]
        self.assertEqual(saved[0], 0)
        self.assertContainsSubset(saved[1:], {0, 1})
        self.assertIn(1, saved)

    def test_weights_that_were_changed_meanwhile_are_asked_about(self) -> None:
        net, other = network(), network()
        for one, moves in ((net, True), (other, False)):
            trained = model(one, made(LBFGS))
            trained.fit(X, Y, epochs=1, verbose=0)
            elsewhere = [w + 0.5 for w in one.get_weights()]
            if moves:  # within one fit
                change = keras.callbacks.LambdaCallback(
                    on_epoch_end=lambda epoch, logs, n=one, w=elsewhere: (
                        n.set_weights(w) if epoch == 1 else None
                    )
                )
                trained.fit(X, Y, initial_epoch=1, epochs=3, verbose=0, callbacks=[change])
            else:
                trained.fit(X, Y, initial_epoch=1, epochs=2, verbose=0)
                one.set_weights(elsewhere)
                trained.fit(X, Y, initial_epoch=2, epochs=3, verbose=0)
        self.assertAllEqual(values(net), values(other))

    def test_what_a_search_spends_is_counted(self) -> None:
        spent = {}
        for search, settings in (
            ("none", {}),
            ("armijo", {}),
            ("strong_wolfe", {}),
            ("polyak", {"lowest": 0.5}),
        ):
            trained = model(network(), made(LBFGS, line_search=search, line_search_options=settings))
            trained.fit(X, Y, epochs=1, verbose=0)
            spent[search] = trained.last_step["gradient_evaluations"]
        self.assertEqual((spent["none"], spent["polyak"]), (1, 1))
        self.assertAlmostEqual(3 * spent["armijo"], round(3 * spent["armijo"]), delta=1e-6)
        self.assertGreater(spent["armijo"], 1)
        self.assertEqual(spent["strong_wolfe"] % 1, 0)

    @parameterized.parameters(LBFGS, NonlinearCG)
    def test_stays_where_nothing_is_lower_that_the_loss_could_show(self, kind: type[SearchOptimizer]) -> None:
        net = network()
        trained = model(net, made(kind, weight_decay=DECAY))
        trained.fit(X, Y, epochs=60, verbose=0)
        there = values(net)
        trained.fit(X, Y, epochs=3, verbose=0)
        self.assertAllClose(values(net), there, rtol=0, atol=1e-7)
        point = trained.objective(X, Y).value_and_gradient()
        gradient = np.concatenate([np.ravel(g) for g in point.gradient]) + DECAY * there
        self.assertLess(np.linalg.norm(gradient), 1e-7)

    def test_a_search_that_fails_twice_ends_with_its_name_and_changes_nothing(self) -> None:
        class Wall:
            """A loss that is infinite everywhere but here."""

            penalty = None

            def __init__(self) -> None:
                self.evaluations = 0.0

            def value_and_gradient(self, theta: Any, penalty: Any) -> Any:
                self.evaluations += 1
                zero = tf.zeros([], tf.float64)
                return Point(zero + np.inf, theta, zero, zero, zero)

        variable = keras.Variable(np.ones(3))
        optimizer = made(LBFGS)
        optimizer.build([variable])
        before = [v.numpy() for v in optimizer.variables]
        at = At(tf.ones([], tf.float64), tf.ones([], tf.float64), [tf.ones(3, tf.float64)])
        with self.assertRaisesRegex(SearchFailedError, "step 1 of lbfgs: no lower value was found along"):
            optimizer.descent([variable]).step(at, cast(Any, Wall()))
        self.assertAllEqual(variable.numpy(), np.ones(3))
        for value, now in zip(before, optimizer.variables, strict=True):
            self.assertAllEqual(value, now.numpy())


class FirstLengthsTest(tf.test.TestCase, parameterized.TestCase):
    """In float32, whose rounding hides a step that is short enough."""

    def setUp(self) -> None:
        super().setUp()
        self.assertEqual(keras.config.floatx(), "float32")

    @parameterized.product(rate=(0.0, 1e-9), search=("armijo", "strong_wolfe"))
    def test_a_rate_of_nothing_holds_no_search_up(self, rate: float, search: str) -> None:
        """A warmup's first rate is 0."""
        rates = keras.optimizers.schedules.ExponentialDecay(rate, 10, 1.0)
        trained = model(network(), SearchedGradientDescent(rates, line_search=search))
        losses = trained.fit(X, Y, epochs=4, verbose=0).history["loss"]
        self.assertFalse(trained.optimizer.converged)
        self.assertLess(losses[3], losses[0] - 1e-3)

    def test_a_buffer_that_leads_uphill_after_a_short_step_is_no_convergence(self) -> None:
        trained = model(network(), made(SearchedGradientDescent, momentum=0.9, nesterov=False))
        trained.fit(X, Y, epochs=1, verbose=0)
        by_name = {v.name: v for v in trained.optimizer.variables}
        by_name["momentum"].assign(-1e3 * trained.optimizer.state.kept()["momentum"])
        by_name["last_length"].assign(1e-9)
        before = float(trained.objective(X, Y).loss())
        trained.fit(X, Y, epochs=1, verbose=0)
        self.assertFalse(trained.optimizer.converged)
        self.assertEqual(int(by_name["fallbacks"]), 1)
        self.assertLess(float(trained.objective(X, Y).loss()), before)

    def test_weights_that_are_not_finite_are_no_failed_search(self) -> None:
        net = network()
        options = {"lowest": -1e40, "most_length": 1e40}
        trained = model(net, made(SearchedGradientDescent, line_search="polyak", line_search_options=options))
        before = values(net)
        trained.optimizer.build(net.trainable_variables)
        at = At(tf.ones([]), tf.ones([]), [tf.ones(v.shape) for v in net.trainable_variables])
        descent = trained.optimizer.descent(net.trainable_variables)
        with self.assertRaisesRegex(NoStepError, "not finite") as caught:
            descent.step(at, trained.objective(X, Y))
        self.assertNotIsInstance(caught.exception, SearchFailedError)
        self.assertAllEqual(values(net), before)


class RangesTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        (LBFGS, {"history": 0}), (LBFGS, {"damping": 1.0}), (NonlinearCG, {"restart_every": -1})
    )
    def test_are_checked_in_python(self, kind: type[SearchOptimizer], settings: dict) -> None:
        with self.assertRaisesRegex(UserError, "accepted are"):
            made(kind, **settings)

    def test_a_rate_that_a_search_ignores_is_refused(self) -> None:
        arguments = ["main", "--momentum=0", "--nonesterov", "--line_search=polyak"]
        self.assertIsNotNone(parse(arguments))
        with self.assertRaisesRegex(UserError, "learning_rate.*no effect"):
            parse([*arguments, "--learning_rate=7"])

    def test_values_that_are_compared_have_to_be_of_one_function(self) -> None:
        trained = model(network(), made(SearchedGradientDescent, line_search="non_monotone"))
        with self.assertRaisesRegex(UserError, "it goes down one function"):
            trained.fit(X, Y, batch_size=25, epochs=1, verbose=0)


class TruncatedCGTest(Float64Case):
    def solved(self, matrix: np.ndarray, gradient: np.ndarray, most: int = 50) -> tuple[np.ndarray, int]:
        made = 0

        def product(vector: tf.Tensor) -> tf.Tensor:
            nonlocal made
            made += 1
            return tf.linalg.matvec(tf.constant(matrix), vector)

        return truncated_cg(product, tf.constant(gradient), most).numpy(), made

    def test_solves_to_the_tolerance_that_the_gradient_asks_for(self) -> None:
        root = np.random.default_rng(0).normal(size=(8, 8))
        matrix = root @ root.T + np.eye(8)
        for size in (1.0, 1e-2, 1e-6):
            g = np.random.default_rng(1).normal(size=8) * size
            found, _ = self.solved(matrix, g)
            norm = np.linalg.norm(g)
            self.assertLessEqual(np.linalg.norm(matrix @ found + g), min(0.5, norm**0.5) * norm * (1 + 1e-9))
            self.assertLess(found @ g, 0)
        self.assertEqual(self.solved(matrix, g, most=2)[1], 2)

    def test_negative_curvature_ends_it_with_a_direction_of_descent(self) -> None:
        g = np.array([1.0, 2.0, 3.0])
        found, made = self.solved(-np.eye(3), g)
        self.assertAllEqual(found, -g)
        self.assertEqual(made, 1)
        indefinite = np.diag([5.0, 1.0, -0.5])
        found, made = self.solved(indefinite, np.array([1.0, 1.0, 0.1]))
        self.assertLess(found @ np.array([1.0, 1.0, 0.1]), 0)
        self.assertGreater(made, 1)


class RefusedTest(Float64Case):
    def test_what_is_no_gradient_of_one_function(self) -> None:
        for net, settings, words in (
            (network(), {"clip_norm": 0.25}, "leave out clip_norm=0.25"),
            (network(), {"additive_noise": 0.1}, "leave out additive_noise=0.1"),
            (network(), {"perturbation": "sam"}, "leave out perturbation=sam"),
            (
                network(),
                {"penalty": "forward_differences", "penalty_strength": 0.5},
                "leave out penalty=forward_differences",
            ),
            (network(dropout=0.5), {}, "leave out layers that draw at random"),
        ):
            with self.assertRaisesRegex(UserError, words):
                model(net, made(LBFGS), **settings).fit(X, Y, epochs=1, verbose=0)
        with self.assertRaisesRegex(UserError, "curvature=ggn and penalty=nested_tape"):
            exact = {"penalty": "nested_tape", "penalty_strength": 0.5}
            model(network(), made(NewtonCG, curvature="ggn"), **exact).fit(X, Y, epochs=1, verbose=0)
        with self.assertRaisesRegex(UserError, "updates per pass"):
            model(network(), made(NonlinearCG)).fit(X, Y, batch_size=25, epochs=1, verbose=0)
        # One step alone is one function.
        model(network(), made(SearchedGradientDescent)).fit(X, Y, batch_size=25, epochs=1, verbose=0)

    def test_options(self) -> None:
        for settings, words in (
            ({"line_search": "golden"}, "--line_search=golden: accepted are none, armijo"),
            ({"line_search_options": {"wide": 1}}, "strong_wolfe has no option 'wide'"),
            ({"line_search": "none", "line_search_options": {"most": 1}}, "no effect"),
            ({"weight_decay": -1.0}, "weight_decay=-1.0"),
        ):
            with self.assertRaisesRegex(UserError, words):
                LBFGS(**settings)
        with self.assertRaisesRegex(UserError, "curvature='fisher'"):
            NewtonCG(curvature="fisher")

    def test_is_saved_and_made_again(self) -> None:
        for kind, settings, _ in ROWS:
            optimizer = made(kind, **settings)
            again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
            self.assertIs(type(again), kind)
            self.assertEqual(again.get_config(), optimizer.get_config())
            self.assertEqual(again.search_rule, optimizer.search_rule)
            self.assertEqual(again.direction_rule, optimizer.direction_rule)


if __name__ == "__main__":
    tf.test.main()
