"""Epochs of several update batches, and the softplus network with BatchNorm on them, written by hand."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tests.networks import CLASSES, FEATURES, UNITS
from tests.training.small_models import SAMPLES, X, Y
from tf_fullbatch.data.batches import UpdateBatches

# Steps of 10, 10 and 3 samples, in micro-batches of 4 + 4 + 2, 4 + 4 + 2 and 3.
EPOCHS, UPDATE_BATCH, MICRO_BATCH, SEED = 3, 10, 4, 5
STATISTICS_MOMENTUM = 0.5
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


def micro_batches(rows: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """(share of the samples, rows) of each."""
    parts = [rows[start : start + MICRO_BATCH] for start in range(0, len(rows), MICRO_BATCH)]
    return [(len(part) / len(rows), part) for part in parts]


def measured(theta: tf.Tensor, rows: np.ndarray) -> tuple[float, tf.Tensor]:
    """(loss, statistics) of an update batch."""
    passes = [(share, forward(theta, part)) for share, part in micro_batches(rows)]
    return sum(share * float(p.loss) for share, p in passes), sum(share * p.statistics for share, p in passes)


def train_by_hand(
    theta: tf.Tensor, step: Callable[[tf.Tensor, np.ndarray, float, int], Step]
) -> tuple[list[Step], tf.Tensor]:
    """Every step of the training, and the moving BatchNorm statistics after the last, `[2, UNITS]`.

    Args:
        theta: The initial weights.
        step: (theta, rows, rate, epoch) -> what the update gives.
    """
    order = UpdateBatches(X, Y, shuffle=True, seed=SEED).order
    moving = tf.stack([tf.zeros(UNITS, tf.float64), tf.ones(UNITS, tf.float64)])
    steps: list[Step] = []
    for epoch in range(EPOCHS):
        for start in range(0, SAMPLES, UPDATE_BATCH):
            rows = order(epoch)[start : start + UPDATE_BATCH]
            steps.append(step(theta, rows, float(rate_of(len(steps))), epoch))
            theta = steps[-1].theta
            kept = STATISTICS_MOMENTUM ** -(-len(rows) // MICRO_BATCH)
            moving = kept * moving + (1 - kept) * steps[-1].statistics
    return steps, moving
