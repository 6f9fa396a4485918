"""The central flow beside gradient descent on a tanh network of the embedded digits, at the edge of stability."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.sparse.linalg import lobpcg
from sklearn.datasets import load_digits

from tests.core.problems import Problem, objective
from tests.float64 import Float64Case
from tf_fullbatch.analysis.flows.central_flow import central_flow_step
from tf_fullbatch.analysis.flows.comparison import UNMOVED, compare, observe
from tf_fullbatch.analysis.flows.flat_objective import FlatObjective, LargestPairs

SAMPLES, CLASSES = 200, 2


def half_squares(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum((outputs - targets) ** 2, axis=-1) / 2


def digits_network() -> tuple[FlatObjective, np.ndarray]:
    """A network of 2,182 parameters, and these; targets of 2 and 0, with which it sharpens quickly."""
    images, labels = load_digits(return_X_y=True)
    images, labels = (a[labels < CLASSES][:SAMPLES] for a in (images / 16, labels))
    keras.utils.set_random_seed(0)
    dense = [keras.layers.Dense(20, activation="tanh", kernel_initializer="lecun_normal") for _ in range(3)]
    head = keras.layers.Dense(CLASSES, kernel_initializer="lecun_normal")
    network = keras.Sequential([keras.Input((64,)), *dense, head])
    problem = Problem(network, half_squares, inputs=tf.TensorSpec([None, 64], tf.float64))
    images = images - images.mean(axis=0)
    found = objective(problem, images, 2.0 * np.eye(CLASSES)[labels], micro_batch_size=SAMPLES)
    flat = FlatObjective(found, found.theta())
    return flat, flat.vector(found.theta())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Exited")  # SciPy's, where a residual is above its tolerance
class DigitsTest(Float64Case):
    STEPS = 160

    def test_predicts_the_mean_loss_and_oscillation(self) -> None:
        network, theta = digits_network()

        def largest(theta: np.ndarray, k: int, start: np.ndarray | None) -> LargestPairs:
            first = np.random.default_rng(0).normal(size=(len(theta), k))
            if start is not None:
                first[:, : start.shape[1]] = start
            return LargestPairs(*lobpcg(network.hessian(theta), first, tol=1e-4, maxiter=40))

        for _ in range(60):
            theta = theta - 0.1 * network.value_and_gradient(theta).gradient
        values, start = largest(theta, 2, None)
        rate = 0.999 * 2 / values.max()
        iterate, predictions, observations = None, [], []
        while len(predictions) < self.STEPS:
            step = central_flow_step(network, theta, rate=rate, eigenpairs=largest, start=start)
            found = step.prediction
            if iterate is None and found.variances.sum() > 0:
                # As far off the flow as it says; from a tiny displacement it takes hundreds of steps to grow so far.
                iterate = theta + found.directions @ np.sqrt(found.variances)
            if iterate is not None:
                predictions.append(found)
                observations.append(observe(network, iterate, theta, step))
                iterate = iterate - rate * network.value_and_gradient(iterate).gradient
            theta, start = step.theta, step.vectors
        compared = compare(predictions, observations, self.STEPS)
        # The oscillation swells and ebbs twice in these steps, by half of its mean; the loss falls threefold.
        self.assertAllClose(compared.loss.relative_error, [0], atol=0.03)
        self.assertAllClose(compared.squared_gradient_norm.relative_error, [0], atol=0.08)
        self.assertAllClose(compared.variance.relative_error, [0], atol=0.08)
        flow = np.mean([p.loss for p in predictions])
        self.assertLess(flow, 0.6 * compared.loss.measured[0])  # nearly half of the loss is oscillation
        self.assertLess(max(p.eigenvalues[0] for p in predictions), 1.001 * 2 / rate)
        self.assertGreater(min(o.along_sharpest for o in observations), UNMOVED)
