"""What is timed: this package's `fit`, and beside it plain loops over the same work."""

import time
from collections.abc import Callable

import keras
import tensorflow as tf

from tf_fullbatch.benchmark.comparisons import Workload
from tf_fullbatch.benchmark.timing import Passes
from tf_fullbatch.benchmark.workloads import LEARNING_RATE, MOMENTUM, Data
from tf_fullbatch.core.losses import SparseCrossentropy
from tf_fullbatch.core.micro_batch import as_full_precision
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.run.devices import precision
from tf_fullbatch.training.full_batch_model import FullBatchModel

Maker = Callable[[keras.Model, Workload, Data], Passes]

PENALTY_STRENGTH = 0.5
CLIP_NORM = 0.25
WEIGHT_DECAY = 5e-4


def full_batch_fit(net: keras.Model, work: Workload, data: Data) -> Passes:
    """`fit` of a `FullBatchModel` with all that it measures, and without callbacks."""
    model = FullBatchModel(net, micro_batch_size=work.micro_batch_size)
    model.compile(optimizer=optimizer(work), loss=SparseCrossentropy())
    return fit_of(model, work, data)


def fit_of(model: FullBatchModel, work: Workload, data: Data) -> Passes:
    """`fit` of a compiled `FullBatchModel`."""
    batches = UpdateBatches(*data, batch_size=work.batch_size, shuffle=work.batch_size is not None)
    return timed(lambda passes: model.fit(batches, epochs=passes, verbose=0))


def published_model(
    net: keras.Model,
    penalty: str,
    micro_batch_size: int,
    jit_compile: str,
    learning_rate: float = LEARNING_RATE,
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
    descent = GradientDescent(learning_rate, weight_decay=WEIGHT_DECAY)
    model.compile(optimizer=descent, loss=SparseCrossentropy())
    return model


def keras_fit(net: keras.Model, work: Workload, data: Data) -> Passes:
    """`fit` of the network itself, as stock Keras has it, without XLA."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(optimizer=optimizer(work), loss=loss, jit_compile=False)
    return timed(
        lambda passes: net.fit(
            *data, batch_size=work.batch_size, epochs=passes, shuffle=work.batch_size is not None, verbose=0
        )
    )


def compiled_loop(net: keras.Model, work: Workload, data: Data) -> Passes:
    """A full-batch step written by hand: one call of one compiled function.

    The samples are tensors on the device, cut into equal micro-batches. A `tf.while_loop` runs over them, takes
    loss and gradient by a tape and adds them to variables; the optimizer applies the mean. There is no norm,
    no accuracy, no check, and BatchNorm moves its statistics with each micro-batch, as Keras has it.

    Raises:
        ValueError: The micro-batches do not divide the samples.
    """
    size, descent = work.micro_batch_size, optimizer(work)
    if work.samples % size:
        raise ValueError(f"Micro-batches of {size} do not divide {work.samples} samples: choose a divisor.")
    weights = net.trainable_variables
    descent.build(weights)
    images, labels = (tf.constant(array.reshape(-1, size, *array.shape[1:])) for array in data)
    sums = [tf.Variable(tf.zeros_like(v.value), trainable=False) for v in weights]
    losses = tf.Variable(0.0, trainable=False)

    def micro_batch(i: tf.Tensor) -> tf.Tensor:
        loss, gradient = _loss_and_gradient(net, images[i], labels[i])
        for total, term in zip([losses, *sums], [loss, *gradient], strict=True):
            total.assign_add(tf.cast(term, total.dtype))
        return i + 1

    @tf.function(autograph=False)
    def step() -> tf.Tensor:
        for total in [losses, *sums]:
            total.assign(tf.zeros_like(total))
        count = work.samples // size
        tf.while_loop(lambda i: i < count, micro_batch, [tf.constant(0)], parallel_iterations=1)
        descent.apply([total / count for total in sums], weights)
        return losses / count

    def run(passes: int) -> None:
        for _ in range(passes):
            float(step())

    return timed(run)


def bare_loop(net: keras.Model, work: Workload, data: Data, jit_compile: bool = False) -> Passes:
    """The least that a full-batch gradient takes: a Python loop over one compiled function per micro-batch.

    The function runs the network in training (BatchNorm moves its statistics, as Keras has it), takes the mean
    cross-entropy and its gradient by a tape, and adds the gradient to one variable per weight. The
    micro-batches are tensors in host memory, cut before the clock starts. There is no penalty, metric, accuracy,
    clipping, norm, optimizer or input pipeline. The clock stops when the last micro-batch is finished on the device.
    """
    sums = [tf.Variable(tf.zeros_like(v.value), trainable=False) for v in net.trainable_variables]
    starts, size = range(0, work.samples, work.micro_batch_size), work.micro_batch_size
    with tf.device("CPU"):
        batches = [tuple(tf.constant(array[i : i + size]) for array in data) for i in starts]

    @tf.function(autograph=False, jit_compile=jit_compile)
    def accumulate(images: tf.Tensor, labels: tf.Tensor) -> None:
        _, gradient = _loss_and_gradient(net, images, labels)
        for total, term in zip(sums, gradient, strict=True):
            total.assign_add(term)

    def run(passes: int) -> None:
        for _ in range(passes):
            for total in sums:
                total.assign(tf.zeros_like(total))
            for batch in batches:
                accumulate(*batch)

    return timed(run)


def optimizer(work: Workload) -> keras.optimizers.Optimizer:
    """Nesterov momentum at a constant rate: Keras' own for SGD, as Keras' `fit` has it, ours for the full batch."""
    if work.batch_size is None:
        return GradientDescent(LEARNING_RATE, momentum=MOMENTUM)
    return keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM, nesterov=True)


def in_precision(dtype_policy: str, run: Passes) -> Passes:
    """The same passes, each time in a precision of their own."""

    def passes_in_precision(passes: int) -> float:
        with precision(dtype_policy):
            return run(passes)

    return passes_in_precision


def _loss_and_gradient(
    net: keras.Model, images: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    with tf.GradientTape() as tape:
        logits = as_full_precision(net(images, training=True))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        loss = tf.reduce_mean(losses)
    return loss, tape.gradient(loss, [v.value for v in net.trainable_variables])


def timed(run: Callable[[int], object]) -> Passes:
    """The passes with a clock around them, which stops when everything on the device is finished."""

    def seconds_of(passes: int) -> float:
        tf.test.experimental.sync_devices()
        started = time.perf_counter()
        run(passes)
        tf.test.experimental.sync_devices()
        return time.perf_counter() - started

    return seconds_of
