"""Products, eigenvalues and traces beside those that curvlinops computes in PyTorch (curvlinops_values.py)."""

import json
from typing import Any

import keras
import numpy as np
from absl.testing import parameterized

from tests.analysis import curvlinops_values as problem
from tests.core.objectives import ObjectiveCase
from tests.core.problems import flat
from tf_fullbatch import objective_of
from tf_fullbatch.analysis.eigenvalues import eigenpairs
from tf_fullbatch.analysis.traces import trace
from tf_fullbatch.core.objective import Objective

VALUES: dict[str, Any] = json.loads(problem.FILE.read_text())


def objective(micro_batch_size: int) -> Objective:
    layers = [keras.layers.Conv2D(3, 3, activation="tanh"), keras.layers.Flatten()]
    network = keras.Sequential([keras.Input((6, 6, 2)), *layers, keras.layers.Dense(problem.CLASSES)])
    network.set_weights(problem.weights())
    network.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, classes = problem.samples()
    return objective_of(network, images, classes, micro_batch_size=micro_batch_size)


class CurvlinopsTest(ObjectiveCase):
    @parameterized.product(curvature=("hessian", "ggn"), micro_batch_size=(problem.BATCH, problem.SAMPLES))
    def test_agrees(self, curvature: str, micro_batch_size: int) -> None:
        expected = np.array(VALUES[curvature]["eigenvalues"])
        loss = objective(micro_batch_size)
        product = loss.hvp(None, problem.direction(), curvature=curvature)
        self.assert_close(flat(product), np.array(VALUES[curvature]["product"]), 1e-13)
        operator = loss.linear_operator(curvature=curvature)
        top = eigenpairs(operator, 3, tolerance=1e-9)
        self.assert_close(top.values, expected[::-1][:3], 1e-13)
        if curvature == "hessian":
            self.assert_close(eigenpairs(operator, 2, "smallest", tolerance=1e-9).values, expected[:2], 1e-13)
        self.assert_close(trace(operator, products=len(expected)).value, expected.sum(), 1e-12)
