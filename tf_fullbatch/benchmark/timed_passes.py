"""What is timed: the full-batch step, and the bare loop of forward and backward passes beside it."""

import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.core.losses import SparseCrossentropy
from tf_fullbatch.core.micro_batch import as_full_precision
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.models.build import build_network
from tf_fullbatch.optim.gradient_descent import GradientDescent
from tf_fullbatch.training.full_batch_model import FullBatchModel

PENALTY_STRENGTH = 0.5
CLIP_NORM = 0.25
WEIGHT_DECAY = 5e-4
# Small: the random labels cannot be learnt, and the weights shall stay near where they began.
LEARNING_RATE = 1e-3


class Data(NamedTuple):
    """Random images and labels.

    Attributes:
        images: uint8 `[samples, height, width, 3]`.
        labels: int32 `[samples]`.
    """

    images: np.ndarray
    labels: np.ndarray


Contestant = Callable[[Data], float]
"""Makes one pass over the data and returns its seconds, everything on the device finished."""


def random_data(samples: int, image_size: int, num_classes: int) -> Data:
    """Independent uniform pixels and labels, the same for the same arguments."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (samples, image_size, image_size, 3), dtype=np.uint8)
    return Data(images, random.integers(0, num_classes, samples, dtype=np.int32))


def network(model: str, image_size: int, num_classes: int) -> keras.Model:
    """The network, in the present precision."""
    return build_network(
        model,
        input_shape=(image_size, image_size, 3),
        num_classes=num_classes,
        pixel_mean=[0.5] * 3,
        pixel_std=[0.29] * 3,
    )


def full_batch_model(
    net: keras.Model, penalty: str, micro_batch_size: int, jit_compile: str
) -> FullBatchModel:
    """The network in a `FullBatchModel` with the published clipping, decay and strength; no augmentation."""
    model = FullBatchModel(
        net,
        penalty=penalty,
        penalty_strength=0.0 if penalty == "none" else PENALTY_STRENGTH,
        micro_batch_size=micro_batch_size,
        clip_norm=CLIP_NORM,
        jit_compile=jit_compile,
    )
    model.compile(
        optimizer=GradientDescent(LEARNING_RATE, weight_decay=WEIGHT_DECAY), loss=SparseCrossentropy()
    )
    return model


def full_batch_step(net: keras.Model, penalty: str, micro_batch_size: int, jit_compile: bool) -> Contestant:
    """One `FullBatchModel` step over all samples, timed as `fit` reports it (`step_seconds`)."""
    model = full_batch_model(net, penalty, micro_batch_size, "on" if jit_compile else "off")

    def step(data: Data) -> float:
        done = model.steps_completed
        batches = UpdateBatches(*data, micro_batch_size=micro_batch_size)
        model.fit(batches, epochs=done + 1, initial_epoch=done, verbose=0)
        return model.last_step["step_seconds"]

    return step


def bare_loop(net: keras.Model, micro_batch_size: int, jit_compile: bool) -> Contestant:
    """The least that a full-batch gradient takes: a Python loop over one compiled function a micro-batch.

    The function runs the network in training (BatchNorm moves its statistics, as Keras has it), takes the mean
    cross-entropy and its gradient by a tape, and adds the gradient to one variable a weight. The micro-batches
    are tensors in host memory, cut before the clock starts. There is no penalty, metric, accuracy, clipping,
    norm, optimizer or input pipeline. The clock stops when the last micro-batch is finished on the device.
    """
    weights = net.trainable_variables
    sums = [tf.Variable(tf.zeros_like(v.value), trainable=False) for v in weights]

    @tf.function(autograph=False, jit_compile=jit_compile)
    def accumulate(images: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = as_full_precision(net(images, training=True))
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            loss = tf.reduce_mean(losses)
        for total, gradient in zip(sums, tape.gradient(loss, [v.value for v in weights]), strict=True):
            total.assign_add(gradient)

    def loop(data: Data) -> float:
        starts = range(0, len(data.images), micro_batch_size)
        with tf.device("CPU"):
            batches = [tuple(tf.constant(a[i : i + micro_batch_size]) for a in data) for i in starts]
        tf.test.experimental.sync_devices()
        started = time.perf_counter()
        for total in sums:
            total.assign(tf.zeros_like(total))
        for batch in batches:
            accumulate(*batch)
        tf.test.experimental.sync_devices()
        return time.perf_counter() - started

    return loop


def gradient_flops(net: keras.Model) -> float | None:
    """Floating-point operations of one image's gradient in convolutions and matrix products.

    Two a multiply-add, and three times the forward pass (forward, derivative by inputs, derivative by weights):
    3.33e9 for ResNet-18 at 32x32. None where the network has no such layer.
    """
    multiply_adds = 0
    for layer in net.layers:
        if isinstance(layer, keras.layers.Conv2D):
            multiply_adds += int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, keras.layers.Dense):
            multiply_adds += int(np.prod(layer.kernel.shape))
    return 6.0 * multiply_adds or None
