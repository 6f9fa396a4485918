"""Third derivatives, the penalised loss's Hessian and blocks of matrices, against quotients and dense matrices."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.core.objectives import ObjectiveCase, asked, mean_hessian, random_tree
from tests.core.problems import HIDDEN, flat, scalars, smooth
from tf_fullbatch.core import trees
from tf_fullbatch.core.penalties import Penalty
from tf_fullbatch.errors import UserError

STEP = 1e-5


class HessianDerivativeTest(ObjectiveCase):
    @parameterized.parameters("dense", "both")
    def test_is_the_gradient_of_a_quadratic_form_of_the_hessian(self, name: str) -> None:
        problem = smooth(*HIDDEN[name]())
        found = asked(problem)
        u, v, w = (random_tree(problem.theta, seed) for seed in (1, 2, 3))
        ahead, behind = (
            float(trees.dot(u, found.hvp(trees.add_scaled(problem.theta, s, w), v))) for s in (STEP, -STEP)
        )
        along = float(trees.dot(w, found.hessian_derivative(None, u, v)))
        self.assertAllClose(along, (ahead - behind) / (2 * STEP), rtol=1e-7, atol=1e-8)
        self.assertGreater(abs(along), 1e-3)

    def test_directions_may_change_places(self) -> None:
        problem = smooth(*HIDDEN["batch norm"]())
        found, (u, v) = asked(problem), (random_tree(problem.theta, seed) for seed in (1, 2))
        first, second = found.hessian_derivative(None, u, v), found.hessian_derivative(None, v, u)
        self.assert_close(flat(first), flat(second))
        self.assertEqual(found.evaluations, 8)


class PenalisedHessianTest(ObjectiveCase):
    @parameterized.product(name=("dense", "batch norm"), penalty=("nested_tape", "forward_over_reverse"))
    def test_is_the_derivative_of_the_penalised_gradient(self, name: str, penalty: str) -> None:
        problem = smooth(*HIDDEN[name]())
        found, v, exact = asked(problem), random_tree(problem.theta), Penalty(name=penalty)
        ahead, behind = (
            flat(found.value_and_gradient(trees.add_scaled(problem.theta, s, v), exact).gradient)
            for s in (STEP, -STEP)
        )
        product = flat(found.hvp(None, v, penalty=exact))
        self.assert_close(product, (ahead - behind) / (2 * STEP), 1e-7)
        self.assertGreater(np.linalg.norm(product - flat(found.hvp(None, v))), 1e-3)

    def test_is_symmetric(self) -> None:
        problem, exact = smooth(*HIDDEN["both"]()), Penalty(name="nested_tape")
        operator = asked(problem).linear_operator(penalty=exact)
        matrix = operator @ np.eye(operator.shape[0])
        self.assert_close(matrix, matrix.T)

    def test_what_has_no_symmetric_curvature_is_refused(self) -> None:
        found = asked(smooth())
        v = random_tree(found.theta())
        with self.assertRaisesRegex(UserError, "forward_differences.*no gradient of anything"):
            found.hvp(None, v, penalty=Penalty(name="forward_differences"))
        with self.assertRaisesRegex(UserError, "Hessian alone"):
            found.hvp(None, v, "ggn", Penalty(name="nested_tape"))
        whole = asked(smooth(), when=scalars(full=0.3))
        with self.assertRaisesRegex(UserError, "no mean over micro-batches"):
            whole.linear_operator(penalty=Penalty(name="nested_tape"))


class BlockTest(ObjectiveCase):
    def test_is_the_block_of_the_dense_matrix(self) -> None:
        problem = smooth(*HIDDEN["batch norm"]())
        found = asked(problem)
        some = [found.variables[3], found.variables[0]]
        ends = np.cumsum([0, *(int(np.prod(v.shape)) for v in found.variables)])
        rows = np.concatenate([np.arange(ends[i], ends[i + 1]) for i in (3, 0)])
        block = found.linear_operator(variables=some)
        dense = mean_hessian(problem, 8)[np.ix_(rows, rows)]
        self.assert_close(block @ np.eye(len(rows)), dense)
        self.assertEqual(block.products, len(rows))
        vector = np.arange(float(len(rows)))
        self.assertAllEqual(block.vector(block.tree(vector)), vector)

    def test_other_variables_are_refused(self) -> None:
        found = asked(smooth())
        with self.assertRaisesRegex(UserError, "none of the trainable variables"):
            found.linear_operator(variables=[tf.Variable(1.0)])
        with self.assertRaisesRegex(UserError, "empty"):
            found.linear_operator(variables=[])


if __name__ == "__main__":
    tf.test.main()
