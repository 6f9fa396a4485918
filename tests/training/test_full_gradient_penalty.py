"""The penalty on the full gradient over epochs of several update batches, against a loop written by hand."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.networks import CLASSES, FEATURES, UNITS, softplus_network
from tests.training.small_models import SAMPLES, X, Y, model_of
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent

# Steps of 10, 10 and 3 samples, in micro-batches of 4 + 4 + 2, 4 + 4 + 2 and 3.
EPOCHS, UPDATE_BATCH, MICRO_BATCH, SEED = 3, 10, 4, 5
STRENGTH, FULL_STRENGTH, MOMENTUM = 0.7, 0.3, 0.5
SHAPES = ((FEATURES, UNITS), (UNITS,), (UNITS,), (UNITS,), (UNITS, CLASSES), (CLASSES,))


def rate_of(step: tf.Tensor | int) -> tf.Tensor | float:
    """Another learning rate in every step."""
    return 0.5 / (1 + step)


class FallingRate(keras.optimizers.schedules.LearningRateSchedule):
    """`rate_of`, as a Keras schedule."""

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return rate_of(tf.cast(step, tf.float64))


class Pass(NamedTuple):
    """What a forward pass over one micro-batch gives: its loss, and its BatchNorm statistics `[2, UNITS]`."""

    loss: tf.Tensor
    statistics: tf.Tensor


class Step(NamedTuple):
    """What one update gives: weights as a vector, loss and penalty before it, statistics over its samples."""

    theta: tf.Tensor
    loss: float
    penalty: float
    statistics: tf.Tensor


def flat(tensors: list) -> tf.Tensor:
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)


def forward(theta: tf.Tensor, rows: np.ndarray) -> Pass:
    """Dense, softplus, BatchNorm, dense, mean cross-entropy."""
    parts = tf.split(theta, [np.prod(shape) for shape in SHAPES])
    w, b, gamma, beta, u, c = (tf.reshape(part, shape) for part, shape in zip(parts, SHAPES, strict=True))
    hidden = tf.math.log(1 + tf.exp(X[rows].astype("float64") @ w + b))
    mean = tf.reduce_mean(hidden, axis=0)
    variance = tf.reduce_mean((hidden - mean) ** 2, axis=0)
    logits = (gamma * (hidden - mean) / tf.sqrt(variance + 1e-3) + beta) @ u + c
    log_p = logits - tf.math.log(tf.reduce_sum(tf.exp(logits), axis=1, keepdims=True))
    return Pass(-tf.reduce_mean(tf.gather(log_p, Y[rows], batch_dims=1)), tf.stack([mean, variance]))


def gradient(theta: tf.Tensor, rows: np.ndarray) -> tf.Tensor:
    with tf.GradientTape() as tape:
        tape.watch(theta)
        loss = forward(theta, rows).loss
    return tape.gradient(loss, theta)


def hessian_product(theta: tf.Tensor, rows: np.ndarray, v: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        tape.watch(theta)
        slope = tf.tensordot(gradient(theta, rows), v, 1)
    return tape.gradient(slope, theta)


def step_by_hand(theta: tf.Tensor, rows: np.ndarray, rate: float, ramp: float) -> Step:
    """Descent on `sum_b share_b (L_b + rate ramp / 8 (s |g_b|^2 + 2 a <g_b, g>))`, g the full gradient, held fixed."""
    micro_batches = [rows[start : start + MICRO_BATCH] for start in range(0, len(rows), MICRO_BATCH)]
    shares = [len(part) / len(rows) for part in micro_batches]
    passes = [forward(theta, part) for part in micro_batches]
    gradients = [gradient(theta, part) for part in micro_batches]
    full = sum(share * g for share, g in zip(shares, gradients, strict=True))
    update, squares = full, 0.0
    for share, part, g in zip(shares, micro_batches, gradients, strict=True):
        v = ramp * (STRENGTH * g + FULL_STRENGTH * full)
        update += share * rate / 4 * hessian_product(theta, part, v)
        squares += share * float(tf.tensordot(g, g, 1))
    return Step(
        theta - rate * update,
        sum(share * float(p.loss) for share, p in zip(shares, passes, strict=True)),
        rate / 8 * ramp * (STRENGTH * squares + FULL_STRENGTH * float(tf.tensordot(full, full, 1))),
        sum(share * p.statistics for share, p in zip(shares, passes, strict=True)),
    )


def train_by_hand(theta: tf.Tensor, warmup_epochs: float) -> tuple[list[Step], tf.Tensor]:
    """Every step of the training, and the moving BatchNorm statistics after the last, `[2, UNITS]`."""
    order = UpdateBatches(X, Y, shuffle=True, seed=SEED).order
    moving = tf.stack([tf.zeros(UNITS, tf.float64), tf.ones(UNITS, tf.float64)])
    steps: list[Step] = []
    for epoch in range(EPOCHS):
        ramp = min(1.0, epoch / warmup_epochs) if warmup_epochs else 1.0
        for start in range(0, SAMPLES, UPDATE_BATCH):
            rows = order(epoch)[start : start + UPDATE_BATCH]
            steps.append(step_by_hand(theta, rows, rate_of(len(steps)), ramp))
            theta = steps[-1].theta
            kept = MOMENTUM ** -(-len(rows) // MICRO_BATCH)
            moving = kept * moving + (1 - kept) * steps[-1].statistics
    return steps, moving


class SeveralStepsTest(Float64Case):
    @parameterized.parameters(0.0, 2.0)
    def test_every_step_is_that_of_the_loop_by_hand(self, warmup_epochs: float) -> None:
        layer = keras.layers.BatchNormalization(momentum=MOMENTUM)
        network = softplus_network(layer)
        expected, moving = train_by_hand(flat(network.trainable_variables), warmup_epochs)
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
