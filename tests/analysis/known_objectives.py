"""Objectives whose losses are known: a linear network's parabola."""

import keras
import numpy as np

from tests.core.problems import Problem, mean_squares, objective
from tests.networks import FEATURES
from tf_fullbatch.core.objective import Objective

SAMPLES, OUTPUTS = 13, 2
GENERATOR = np.random.default_rng(8)
INPUTS = GENERATOR.normal(size=(SAMPLES, FEATURES))
TARGETS = GENERATOR.normal(size=(SAMPLES, OUTPUTS))


class Parabola:
    """The squared error of a linear network with a bias: a quadratic function of its weights.

    Args:
        targets: `[SAMPLES, OUTPUTS]`.

    Attributes:
        objective: Its loss in micro-batches of 5 samples.
        hessian: `[parameters, parameters]`, of vectors of the kernel `[FEATURES, OUTPUTS]` and the bias.
        minimum: `[parameters]`.
        lowest: The loss there.
    """

    def __init__(self, targets: np.ndarray = TARGETS) -> None:
        keras.utils.set_random_seed(2)
        network = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(OUTPUTS)])
        self.objective: Objective = objective(
            Problem(network, mean_squares), INPUTS, targets, micro_batch_size=5
        )
        design = np.concatenate([INPUTS, np.ones([SAMPLES, 1])], axis=1)
        # The bias is a row beneath the kernel, so the rows of both one after the other are the vector.
        self.hessian = np.kron(2 / (SAMPLES * OUTPUTS) * design.T @ design, np.eye(OUTPUTS))
        best = np.linalg.lstsq(design, targets, rcond=None)[0]
        self.minimum = best.ravel()
        self.lowest = float(np.mean((design @ best - targets) ** 2))

    def loss(self, vector: np.ndarray) -> float:
        """By the parabola, not by the network."""
        away = vector - self.minimum
        return self.lowest + 0.5 * away @ self.hessian @ away
