"""The accumulated gradient is that of one big batch, whatever the micro-batches, chunks and order."""

from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_fullbatch.core import trees
from tf_fullbatch.core.full_pass import FullPass
from tf_fullbatch.core.gradient_trace import SampleSpecs
from tf_fullbatch.core.micro_batch import StepScalars
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.training.drivers import source_of
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.parts import build_training
from tf_fullbatch.training.trainable import loss_of

SAMPLES, CLASSES = 30, 3
GENERATOR = np.random.default_rng(5)
IMAGES = GENERATOR.normal(size=(SAMPLES, 8, 8, 1))
LABELS = GENERATOR.integers(0, CLASSES, SAMPLES)


def sample_loss(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)


@cache
def network(activation: str, dtype: str) -> keras.Model:
    """Convolution, GroupNorm, a regularised head and added losses; every sample on its own."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), dtype=dtype),
            keras.layers.Conv2D(4, 3, strides=2, dtype=dtype),
            keras.layers.GroupNormalization(2, dtype=dtype),
            keras.layers.Activation(activation, dtype=dtype),
            keras.layers.ActivityRegularization(l2=0.01, dtype=dtype),
            keras.layers.Flatten(dtype=dtype),
            keras.layers.Dense(CLASSES, kernel_regularizer="l2", dtype=dtype),
        ]
    )


@cache
def full_pass(activation: str, dtype: str, micro_batch_size: int, **more: Any) -> FullPass:
    """The pass of a step, as `FullBatchModel` makes it."""
    model = FullBatchModel(network(activation, dtype), micro_batch_size=micro_batch_size, **more)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss)
    model.optimizer.build(model.network.trainable_variables)
    specs = tf.TensorSpec([None, 8, 8, 1], dtype), tf.TensorSpec([None], tf.int64)
    samples = SampleSpecs(*specs)
    training = build_training(model, loss_of(model, samples), samples, None, ())
    (made,) = training.steps.functions.passes.passes
    return made


def scalars() -> StepScalars:
    whole, number = tf.constant(0, tf.int64), tf.constant(0.1, tf.float64)
    return StepScalars(whole, whole, number, number, number)


def accumulated(
    function: FullPass, samples: int, batch_size: int, micro_batch_size: int, chunk: int | None, **more: Any
) -> list[tuple[trees.Tree, dict[str, float]]]:
    """Mean gradient and figures of each step of an epoch."""
    dtype = function._kernel._loss.call.network.trainable_variables[0].dtype
    data = UpdateBatches(
        IMAGES[:samples].astype(dtype),
        LABELS[:samples],
        batch_size=batch_size,
        chunk_micro_batches=chunk,
        **more,
    )
    source = source_of(data, micro_batch_size, tf.distribute.get_strategy())
    found = []
    for step in range(data.steps_per_epoch):
        means = function.run(source, step, scalars(), None, None)
        figures = {
            "loss": means.weighted.loss,
            "accuracy": means.sampled.accuracy,
            "gradient_norm": trees.global_norm(means.weighted.gradient),
            "mean_squared_micro_batch_gradient_norm": means.weighted.squared_norm,
            "samples": means.samples,
        }
        found.append((means.weighted.gradient, {k: float(v) for k, v in figures.items()}))
    return found


def one_big_batch(activation: str, dtype: str, rows: slice) -> tuple[trees.Tree, float]:
    """Gradient and loss as Keras has them."""
    model = network(activation, dtype)
    variables = [v.value for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        logits = model(IMAGES[rows].astype(dtype), training=True)
        loss = tf.reduce_mean(sample_loss(LABELS[rows], logits)) + tf.add_n(model.losses)
    return tape.gradient(loss, variables), float(loss)


def relative_error(found: trees.Tree, expected: trees.Tree) -> float:
    return float(trees.global_norm(trees.subtract(found, expected)) / trees.global_norm(expected))


def bits(x: trees.Tree) -> list[bytes]:
    return [leaf.numpy().tobytes() for leaf in x]


class ExactnessTest(tf.test.TestCase, parameterized.TestCase):
    @settings(deadline=None, max_examples=20)
    @given(
        activation=st.sampled_from(["relu", "softplus"]),
        samples=st.integers(1, SAMPLES),
        batch_size=st.integers(1, SAMPLES),
        micro_batch_size=st.sampled_from([1, 4, 7, 50]),
        chunk=st.none() | st.integers(1, 4),
    )
    def test_every_step_has_the_gradient_of_its_samples(
        self, activation, samples, batch_size, micro_batch_size, chunk
    ):
        batch_size = min(samples, max(batch_size, samples // 3))
        functions = full_pass(activation, "float64", micro_batch_size)
        found = accumulated(functions, samples, batch_size, micro_batch_size, chunk)
        self.assertLen(found, -(-samples // batch_size))
        for step, (gradient, figures) in enumerate(found):
            rows = slice(step * batch_size, min((step + 1) * batch_size, samples))
            expected, loss = one_big_batch(activation, "float64", rows)
            self.assertLess(relative_error(gradient, expected), 1e-12)
            self.assertAllClose(figures["loss"], loss, rtol=1e-12, atol=0)
            self.assertAllClose(figures["gradient_norm"], trees.global_norm(expected), rtol=1e-12, atol=0)
            self.assertEqual(figures["samples"], rows.stop - rows.start)
        self.assertEqual(sum(figures["samples"] for _, figures in found), samples)

    def test_accuracy_counts_samples(self):
        functions = full_pass("relu", "float64", 4)
        ((_, figures),) = accumulated(functions, SAMPLES, SAMPLES, 4, 2)
        predicted = np.argmax(network("relu", "float64").predict(IMAGES, verbose=0), axis=1)
        self.assertAllClose(figures["accuracy"], np.mean(predicted == LABELS), rtol=1e-12, atol=0)

    def test_squared_norm_is_the_sample_weighted_mean_over_micro_batches(self):
        functions = full_pass("relu", "float64", 7)
        ((_, figures),) = accumulated(functions, SAMPLES, SAMPLES, 7, 2)
        expected = 0.0
        for start in range(0, SAMPLES, 7):
            rows = slice(start, min(start + 7, SAMPLES))
            gradient, _ = one_big_batch("relu", "float64", rows)
            expected += (rows.stop - rows.start) / SAMPLES * float(trees.squared_norm(gradient))
        self.assertAllClose(figures["mean_squared_micro_batch_gradient_norm"], expected, rtol=1e-12, atol=0)


class ChunkTest(tf.test.TestCase):
    def test_no_bit_depends_on_the_chunks_and_the_step_is_traced_once(self):
        functions = full_pass("relu", "float32", 4)
        cuts = [(chunk, on_device) for chunk in (1, 2, 3, 7, 100, None) for on_device in (True, False)]
        results = [accumulated(functions, 27, 27, 4, chunk, on_device=held)[0] for chunk, held in cuts]
        for gradient, figures in results[1:]:
            self.assertEqual(bits(gradient), bits(results[0][0]))
            self.assertEqual(figures, results[0][1])
        # Neither ragged micro-batches nor new iterators make TensorFlow trace again.
        self.assertEqual([traced.count for traced in functions._compiled.values()], [1, 1])


class PrecisionTest(tf.test.TestCase):
    def test_float64_sums_are_closer_to_the_mean_of_float32_gradients(self):
        parts = [one_big_batch("relu", "float32", slice(i, i + 1))[0] for i in range(SAMPLES)]
        mean = [np.mean([p[leaf].numpy().astype("float64") for p in parts], axis=0) for leaf in range(6)]
        errors = {}
        for dtype in ("float32", "float64"):
            # By Keras' own operations, as the parts: the sums alone are to differ.
            functions = full_pass("relu", "float32", 1, accumulate_dtype=dtype, fused_batch_norm=False)
            self.assertEqual(functions._scalar_sums.dtype, dtype)
            ((gradient, _),) = accumulated(functions, SAMPLES, SAMPLES, 1, None)
            self.assertEqual({g.dtype.name for g in gradient}, {dtype})
            errors[dtype] = relative_error([tf.cast(g, "float64") for g in gradient], mean)
        self.assertLess(errors["float64"], 0.5 * errors["float32"])
        self.assertLess(errors["float64"], 1e-7)

    def test_float64_weights_widen_the_sums(self):
        self.assertEqual(full_pass("relu", "float64", 4)._scalar_sums.dtype, "float64")


if __name__ == "__main__":
    tf.test.main()
