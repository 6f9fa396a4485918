"""Lookahead against its paper's recursion in NumPy, eager and in graph, saved and resumed within its k steps."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.command import CommandTestCase, command, steps_of
from tests.float64 import Float64Case
from tf_fullbatch import FullBatchModel, GradientDescent
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.descent import At
from tf_fullbatch.optim.keras_adapter import KerasDescent
from tf_fullbatch.optim.lookahead import LookaheadDescent, slow_weights
from tf_fullbatch.optim.rules.lbfgs import LBFGS
from tf_fullbatch.records.checkpoints import list_checkpoints, load_latest

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.random.default_rng(1).integers(0, 2, 40)
START = np.random.default_rng(2).normal(size=(3, 2))


def nesterov(rate: float, momentum: float) -> Callable[[np.ndarray], np.ndarray]:
    """Gradient -> change of the weights."""
    buffer = 0.0

    def change(g: np.ndarray) -> np.ndarray:
        nonlocal buffer
        buffer = momentum * buffer + g
        return -rate * (g + momentum * buffer)

    return change


def adam(rate: float) -> Callable[[np.ndarray], np.ndarray]:
    """Keras takes the powers of float32's 0.9 and 0.999 in any precision."""
    first, second = float(np.float32(0.9)), float(np.float32(0.999))
    m = v = t = 0.0

    def change(g: np.ndarray) -> np.ndarray:
        nonlocal m, v, t
        m, v, t = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g, t + 1
        return -rate * np.sqrt(1 - second**t) / (1 - first**t) * m / (np.sqrt(v) + 1e-7)

    return change


def slope(w: np.ndarray, step: int = 0) -> np.ndarray:
    """The gradient of the cross-entropy: over all samples, or in step 1, 2, ... over the halves in turn."""
    x, y = (X, Y) if not step else (X[:20], Y[:20]) if step % 2 else (X[20:], Y[20:])
    logits = x @ w
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return x.T @ (p - np.eye(2)[y]) / len(x)


def recursion(change: Callable, k: int, factor: float, steps: int, *, halves: bool = False) -> np.ndarray:
    """Algorithm 1 of Zhang et al. 2019; the fast weights after some steps, which need not be a multiple of k."""
    fast = slow = START
    for t in range(1, steps + 1):
        fast = fast + change(slope(fast, t if halves else 0))
        if t % k == 0:
            slow = slow + factor * (fast - slow)
            fast = slow
    return fast


METHODS = (
    (lambda: GradientDescent(0.5, momentum=0.9, nesterov=True, weight_decay=0.0), lambda: nesterov(0.5, 0.9)),
    (lambda: keras.optimizers.Adam(0.1), lambda: adam(0.1)),
)


