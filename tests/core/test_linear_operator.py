"""The curvature as a SciPy operator against dense matrices."""

import numpy as np
import scipy.sparse.linalg
import tensorflow as tf
from absl.testing import parameterized

from tests.core.objectives import INPUTS, LABELS, SAMPLES, ObjectiveCase, asked, mean_hessian, random_tree
from tests.core.problems import HIDDEN, matrix, micro_batches, smooth
from tf_fullbatch.core import trees


class LinearOperatorTest(ObjectiveCase):
    @parameterized.product(name=("dense", "both"), curvature=("hessian", "ggn"))
    def test_eigenvalues_are_those_of_the_dense_matrix(self, name: str, curvature: str) -> None:
        problem = smooth(*HIDDEN[name]())
        if curvature == "hessian":
            dense = mean_hessian(problem, 8)
        else:
            dense = sum(
                len(p.inputs) / SAMPLES * matrix(problem, "ggn", p) for p in micro_batches(INPUTS, LABELS, 8)
            )
        values = np.linalg.eigvalsh((dense + dense.T) / 2)
        operator = asked(problem).linear_operator(curvature=curvature)
        self.assertEqual(operator.shape, dense.shape)
        self.assertEqual(operator.dtype, np.float64)
        start = np.random.default_rng(0).normal(size=len(dense))
        largest = scipy.sparse.linalg.eigsh(operator, k=3, which="LA", v0=start, return_eigenvectors=False)
        self.assertAllClose(np.sort(largest), values[-3:], rtol=1e-10, atol=0)
        if curvature == "hessian":
            smallest = scipy.sparse.linalg.eigsh(
                operator, k=2, which="SA", v0=start, return_eigenvectors=False
            )
            self.assertAllClose(np.sort(smallest), values[:2], rtol=1e-8, atol=1e-10 * values[-1])

    def test_columns_and_its_transpose(self) -> None:
        problem = smooth()
        there = trees.add_scaled(problem.theta, 0.3, random_tree(problem.theta, 5))
        operator = asked(problem).linear_operator(there)
        for variable, value in zip(problem.network.trainable_variables, there, strict=True):
            variable.assign(value)
        dense = mean_hessian(problem, 8)
        vectors = np.random.default_rng(0).normal(size=(len(dense), 2))
        self.assert_close(operator @ vectors, dense @ vectors)
        self.assert_close(operator.T @ vectors[:, 0], dense @ vectors[:, 0])

    def test_stays_at_the_weights_it_was_made_at(self) -> None:
        problem = smooth()
        operator, dense = asked(problem).linear_operator(), mean_hessian(problem, 8)
        for variable in problem.network.trainable_variables:
            variable.assign(2 * variable)
        v = np.random.default_rng(0).normal(size=len(dense))
        self.assert_close(operator @ v, dense @ v)


if __name__ == "__main__":
    tf.test.main()
