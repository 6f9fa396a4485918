"""Where every method ends on problems whose answer is known, and that it goes down where none is."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.optim.conformance import bounds, trainings
from tests.optim.conformance.methods import ELSEWHERE, ENTRIES, Method, labels, method, other_labels
from tests.optim.conformance.problems import DECAY, EIGENVALUES, PROBLEMS
from tf_fullbatch.optim.methods.registry import OPTIMIZERS

STEPS, FALLING_STEPS = 200, 400
SEARCHED_STEPS = {"gradient_descent": 100, "nonlinear_cg": 100, "fista": 200, "lbfgs": 30, "newton_cg": 30}
SOON = {"nonlinear_cg": 10, "lbfgs": 25, "newton_cg": 15}
"""Steps to the minimum of a quadratic of four eigenvalues, by each method's own search, and a few that stay there."""
GLOBAL = [label for label in (*labels(), *other_labels()) if not method(label).needs_convexity]
VALLEY = 5.0
"""Of Rosenbrock's function: 12.1 at the start, `(1 - x)^2 / 2` in the valley, which is 2.42 at the start's x."""


def steps_of(of: Method) -> int:
    if of.searches:
        return SEARCHED_STEPS[of.name]
    return STEPS if of.entry.constant else FALLING_STEPS


class EntriesTest(tf.test.TestCase):
    def test_every_optimizer_is_in_the_table(self) -> None:
        keras_examples = {name for name in ENTRIES if name.startswith("keras:")}
        self.assertEqual(set(ENTRIES) - keras_examples, set(OPTIMIZERS) - ELSEWHERE)
        self.assertTrue(keras_examples)
        self.assertEqual({label.partition(", ")[0] for label in labels()}, set(ENTRIES))


class KnownCase(Float64Case):
    def assert_reaches(self, label: str, name: str, floor: float, steps: int | None = None) -> None:
        """The least loss, to the share that `bounds` says, or to the rounding of the loss."""
        of, problem = method(label), PROBLEMS[name]()
        steps = steps or steps_of(of)
        decay = DECAY if of.is_decayed and name == "logistic" else 0.0
        minimum = problem.minimum(decay)
        model = trainings.model_of(of, problem, steps, decay=decay)

        def above() -> float:
            decayed = decay / 2 * np.sum(trainings.weights(model) ** 2)
            return float(model.objective(problem.inputs, problem.targets).loss()) + decayed - minimum.value

        start = above()
        model.fit(problem.inputs, problem.targets, epochs=steps, verbose=0)
        self.assertEqual(model.steps_completed, steps)
        share = bounds.left(of, minimum.curvatures, steps, start, trainings.weights(model))
        self.assertLess(share, 0.1)  # else it says little
        self.assertLessEqual(above(), share * start + floor)


class QuadraticTest(KnownCase):
    @parameterized.parameters(*labels())
    def test_ends_at_the_minimum(self, label: str) -> None:
        self.assert_reaches(label, "quadratic", 0.0, SOON.get(label))

    @parameterized.parameters("gradient_descent", "pnm")
    def test_linear_methods_end_where_powers_of_their_matrix_do(self, label: str) -> None:
        """Per eigenvalue h, `sum_i h (M_h^k)_00^2 |e_i|^2 / 2`, M_h the recursion of the weights and two buffers."""
        of, problem = method(label), PROBLEMS["quadratic"]()
        model = trainings.model_of(of, problem, STEPS)
        (kernel,) = model.network.get_weights()
        model.fit(problem.inputs, problem.targets, epochs=STEPS // 5, verbose=0)
        found = float(model.objective(problem.inputs, problem.targets).loss())
        answer, *_ = np.linalg.lstsq(problem.inputs, problem.targets)
        hessian = problem.inputs.T @ problem.inputs / len(problem.inputs)
        values, vectors = np.linalg.eigh(hessian)
        np.testing.assert_allclose(values[::-1], EIGENVALUES, rtol=1e-12)
        errors = vectors.T @ (kernel - answer)
        matrices = [bounds.matrix(label, of.entry.rate, h) for h in values]
        powers = [np.linalg.matrix_power(step, STEPS // 5)[0, 0] for step in matrices]
        self.assertAllClose(found, np.sum(values * np.square(powers) @ errors**2) / 2, rtol=1e-9, atol=0)


@pytest.mark.slow
class OtherKnownTest(KnownCase):
    @parameterized.parameters(*other_labels())
    def test_every_line_search_ends_at_the_minimum_of_a_quadratic(self, label: str) -> None:
        self.assert_reaches(label, "quadratic", 0.0)

    @parameterized.parameters(*labels(), *other_labels())
    def test_ends_at_the_minimum_of_a_logistic_regression(self, label: str) -> None:
        # The rounding of a loss of 1; Polyak's lengths grow where less is left than the bound is too low by.
        self.assert_reaches(label, "logistic", 100 * trainings.BELOW if "polyak" in label else 1e-14)

    @parameterized.parameters(*GLOBAL)
    def test_comes_into_rosenbrocks_valley_and_to_its_end(self, label: str) -> None:
        of, problem = method(label), PROBLEMS["rosenbrock"]()
        steps = STEPS if of.searches and of.name != "gradient_descent" else 3 * STEPS
        model = trainings.model_of(of, problem, steps)
        losses = model.fit(problem.inputs, problem.targets, epochs=steps, verbose=0).history["loss"]
        self.assertAllClose(losses[0], 12.1, rtol=1e-12)
        self.assertLess(losses[-1], losses[0] / VALLEY)
        if (of.is_exact and of.name != "gradient_descent") or (of.natural and of.search == "armijo"):
            self.assertLess(losses[-1], 1e-20)


@pytest.mark.slow
class NetworksTest(Float64Case):
    @parameterized.product(label=GLOBAL, name=("tanh_mlp", "batch_norm"))
    def test_goes_down(self, label: str, name: str) -> None:
        """To 0.6 of the loss at the start in 40 steps; with a search whose every step is lower, at each."""
        of, problem = method(label), PROBLEMS[name]()
        model = trainings.model_of(of, problem, 40)
        losses = model.fit(problem.inputs, problem.targets, epochs=40, verbose=0).history["loss"]
        self.assertLess(losses[-1], 0.6 * losses[0])
        if of.is_exact or (of.search == "armijo" and of.name != "fista"):
            self.assertEqual(losses, sorted(losses, reverse=True))


if __name__ == "__main__":
    tf.test.main()
