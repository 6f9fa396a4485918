"""A small data set that no micro-batch size divides, and `FullBatchModel`s to train on it."""

from typing import Any

import keras
import numpy as np

from tests.networks import CLASSES, FEATURES, softplus_network
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.training.full_batch_model import FullBatchModel

SAMPLES = 23
_GENERATOR = np.random.default_rng(2)
X = _GENERATOR.normal(size=(SAMPLES, FEATURES)).astype("float32")
Y = _GENERATOR.integers(0, CLASSES, SAMPLES)
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def normal(*shape: int) -> np.ndarray:
    """Standard normal numbers, float64, the same at each call."""
    return np.random.default_rng(3).normal(size=shape)


def model_of(
    network: keras.Model | None = None,
    optimizer: Any = None,
    loss: Any = CROSS_ENTROPY,
    metrics: Any = None,
    **settings: Any,
) -> FullBatchModel:
    """A compiled model; by default of the softplus network, with gradient descent at rate 0.1."""
    model = FullBatchModel(network or softplus_network(), **settings)
    model.compile(optimizer=optimizer or GradientDescent(0.1), loss=loss, metrics=metrics)
    return model


def weights(model: keras.Model) -> np.ndarray:
    """Every weight and statistic, as one float64 vector."""
    return np.concatenate([np.ravel(w).astype("float64") for w in model.get_weights()])
