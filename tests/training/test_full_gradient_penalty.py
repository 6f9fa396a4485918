"""The penalty on the full gradient over epochs of several update batches, against a loop written by hand."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.networks import softplus_network
from tests.training.by_hand import (
    EPOCHS,
    MICRO_BATCH,
    SEED,
    STATISTICS_MOMENTUM,
    UPDATE_BATCH,
    FallingRate,
    Step,
    flat,
    gradient,
    measured,
    micro_batches,
    train_by_hand,
)
from tests.training.small_models import SAMPLES, X, Y, model_of
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent

STRENGTH, FULL_STRENGTH = 0.7, 0.3


def hessian_product(theta: tf.Tensor, rows: np.ndarray, v: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        tape.watch(theta)
        slope = tf.tensordot(gradient(theta, rows), v, 1)
    return tape.gradient(slope, theta)


def step_by_hand(theta: tf.Tensor, rows: np.ndarray, rate: float, ramp: float) -> Step:
    """Descent on `sum_b share_b (L_b + rate ramp / 8 (s |g_b|^2 + 2 a <g_b, g>))`, g the full gradient, held fixed."""
    parts = [(share, part, gradient(theta, part)) for share, part in micro_batches(rows)]
    full = sum(share * g for share, _, g in parts)
    update, squares = full, 0.0
    for share, part, g in parts:
        v = ramp * (STRENGTH * g + FULL_STRENGTH * full)
        update += share * rate / 4 * hessian_product(theta, part, v)
        squares += share * float(tf.tensordot(g, g, 1))
    loss, statistics = measured(theta, rows)
    penalty = rate / 8 * ramp * (STRENGTH * squares + FULL_STRENGTH * float(tf.tensordot(full, full, 1)))
    return Step(theta - rate * update, loss, penalty, statistics)


class SeveralStepsTest(Float64Case):
    @parameterized.parameters(0.0, 2.0)
    def test_every_step_is_that_of_the_loop_by_hand(self, warmup_epochs: float) -> None:
        layer = keras.layers.BatchNormalization(momentum=STATISTICS_MOMENTUM)
        network = softplus_network(layer)

        def step(theta: tf.Tensor, rows: np.ndarray, rate: float, epoch: int) -> Step:
            ramp = min(1.0, epoch / warmup_epochs) if warmup_epochs else 1.0
            return step_by_hand(theta, rows, rate, ramp)

        expected, moving = train_by_hand(flat(network.trainable_variables), step)
        model = model_of(
            network,
            GradientDescent(FallingRate(), momentum=0.0),
            micro_batch_size=MICRO_BATCH,
            penalty="nested_tape",
            penalty_strength=STRENGTH,
            full_gradient_penalty_strength=FULL_STRENGTH,
            penalty_warmup_epochs=warmup_epochs,
            seed=SEED,
        )
        found: list[tuple[tf.Tensor, dict[str, float]]] = []

        def record(batch: int, logs: dict[str, float]) -> None:
            found.append((flat(network.trainable_variables), model.last_step))

        callbacks = [keras.callbacks.LambdaCallback(on_train_batch_end=record)]
        history = model.fit(
            X, Y, batch_size=UPDATE_BATCH, shuffle=True, epochs=EPOCHS, verbose=0, callbacks=callbacks
        ).history
        self.assertLen(found, 9)
        for (theta, figures), step in zip(found, expected, strict=True):
            self.assertAllClose(theta, step.theta, rtol=1e-11, atol=1e-13)
            self.assertAllClose(figures["penalty"], step.penalty, rtol=1e-11, atol=0)
        for name, values in (
            ("loss", [step.loss for step in expected]),
            ("penalised_objective", [step.loss + step.penalty for step in expected]),
        ):
            epochs = np.array(values).reshape(EPOCHS, 3) @ np.array([10, 10, 3]) / SAMPLES
            self.assertAllClose(history[name], epochs, rtol=1e-11, atol=0)
        # The pass that measures the full gradient moves no statistics.
        self.assertAllClose([layer.moving_mean, layer.moving_variance], moving, rtol=1e-11, atol=0)


if __name__ == "__main__":
    tf.test.main()