def model(optimizer: keras.optimizers.Optimizer, **settings: Any) -> FullBatchModel:
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False)])
    network.set_weights([START])
    made = FullBatchModel(network, **{"micro_batch_size": 15} | settings)
    made.compile(optimizer=optimizer, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


class LookaheadTest(Float64Case):
    @parameterized.product(method=METHODS, place=((5, 0.5), (3, 0.8), (1, 0.5)), compiled=(False, True))
    def test_equals_the_papers_recursion(self, method: tuple, place: tuple, compiled: bool) -> None:
        (k, factor), (make, change) = place, method
        variable = keras.Variable(START, name="w")
        optimizer = make()
        optimizer.build([variable])
        descent = LookaheadDescent(optimizer, [variable], KerasDescent(optimizer, [variable]), k, factor)
        x, targets = tf.constant(X), tf.one_hot(Y, 2, dtype=tf.float64)

        def step() -> None:
            gradient = tf.linalg.matmul(x, tf.nn.softmax(x @ variable.value) - targets, transpose_a=True) / 40
            zero = tf.zeros([], tf.float64)
            descent.step(At(zero, zero, [gradient]), None)

        step = tf.function(step) if compiled else step
        for t in range(1, 12):
            step()
            self.assertAllClose(variable, recursion(change(), k, factor, t), rtol=0, atol=1e-12)

    @parameterized.parameters(*METHODS)
    def test_so_it_does_in_fit_however_steps_come_together(self, make: Callable, change: Callable) -> None:
        for callbacks in ([], [keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)]):
            trained = model(make(), lookahead_steps=4, lookahead_factor=0.3)
            trained.fit(X, Y, batch_size=20, epochs=5, verbose=0, callbacks=callbacks)
            expected = recursion(change(), 4, 0.3, 10, halves=True)
            self.assertAllClose(trained.network.get_weights()[0], expected, rtol=0, atol=1e-12)

    def test_a_loaded_model_continues_within_the_k_steps_with_the_same_bits(self) -> None:
        whole = model(METHODS[0][0](), lookahead_steps=4)
        whole.fit(X, Y, epochs=9, verbose=0)
        part = model(METHODS[0][0](), lookahead_steps=4)
        part.fit(X, Y, epochs=6, verbose=0)
        path = Path(self.get_temp_dir()) / "part.keras"
        part.save(path)
        loaded = keras.models.load_model(path)
        loaded.fit(X, Y, initial_epoch=6, epochs=9, verbose=0)
        self.assertAllEqual(loaded.network.get_weights()[0], whole.network.get_weights()[0])

    def test_slow_weights_are_made_once(self) -> None:
        trained = model(METHODS[0][0](), lookahead_steps=4)
        trained.fit(X, Y, epochs=2, verbose=0)
        before = list(trained.optimizer.variables)
        slow = slow_weights(trained.optimizer, trained.network.trainable_variables)
        self.assertLen(slow, 1)
        self.assertAllEqual(slow[0], START)
        trained.fit(X[:30], Y[:30], epochs=4, initial_epoch=2, verbose=0)
        self.assertEqual(list(map(id, before)), list(map(id, trained.optimizer.variables)))

    def test_refused(self) -> None:
        for settings, said in (
            ({"lookahead_steps": 0}, "^lookahead_steps=0: must be at least 1"),
            ({"lookahead_steps": 5, "lookahead_factor": 0.0}, "^lookahead_factor=0.0: must be above 0"),
            ({"lookahead_steps": 5, "lookahead_factor": 1.1}, "^lookahead_factor=1.1: must be at most 1"),
            ({"lookahead_factor": 0.8}, "^lookahead_factor=0.8 has no effect without lookahead_steps"),
        ):
            with self.assertRaisesRegex(UserError, said):
                model(GradientDescent(0.1), **settings)
        searches = model(LBFGS(1.0), lookahead_steps=5)
        with self.assertRaisesRegex(UserError, "^lookahead_steps=5 with the optimizer lbfgs, which chooses"):
            searches.fit(X, Y, verbose=0)


class RunTest(CommandTestCase):
    draws_curves = False

    def test_resumed_at_an_odd_step_it_has_the_same_bits(self) -> None:
        run = ("--train_size=100", "--model=linear", "--batch_size=50", "--micro_batch_size=50", "--shuffle",
               "--epochs=4", "--lookahead_steps=4", "--evaluate_every=4", "--checkpoint_every=1",
               "--keep_checkpoints=99", "--deterministic")  # fmt: skip
        whole, part = self.folder / "whole", self.folder / "part"
        self.assert_done(command(*run, f"--output_dir={whole}"))
        shutil.copytree(whole, part)
        for checkpoint in list_checkpoints(part / "checkpoints"):
            if int(checkpoint.name.partition("-")[2]) > 5:
                shutil.rmtree(checkpoint)
        self.assert_done(command(*run, f"--output_dir={part}"))
        self.assertEqual(steps_of(whole), steps_of(part))
        first, second = (load_latest(folder / "checkpoints")[0] for folder in (whole, part))
        assert first is not None
        assert second is not None
        self.assertEqual(8, first.step)
        self.assertTrue(any(name.endswith("lookahead_slow") for name in first.arrays))
        for name, array in first.arrays.items():
            self.assertEqual(array.tobytes(), second.arrays[name].tobytes(), name)
        settings = json.loads((whole / "config.json").read_text())["step"]
        self.assertEqual((4, 0.5), (settings["lookahead_steps"], settings["lookahead_factor"]))

    def test_refused_with_a_search_before_anything_is_written(self) -> None:
        for search in (("--optimizer=lbfgs",), ("--line_search=armijo", "--momentum=0", "--nonesterov")):
            refused = command(
                "--model=linear", *search, "--lookahead_steps=5", f"--output_dir={self.folder / 'run'}"
            )
            self.assert_refused(refused, "--lookahead_steps=5 with the optimizer")
            self.assertFalse((self.folder / "run" / "config.json").exists())


if __name__ == "__main__":
    tf.test.main()
