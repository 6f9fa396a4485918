"""FISTA against its recursion in NumPy: where gradients are taken, restarts, backtracking, costs, refusals."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tf_fullbatch import FullBatchModel
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rules.fista import Fista

X = np.random.default_rng(0).normal(size=(20, 4)) * np.array([1.0, 0.7, 2.0, 0.5])
Y = np.random.default_rng(1).normal(size=(20, 1))
DECAY, STEPS = 0.01, 60


class Value(NamedTuple):
    value: float
    gradient: np.ndarray


def least_squares(w: np.ndarray) -> Value:
    """Mean squared error with decay, of kernel and bias."""
    residual = X @ w[:4, None] + w[4] - Y
    gradient = 2 * np.concatenate([(X.T @ residual)[:, 0], residual.sum(0)]) / len(X)
    return Value(float((residual**2).mean() + DECAY / 2 * w @ w), gradient + DECAY * w)


def recursion(
    w: np.ndarray, rate: float, *, restart: str, search: bool, p: float = 1.0, q: float = 1.0
) -> list:
    """(x, loss at y, began anew) of every step: Beck and Teboulle 2009, O'Donoghue and Candes 2015."""
    x = y = w
    t, found, last = 1.0, [], np.inf
    for _ in range(STEPS):
        point = y
        at = least_squares(y)
        while (
            search
            and least_squares(y - rate * at.gradient).value > at.value - rate / 2 * at.gradient @ at.gradient
        ):
            rate *= 0.8
        new = y - rate * at.gradient
        later = (p + np.sqrt(q + 4 * t * t)) / 2
        ahead = new + (t - 1) / later * (new - x)
        value = least_squares(new).value
        again = {"none": False, "gradient": at.gradient @ (new - x) > 0, "function": value > last}[restart]
        y, t = (new, 1.0) if again else (ahead, later)
        found.append((new, at.value - DECAY / 2 * point @ point, again))
        x, last = new, value
    return found


def trained(**settings: Any) -> tuple[list[np.ndarray], list[float], list[float]]:
    """Weights after each step, the objective before it, and the evaluations that it spent."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model = FullBatchModel(network, micro_batch_size=7)
    model.compile(optimizer=Fista(weight_decay=DECAY, **settings), loss="mse")
    seen, losses, spent = [flat(network)], [], []

    def record(batch: int, logs: dict) -> None:
        seen.append(flat(network))
        losses.append(model.last_step["loss"])
        spent.append(model.last_step["gradient_evaluations"])

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=record)
    model.fit(X, Y, epochs=STEPS, verbose=0, callbacks=[callback])
    return seen, losses, spent


def flat(network: keras.Model) -> np.ndarray:
    return np.concatenate([np.ravel(w) for w in network.get_weights()])


class RecursionTest(Float64Case):
    @parameterized.parameters(
        ("none", "none", 0.08, {}),
        ("gradient", "none", 0.08, {}),
        ("function", "none", 0.08, {}),
        ("gradient", "armijo", 1.0, {}),
        ("function", "armijo", 1.0, {}),
        ("none", "none", 0.08, {"p": 0.02, "q": 0.1}),
    )
    def test_every_step(self, restart: str, search: str, rate: float, sequence: dict[str, float]) -> None:
        seen, losses, spent = trained(learning_rate=rate, restart=restart, line_search=search, **sequence)
        expected = recursion(seen[0], rate, restart=restart, search=search == "armijo", **sequence)
        for found, (x, _, _) in zip(seen[1:], expected, strict=True):
            self.assertAllClose(found, x, rtol=0, atol=1e-12)
        if restart != "none":
            self.assertTrue(any(again for _, _, again in expected))
        # The loss of a step is that where its gradient is taken.
        self.assertAllClose(losses, [loss for _, loss, _ in expected], rtol=1e-11)
        cost = 1 + (search == "armijo" or restart == "function") / 3
        self.assertAllClose(spent[-1], cost, rtol=1e-12)


class RefusedTest(Float64Case):
    def test_options(self) -> None:
        for settings, words in (
            ({"restart": "often"}, "gradient, function, none"),
            ({"line_search": "strong_wolfe"}, "none, armijo"),
            ({"q": 0.0}, "positive"),
            ({"line_search": "none", "line_search_options": {"shrink": 0.5}}, "line_search_options"),
        ):
            with self.assertRaisesRegex(UserError, words):
                Fista(**settings)


if __name__ == "__main__":
    tf.test.main()
