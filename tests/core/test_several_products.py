"""Products with several directions at once against products one by one and dense matrices."""

from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.core.objectives import INPUTS, LABELS, SAMPLES, ObjectiveCase, asked, mean_hessian, random_tree
from tests.core.problems import HIDDEN, Problem, flat, matrix, micro_batches, smooth
from tf_fullbatch.core.full_pass import FullPass
from tf_fullbatch.core.passes import PassMeans
from tf_fullbatch.core.penalties import Penalty
from tf_fullbatch.errors import UserError


def dense(problem: Problem, curvature: str) -> np.ndarray:
    """The mean over samples of the micro-batches' matrices."""
    if curvature == "hessian":
        return mean_hessian(problem, 8)
    parts = micro_batches(INPUTS, LABELS, 8)
    return sum(len(p.inputs) / SAMPLES * matrix(problem, "ggn", p) for p in parts)


class SeveralProductsTest(ObjectiveCase):
    @parameterized.parameters(
        ("both", "hessian"), ("both", "ggn"), ("regularizers", "hessian"), ("regularizers", "ggn")
    )
    def test_are_those_of_the_dense_matrix(self, name: str, curvature: str) -> None:
        problem = smooth(*HIDDEN[name]())
        directions = [random_tree(problem.theta, seed) for seed in range(4)]
        whole = dense(problem, curvature)
        found = asked(problem).hvps(None, directions, curvature)
        for product, v in zip(found, directions, strict=True):
            self.assert_product(product, whole, v)

    def test_of_any_number_are_those_of_one_by_one(self) -> None:
        found, seen = asked(smooth()), self.passes()
        directions = [random_tree(found.theta(), seed) for seed in range(7)]
        single = [flat(found.hvp(None, v)) for v in directions]
        for count, passes in ((0, 0), (1, 1), (2, 1), (3, 2), (4, 1), (7, 3)):
            with self.subTest(count):
                seen.clear()
                before = found.evaluations
                products = found.hvps(None, directions[:count])
                self.assertLen(seen, passes)
                self.assertEqual(found.evaluations - before, 2 * count)
                self.assertLen(products, count)
                for product, expected in zip(products, single, strict=False):
                    self.assert_close(flat(product), expected, 1e-14)

    def test_of_the_penalised_loss(self) -> None:
        problem, penalty = smooth(*HIDDEN["batch norm"]()), Penalty(name="nested_tape")
        found, v = asked(problem), [random_tree(problem.theta, seed) for seed in range(2)]
        products = found.hvps(None, v, penalty=penalty)
        self.assertEqual(found.evaluations, 8)
        self.assert_close(flat(products[1]), flat(found.hvp(None, v[1], penalty=penalty)), 1e-14)

    def test_elsewhere_and_in_inference(self) -> None:
        problem = smooth(*HIDDEN["batch norm"]())
        for statistics in ("frozen", "recalibrated"):
            found = asked(problem, statistics=statistics)
            there, *v = (random_tree(problem.theta, seed) for seed in range(3))
            self.assert_close(flat(found.hvps(there, v)[1]), flat(found.hvp(there, v[1])), 1e-14)

    def test_what_does_not_fit_is_named(self) -> None:
        found = asked(smooth())
        v = random_tree(found.theta())
        with self.assertRaisesRegex(UserError, r"directions\[1\] has 1 leaves"):
            found.hvps(None, [v, v[:1]])
        with self.assertRaisesRegex(UserError, "curvature='fisher': accepted are hessian, ggn"):
            found.hvps(None, [v], "fisher")

    def test_an_operator_makes_those_of_a_block_together(self) -> None:
        found, seen = asked(smooth()), self.passes()
        variables = found.variables
        for only in (None, variables[1:3]):
            operator = found.linear_operator(variables=only)
            block = np.random.default_rng(0).normal(size=(operator.shape[0], 4))
            single = np.stack([operator @ v for v in block.T], axis=1)
            seen.clear()
            self.assert_close(operator @ block, single, 1e-14)
            self.assert_close(operator.T @ block, single, 1e-14)
            self.assertLen(seen, 2)
            self.assertEqual(operator.products, 12)

    def passes(self) -> list[FullPass]:
        """A list that grows with every pass over samples."""
        seen: list[FullPass] = []
        run = FullPass.run

        def counted(self: FullPass, *arguments: Any, **settings: Any) -> PassMeans:
            seen.append(self)
            return run(self, *arguments, **settings)

        self.enterContext(mock.patch.object(FullPass, "run", counted))
        return seen


if __name__ == "__main__":
    tf.test.main()
