"""Loss and accuracy over a data set, every sample counted once, whatever the number of replicas."""

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.core.full_pass import Sums
from tf_fullbatch.core.micro_batch import SampleLoss, as_full_precision


def classifies(targets: tf.Tensor | tf.TensorSpec, outputs: Any) -> bool:
    """Whether accuracy has a meaning: targets are class indices `[batch]`, outputs are `[batch, classes]`."""
    return (
        targets.dtype.is_integer
        and targets.shape.rank == 1
        and len(outputs.shape) == 2
        and outputs.shape[1] > 1
    )


def fraction_correct(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Share of the samples whose largest output is at the target; 0 where `classifies` is false."""
    if not classifies(targets, outputs):
        return tf.zeros([])
    correct = tf.argmax(outputs, axis=-1, output_type=tf.int64) == tf.cast(targets, tf.int64)
    return tf.reduce_mean(tf.cast(correct, tf.float64))


def mirror_average(network: keras.Model, inputs: tf.Tensor) -> tf.Tensor:
    """Mean of the network's outputs, at least float32, for images `[batch, height, width, channels]` and their
    mirror images."""
    outputs = as_full_precision(network(inputs, training=False))
    return (outputs + as_full_precision(network(tf.reverse(inputs, axis=[2]), training=False))) / 2


class EvaluationFunctions:
    """The compiled parts of an evaluation.

    Args:
        network: A built Keras model.
        sample_loss: Loss a sample; the network's own losses (regularizers) are added to the mean.
        flip_averaging: Average the outputs for each image `[height, width, channels]` and its mirror image.
        micro_batch_size: Samples a forward pass.
        strategy: The strategy in whose scope the network was built.
        metrics: Keras metrics (or None) updated with every micro-batch's (targets, outputs).
    """

    def __init__(
        self,
        *,
        network: keras.Model,
        sample_loss: SampleLoss,
        flip_averaging: bool,
        micro_batch_size: int,
        strategy: tf.distribute.Strategy,
        metrics: keras.metrics.Metric | None,
    ):
        self._network = network
        self._sample_loss = sample_loss
        self._flip_averaging = flip_averaging
        self._micro_batch_size = micro_batch_size
        self._strategy = strategy
        self._metrics = metrics
        dtype = "float64" if keras.config.floatx() == "float64" else "float32"
        self._sums = Sums([tf.zeros([]), tf.zeros([])], dtype, strategy)

    @tf.function(autograph=False)
    def begin(self) -> None:
        """Zeroes the sums."""
        self._strategy.run(self._sums.clear)

    @tf.function(autograph=False)
    def accumulate(self, iterator: Iterator) -> None:
        """Takes one chunk a replica from the iterator and adds its samples to the sums."""
        self._strategy.run(self._accumulate_chunk, args=tuple(next(iterator)))

    @tf.function(autograph=False)
    def reduce(self, stopping: tf.Tensor) -> dict[str, tf.Tensor]:
        """`loss`, `accuracy` (means), `samples` and `stopping` over all replicas, float64 scalars.

        Args:
            stopping: See `Sums.reduced`.
        """
        (loss, correct), rows, stops = self._sums.reduced(stopping)
        results = {"loss": loss / rows, "accuracy": correct / rows, "samples": rows, "stopping": stops}
        return {k: tf.cast(v, tf.float64) for k, v in results.items()}

    def outputs(self, inputs: tf.Tensor) -> tf.Tensor:
        """The network's outputs in inference, at least float32."""
        if self._flip_averaging:
            return mirror_average(self._network, inputs)
        return as_full_precision(self._network(inputs, training=False))

    def _accumulate_chunk(
        self, inputs: tf.Tensor, targets: tf.Tensor, sample_ids: tf.Tensor, first_micro_batch: tf.Tensor
    ) -> None:
        del first_micro_batch
        size = self._micro_batch_size
        rows = tf.shape(sample_ids)[0]

        def body(i: tf.Tensor) -> tf.Tensor:
            part = slice(i * size, tf.minimum((i + 1) * size, rows))
            outputs = self.outputs(inputs[part])
            losses = self._sample_loss(targets[part], outputs)
            extra = [tf.cast(e, losses.dtype) for e in self._network.losses]
            loss = tf.reduce_mean(losses) + (tf.add_n(extra) if extra else 0.0)
            self._sums.add(part.stop - part.start, [loss, fraction_correct(targets[part], outputs)])
            if self._metrics is not None:
                self._metrics.update_state(targets[part], outputs)
            return i + 1

        tf.while_loop(lambda i: i * size < rows, body, [tf.constant(0)], parallel_iterations=1)
