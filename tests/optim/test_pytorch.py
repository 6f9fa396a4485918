"""Steps and ends beside those of PyTorch's optimizers (pytorch_values.py), where the rules are the same."""

import json
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.optim import pytorch_values as problem
from tf_fullbatch import FullBatchModel
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.optim.rules.lbfgs import LBFGS

VALUES: dict[str, Any] = json.loads(problem.FILE.read_text())


def of_ours(kind: str, given: dict[str, Any]) -> keras.optimizers.Optimizer:
    """The optimizer here that has PyTorch's rule."""
    rate, decay, momentum = given["lr"], given.get("weight_decay", 0.0), given.get("momentum", 0.0)
    if kind == "SGD":
        return GradientDescent(rate, momentum, nesterov=given.get("nesterov", False), weight_decay=decay)
    if kind == "RMSprop":
        return keras.optimizers.RMSprop(rate, given["alpha"], momentum, epsilon=0.0)
    one, two = given["betas"]
    if kind == "Adam":
        return keras.optimizers.Adam(rate, one, two, epsilon=0.0)
    return keras.optimizers.AdamW(rate, decay, one, two, epsilon=0.0)


def trained(layers: list[keras.layers.Layer], optimizer: keras.optimizers.Optimizer) -> FullBatchModel:
    network = keras.Sequential([keras.Input((problem.FEATURES,)), *layers])
    model = FullBatchModel(network, micro_batch_size=7)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def flat(model: FullBatchModel) -> np.ndarray:
    return np.concatenate([np.ravel(w) for w in model.network.get_weights()])


class PyTorchTest(Float64Case):
    @parameterized.parameters(*problem.CASES)
    def test_goes_the_same_way(self, case: str) -> None:
        layers = [keras.layers.Dense(problem.UNITS, activation="tanh"), keras.layers.Dense(problem.CLASSES)]
        model = trained(layers, of_ours(*problem.CASES[case]))
        model.network.set_weights(problem.weights())
        found: list[np.ndarray] = []
        see = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: found.append(flat(model)))
        model.fit(*problem.samples(), epochs=problem.STEPS, verbose=0, callbacks=[see])
        self.assertAllClose(np.array(found), np.array(VALUES["steps"][case]), rtol=0, atol=1e-13)

    def test_lbfgs_ends_at_the_same_place(self) -> None:
        model = trained([keras.layers.Dense(problem.CLASSES)], LBFGS(1.0, weight_decay=problem.DECAY))
        model.network.set_weights([np.zeros_like(w) for w in model.network.get_weights()])
        model.fit(*problem.samples(), epochs=20, verbose=0)
        w = flat(model)
        loss = float(model.objective(*problem.samples()).loss()) + problem.DECAY / 2 * w @ w
        self.assertAllClose(loss, VALUES["lbfgs"]["loss"], rtol=0, atol=1e-14)
        # The least curvature is the decay, and the loss shows 1e-16 of a decrease `decay / 2 |w - w*|^2`.
        self.assertAllClose(w, np.array(VALUES["lbfgs"]["weights"]), rtol=0, atol=2e-7)


if __name__ == "__main__":
    tf.test.main()
