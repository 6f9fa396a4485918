"""A tiny tanh network that plain gradient descent takes to the edge of stability, and flows of it by hand."""

from typing import Any

import keras
import numpy as np

from tf_fullbatch.analysis.flows.central_flow import CentralFlowStep, central_flow_step
from tf_fullbatch.analysis.flows.flat_objective import FlatObjective
from tf_fullbatch.analysis.flows.solver import warm_started
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.training.full_batch_model import FullBatchModel

SAMPLES = 12
_GENERATOR = np.random.default_rng(4)
X = _GENERATOR.normal(size=(SAMPLES, 4))
Y = np.tanh(2 * X[:, :2]) + _GENERATOR.normal(size=(SAMPLES, 2))


def tanh_network() -> keras.Model:
    """Of 50 parameters, the same at each call; the order of its layers' names too, on which roundings depend."""
    keras.utils.set_random_seed(1)
    hidden = [keras.layers.Dense(4, activation="tanh", name=name) for name in ("a", "b")]
    return keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(2, name="c")])


def compiled(optimizer: Any = None, network: keras.Model | None = None, **settings: Any) -> FullBatchModel:
    """A compiled model of squared errors, in micro-batches of 5 out of 12; plain gradient descent unless said."""
    model = FullBatchModel(network or tanh_network(), micro_batch_size=5, **settings)
    model.compile(optimizer or GradientDescent(0.1, momentum=0.0), loss=keras.losses.MeanSquaredError())
    return model


def flat_of(model: FullBatchModel) -> tuple[FlatObjective, np.ndarray]:
    """The model's objective and weights as one float64 vector."""
    objective = model.objective(X, Y)
    flat = FlatObjective(objective, objective.theta())
    return flat, flat.vector(objective.theta()).astype(np.float64)


def central_flow_by_hand(rate: float, steps: int, tolerance: float = 1e-4) -> list[CentralFlowStep]:
    """Steps of the central flow from the network's first weights."""
    flat, theta = flat_of(compiled())
    made: list[CentralFlowStep] = []
    for _ in range(steps):
        start = made[-1].vectors if made else None
        made.append(
            central_flow_step(flat, theta, rate=rate, eigenpairs=warm_started(flat, tolerance), start=start)
        )
        theta = made[-1].theta
    return made
