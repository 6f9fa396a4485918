"""Every step's `unpenalised_gradient_norm` and `noise_scale`, against gradients of micro-batches one by one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.networks import softplus_network
from tests.training.small_models import SAMPLES, X, Y, model_of
from tf_fullbatch.core.loss_weights import sample_loss_weights
from tf_fullbatch.data.batches import UpdateBatches

ROOT = Path(__file__).parents[2]
EXACT = {"penalty": "nested_tape", "penalty_strength": 0.7}
SETTINGS = {
    "none": {},
    "clipping and noise": {"clip_norm": 0.05, "additive_noise": 0.1},
    "nested_tape": EXACT,
    "forward_over_reverse": {"penalty": "forward_over_reverse", "penalty_strength": 0.7},
    "forward_differences": {"penalty": "forward_differences", "penalty_strength": 0.7},
    "central_differences": {"penalty": "central_differences", "penalty_strength": 0.7},
    "micro-batches clipped": {"micro_batch_clip_norm": 0.05},
    "penalty, clipped twice": {**EXACT, "micro_batch_clip_norm": 0.05, "clip_norm": 0.02},
    "two penalties": {**EXACT, "full_gradient_penalty_strength": 0.3, "micro_batch_clip_norm": 0.05},
}
STREAMED = ("nested_tape", "micro-batches clipped", "two penalties")


def gradient(network: keras.Model, rows: np.ndarray, factors: np.ndarray | None = None) -> np.ndarray:
    """The gradient of the mean loss of some samples, as one vector; `factors` are on the samples' losses."""
    with tf.GradientTape() as tape:
        logits = network(X[rows].astype("float64"), training=True)
        losses = keras.losses.sparse_categorical_crossentropy(Y[rows], logits, from_logits=True)
        loss = tf.reduce_mean(losses if factors is None else losses * factors[rows])
    gradients = tape.gradient(loss, [v.value for v in network.trainable_variables])
    return np.concatenate([np.ravel(g) for g in gradients])


def expected(
    network: keras.Model, rows: np.ndarray, size: int, factors: np.ndarray | None = None
) -> tuple[float, float]:
    """(`|g|`, B_simple) of an update batch of these rows by the definitions: `g`, and the spread of `g_b` about it."""
    cut = [rows[start : start + size] for start in range(0, len(rows), size)]
    each = np.array([gradient(network, part, factors) for part in cut])
    sizes, n = np.array([len(part) for part in cut]), len(rows)
    g = sizes @ each / n
    trace = sizes @ np.sum((each - g) ** 2, axis=1) / (len(cut) - 1)
    return float(np.linalg.norm(g)), float(trace / (g @ g - trace / n))


class NoiseFiguresTest(Float64Case):
    def assert_figures(self, step: dict[str, float], norm: float, scale: float) -> None:
        self.assertAllClose(step["unpenalised_gradient_norm"], norm, rtol=1e-12, atol=0)
        if scale > 0:
            self.assertAllClose(step["noise_scale"], scale, rtol=1e-10, atol=0)
        else:
            self.assertNotIn("noise_scale", step)

    @parameterized.parameters(
        *((case, True) for case in SETTINGS if case != "none"), *((case, False) for case in STREAMED)
    )
    def test_of_the_whole_set(self, case: str, on_device: bool) -> None:
        network = softplus_network(keras.layers.BatchNormalization())
        model = model_of(network, micro_batch_size=5, **SETTINGS[case])
        batches = UpdateBatches(X, Y, on_device=on_device, chunk_micro_batches=2)
        for epoch in range(2):
            norm, scale = expected(network, np.arange(SAMPLES), 5)
            self.assertGreater(scale, 0)
            model.fit(batches, initial_epoch=epoch, epochs=epoch + 1, verbose=0)
            self.assert_figures(model.last_step, norm, scale)
            same = model.last_step["gradient_norm"] == model.last_step["unpenalised_gradient_norm"]
            self.assertEqual(same, case == "clipping and noise")

    @parameterized.parameters("none", "nested_tape", "two penalties")
    def test_of_steps_of_several_sizes(self, case: str) -> None:
        """Update batches of 10, 10 and 3 samples: three micro-batches each, and one, which has no noise scale."""
        network = softplus_network()
        model = model_of(network, micro_batch_size=4, seed=3, **SETTINGS[case])
        batches = UpdateBatches(X, Y, batch_size=10, shuffle=True, seed=3)
        found, order = [], batches.order(0)
        ahead = [expected(network, order[:10], 4)]

        def look(batch: int, logs: dict[str, float]) -> None:
            found.append(dict(model.last_step))
            if batch == 0:
                ahead.append(expected(network, order[10:20], 4))
            elif batch == 1:
                ahead.append((float(np.linalg.norm(gradient(network, order[20:]))), np.nan))

        model.fit(batches, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=look)])
        self.assertLen(found, 3)
        for step, (norm, scale) in zip(found, ahead, strict=True):
            self.assert_figures(step, norm, scale)

    @parameterized.parameters(
        ("nested_tape", True), ("two penalties", True), ("micro-batches clipped", False), ("none", False)
    )
    def test_steps_of_one_micro_batch_have_a_norm_alone(self, case: str, on_device: bool) -> None:
        network = softplus_network()
        norm = np.linalg.norm(gradient(network, np.arange(10)))
        model = model_of(network, micro_batch_size=10, **SETTINGS[case])
        model.fit(UpdateBatches(X[:20], Y[:20], batch_size=10, on_device=on_device), verbose=0,
                  callbacks=[first := FirstStep()])  # fmt: skip
        self.assert_figures(first.step, float(norm), np.nan)
        self.assertNotIn("noise_scale", model.last_step)

    def test_factors_on_the_losses_are_part_of_the_gradients(self) -> None:
        z = sample_loss_weights(4, 0, tf.range(SAMPLES, dtype=tf.int64), 0.5).numpy()
        norm, scale = expected(softplus_network(), np.arange(SAMPLES), 5, z.astype("float64"))
        for more in (EXACT, SETTINGS["two penalties"]):
            model = model_of(micro_batch_size=5, multiplicative_noise=0.5, seed=4, **more)
            model.fit(X, Y, verbose=0)
            self.assert_figures(model.last_step, norm, scale)

    def test_no_noise_scale_where_the_signal_is_all_noise(self) -> None:
        """Two samples that pull a bias to and fro: `|g|^2 - S / N` is negative."""
        keras.utils.set_random_seed(0)
        network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model = model_of(network, loss="mse", micro_batch_size=1)
        targets = network.predict(np.ones((1, 1)), verbose=0) + np.array([[1.0], [-1.1]])
        model.fit(np.ones((2, 1)), targets, verbose=0)
        self.assertGreater(model.last_step["unpenalised_gradient_norm"], 0)
        self.assertNotIn("noise_scale", model.last_step)


class FirstStep(keras.callbacks.Callback):
    """Keeps the first step's figures."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if batch == 0:
            self.step = dict(self.model.last_step)


@pytest.mark.slow
class ReplicasTest(tf.test.TestCase):
    def test_two_replicas_find_what_one_finds(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "tests.training.noise_replicas"],
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        self.assertLen(found, 2 * 4)
        for case, (one, two) in found.items():
            with self.subTest(case):
                self.assertLen(one, 2)
                self.assertAllClose(two, one, rtol=1e-10, atol=0)


if __name__ == "__main__":
    tf.test.main()
