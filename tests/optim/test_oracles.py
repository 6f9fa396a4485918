"""Ends beside SciPy's, and steps beside Keras' own optimizers: where they agree, and where they do not."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import optimize

from tests.float64 import Float64Case
from tests.optim.conformance.problems import DECAY, some_classes
from tf_fullbatch import FullBatchModel
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.optim.rules.lamb import LAMB
from tf_fullbatch.optim.rules.lbfgs import LBFGS
from tf_fullbatch.optim.rules.newton_cg import NewtonCG
from tf_fullbatch.optim.rules.nonlinear_cg import NonlinearCG

X, Y = some_classes(60)


def model(optimizer: keras.optimizers.Optimizer) -> FullBatchModel:
    """A logistic regression, convex with a decay."""
    keras.utils.set_random_seed(0)
    found = FullBatchModel(keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)]), micro_batch_size=60)
    found.compile(optimizer=optimizer, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return found


def flat(tree: Any) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in tree])


class SciPyTest(Float64Case):
    @parameterized.parameters(
        ("CG", lambda: NonlinearCG(weight_decay=DECAY), 60),
        ("Newton-CG", lambda: NewtonCG(weight_decay=DECAY), 20),
        ("L-BFGS-B", lambda: LBFGS(weight_decay=DECAY), 60),
    )
    def test_ends_where_scipy_does(self, method: str, optimizer: Any, steps: int) -> None:
        trained = model(optimizer())
        objective = trained.objective(X, Y)
        begin, shapes = objective.theta(), [leaf.shape for leaf in objective.theta()]
        cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]

        def tree(vector: np.ndarray) -> list[tf.Tensor]:
            return [
                tf.reshape(part, shape) for part, shape in zip(np.split(vector, cuts), shapes, strict=True)
            ]

        def value_and_gradient(vector: np.ndarray) -> tuple[float, np.ndarray]:
            point = objective.value_and_gradient(tree(vector))
            return float(point.loss) + DECAY / 2 * vector @ vector, flat(point.gradient) + DECAY * vector

        def product(vector: np.ndarray, v: np.ndarray) -> np.ndarray:
            return flat(objective.hvp(tree(vector), tree(v))) + DECAY * v

        newton = {"hessp": product} if method == "Newton-CG" else {}
        # A `tol` has L-BFGS-B end as soon as its value changes by that share.
        ends: dict[str, Any] = {"tol": 1e-10}
        if method == "L-BFGS-B":
            ends = {"options": {"ftol": 0.0, "gtol": 1e-10}}
        end = optimize.minimize(value_and_gradient, flat(begin), jac=True, method=method, **ends, **newton)
        trained.fit(X, Y, epochs=steps, verbose=0)
        ours = flat(trained.network.get_weights())
        self.assertLessEqual(value_and_gradient(ours)[0], end.fun + 1e-14)
        self.assertAllClose(ours, end.x, rtol=0, atol=1e-6)


class KerasTest(Float64Case):
    def steps(self, optimizer: keras.optimizers.Optimizer) -> list[np.ndarray]:
        """Weights of one matrix after each of five steps."""
        generator = np.random.default_rng(0)
        variable = keras.Variable(generator.normal(size=(4, 3)))
        found = []
        for _ in range(5):
            optimizer.apply([tf.constant(generator.normal(size=(4, 3)))], [variable])
            found.append(variable.numpy())
        return found

    @parameterized.parameters(False, True)
    def test_momentum_is_keras_at_a_constant_rate(self, nesterov: bool) -> None:
        ours = self.steps(GradientDescent(0.125, 0.75, nesterov=nesterov))
        theirs = self.steps(keras.optimizers.SGD(0.125, 0.75, nesterov=nesterov))
        self.assertAllClose(ours, theirs, rtol=0, atol=1e-14)

    def test_lamb_differs_by_the_decay_alone_which_keras_leaves_out_of_the_ratio(self) -> None:
        def ours(decay: float) -> list[np.ndarray]:
            return self.steps(LAMB(0.125, 0.75, 0.9375, 1e-6, weight_decay=decay))

        def theirs(decay: float) -> list[np.ndarray]:
            return self.steps(keras.optimizers.Lamb(0.125, 0.75, 0.9375, 1e-6, weight_decay=decay))

        self.assertAllClose(ours(0.0), theirs(0.0), rtol=0, atol=1e-12)
        self.assertGreater(np.abs(np.subtract(ours(0.5), theirs(0.5))).max(), 1e-3)
