"""Fused batch normalisation against Keras' own, and where it must not be taken."""

import contextlib
import threading
import unittest.mock
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.core import normalisations
from tests.core.normalisations import built
from tests.core.problems import batch, scalars, smooth
from tf_fullbatch.core.fused_kernels import fused_batch_norm
from tf_fullbatch.core.second_derivatives import exact_second_derivatives

SHAPES = {2: (6, 5), 4: (3, 4, 2, 5)}
KERAS = keras.layers.BatchNormalization.call


def layer_of(shape: tuple[int, ...], **settings: Any) -> keras.layers.BatchNormalization:
    """A layer with weights and statistics that are no defaults, the same at each call."""
    return built(keras.layers.BatchNormalization(momentum=0.9, **settings), shape)


def inputs_of(shape: tuple[int, ...], dtype: str = "float32") -> tf.Tensor:
    return normalisations.inputs_of(shape, dtype)


@contextlib.contextmanager
def counted() -> Any:
    """A mock that counts calls of the fused kernel, which it makes."""
    kernel = tf.raw_ops.FusedBatchNormV3
    with unittest.mock.patch.object(tf.raw_ops, "FusedBatchNormV3", side_effect=kernel) as calls:
        yield calls


def run(layer: keras.layers.BatchNormalization, x: tf.Tensor, fused: bool, **call: Any) -> dict[str, Any]:
    """What the layer gives in training: outputs, gradients of a loss in them, new statistics."""
    slopes = tf.constant(np.random.default_rng(2).normal(size=x.shape), "float32")
    variables = [v.value for v in layer.trainable_variables]
    with fused_batch_norm() if fused else contextlib.nullcontext(), tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, **{"training": True, **call})
        loss = tf.reduce_sum(slopes * tf.cast(outputs, tf.float32))
    gradients = tape.gradient(loss, [x, *variables])
    statistics = [v.numpy() for v in (layer.moving_mean, layer.moving_variance)]
    return {"outputs": outputs, "gradients": gradients, "statistics": statistics}


CASES = [
    {"rank": rank, "scale": scale, "center": center}
    for rank in SHAPES
    for scale in (True, False)
    for center in (True, False)
]


class SameFunctionTest(tf.test.TestCase, parameterized.TestCase):
    def pair(self, dtype: str, rank: int, **settings: Any) -> tuple[dict, dict]:
        shape, policy = SHAPES[rank], {"float32": "float32"}.get(dtype, f"mixed_{dtype}")
        x = inputs_of(shape, dtype)
        with counted() as calls:
            fused = run(layer_of(shape, dtype=policy, **settings), x, fused=True)
            self.assertEqual(calls.call_count, 1)
            own = run(layer_of(shape, dtype=policy, **settings), x, fused=False)
            self.assertEqual(calls.call_count, 1)
        self.assertEqual(fused["outputs"].dtype, own["outputs"].dtype)
        self.assertEqual([g.dtype for g in fused["gradients"]], [g.dtype for g in own["gradients"]])
        self.assertLen(fused["gradients"], 1 + settings["scale"] + settings["center"])
        return fused, own

    @parameterized.parameters(*CASES)
    def test_float32(self, rank: int, **settings: bool) -> None:
        fused, own = self.pair("float32", rank, **settings)
        # Numbers of order 10 after a few dozen float32 operations of 6e-8 each, in another order.
        self.assertAllClose(fused["outputs"], own["outputs"], rtol=2e-6, atol=2e-6)
        for ours, theirs in zip(fused["gradients"], own["gradients"], strict=True):
            self.assertAllClose(ours, theirs, rtol=1e-5, atol=1e-5)
        self.assertAllClose(fused["statistics"], own["statistics"], rtol=1e-6, atol=0)

    @parameterized.parameters(*CASES)
    def test_bfloat16(self, rank: int, **settings: bool) -> None:
        fused, own = self.pair("bfloat16", rank, **settings)
        self.assertEqual(fused["outputs"].dtype, tf.bfloat16)
        # Both compute in float32 and round to 8 bits at the end: one unit in the last place apart at most.
        wide = [tf.cast(f["outputs"], tf.float32) for f in (fused, own)]
        self.assertAllClose(*wide, rtol=2**-7, atol=1e-6)
        # The gradient of an input is a difference of three terms of the size of its largest entries, which the
        # kernel rounds once and automatic differentiation along the way.
        ours, theirs = (tf.cast(f["gradients"][0], tf.float32).numpy() for f in (fused, own))
        self.assertLess(np.abs(ours - theirs).max(), 2**-6 * np.abs(theirs).max())
        for ours, theirs in zip(fused["gradients"][1:], own["gradients"][1:], strict=True):
            # Float32, sums of products of rounded outputs.
            self.assertAllClose(ours, theirs, rtol=2**-7, atol=2**-7 * np.abs(theirs).max())
        self.assertAllClose(fused["statistics"], own["statistics"], rtol=1e-6, atol=0)

    @parameterized.parameters(2, 4)
    def test_moving_variance_is_of_biased_variances(self, rank: int) -> None:
        shape = SHAPES[rank]
        layer, x = layer_of(shape), inputs_of(shape)
        before = [v.numpy() for v in (layer.moving_mean, layer.moving_variance)]
        found = run(layer, x, fused=True)["statistics"]
        axes = tuple(range(rank - 1))
        measured = x.numpy().astype("float64").mean(axes), x.numpy().astype("float64").var(axes)
        for new, old, now in zip(found, before, measured, strict=True):
            self.assertAllClose(new, 0.9 * old + 0.1 * now, rtol=1e-6, atol=0)

    def test_one_sample_has_no_variance(self) -> None:
        shape = (1, 5)
        fused, own = (run(layer_of(shape), inputs_of(shape), fused=f) for f in (True, False))
        self.assertAllClose(fused["statistics"], own["statistics"], rtol=1e-6, atol=0)
        # Nothing but the offset is left; Keras' own is 3e-6 off, by x / sqrt(epsilon) - mean / sqrt(epsilon).
        self.assertAllClose(fused["outputs"][0], layer_of(shape).beta.numpy(), rtol=1e-6, atol=0)

    def test_large_means_cancel_no_digits(self) -> None:
        # E[x^2] - E[x]^2 would lose them all: 1e4^2 has 8 digits.
        shape = (64, 2)
        x = tf.constant(1e4 + np.random.default_rng(0).normal(size=shape), tf.float32)
        fused, own = (run(layer_of(shape), x, fused=f) for f in (True, False))
        # The mean itself is known to a few units in its last place, 1e-3 each.
        self.assertAllClose(fused["outputs"], own["outputs"], rtol=1e-3, atol=5e-3)
        self.assertAllClose(fused["statistics"], own["statistics"], rtol=1e-4, atol=0)

    def test_a_traced_function_keeps_the_kernel_it_was_traced_with(self) -> None:
        shape = SHAPES[4]
        layer, x = layer_of(shape), inputs_of(shape)
        function = tf.function(lambda x: layer(x, training=True))
        with fused_batch_norm():
            traced = function.get_concrete_function(x)
        names = {node.op for node in traced.graph.as_graph_def().node}
        self.assertIn("FusedBatchNormV3", names)
        other = tf.function(lambda x: layer(x, training=True)).get_concrete_function(x)
        self.assertNotIn("FusedBatchNormV3", {node.op for node in other.graph.as_graph_def().node})


class FallBackTest(tf.test.TestCase, parameterized.TestCase):
    """Where the kernel does not fit, the layer's own operations run, bit for bit."""

    def assert_falls_back(self, make: Any, x: tf.Tensor, **call: Any) -> None:
        with counted() as calls:
            fused = run(make(), x, fused=True, **call)
            self.assertEqual(calls.call_count, 0)
        own = run(make(), x, fused=False, **call)
        for ours, theirs in zip(tf.nest.flatten(fused), tf.nest.flatten(own), strict=True):
            if theirs is not None:
                self.assertAllEqual(ours, theirs)

    def test_the_layers_below_do_otherwise_take_the_kernel(self) -> None:
        for rank in SHAPES:
            with counted() as calls:
                run(layer_of(SHAPES[rank], axis=rank - 1), inputs_of(SHAPES[rank]), fused=True)
                self.assertEqual(calls.call_count, 1)

    def test_float64(self) -> None:
        x = inputs_of(SHAPES[2], "float64")
        self.assert_falls_back(lambda: layer_of(SHAPES[2], dtype="float64"), x)

    def test_half_precision_statistics(self) -> None:
        x = inputs_of(SHAPES[2], "bfloat16")
        self.assert_falls_back(lambda: layer_of(SHAPES[2], dtype="bfloat16"), x)

    def test_another_axis(self) -> None:
        self.assert_falls_back(lambda: layer_of(SHAPES[4], axis=1), inputs_of(SHAPES[4]))

    @parameterized.parameters((3,), (5,))
    def test_other_ranks(self, rank: int) -> None:
        shape = (3, 4, 2, 2, 5)[-rank:]
        self.assert_falls_back(lambda: layer_of(shape), inputs_of(shape))

    def test_mask(self) -> None:
        mask = tf.constant([True, False, True, True, False, True])
        self.assert_falls_back(lambda: layer_of(SHAPES[2]), inputs_of(SHAPES[2]), mask=mask)

    def test_renormalisation(self) -> None:
        self.assert_falls_back(lambda: layer_of(SHAPES[2], renorm=True), inputs_of(SHAPES[2]))

    def test_not_training(self) -> None:
        self.assert_falls_back(lambda: layer_of(SHAPES[4]), inputs_of(SHAPES[4]), training=False)

    def test_not_trainable(self) -> None:
        def frozen() -> keras.layers.BatchNormalization:
            layer = layer_of(SHAPES[4])
            layer.trainable = False
            return layer

        self.assert_falls_back(frozen, inputs_of(SHAPES[4]))

    def test_statistics_over_replicas(self) -> None:
        self.assert_falls_back(lambda: layer_of(SHAPES[2], synchronized=True), inputs_of(SHAPES[2]))


class RestoredTest(tf.test.TestCase):
    def assert_restored(self) -> None:
        self.assertIs(keras.layers.BatchNormalization.call, KERAS)

    def test_after_the_last_exit_also_of_an_error(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "inside"), fused_batch_norm():
            self.assertIsNot(keras.layers.BatchNormalization.call, KERAS)
            with fused_batch_norm():
                self.assertIsNot(keras.layers.BatchNormalization.call, KERAS)
            self.assertIsNot(keras.layers.BatchNormalization.call, KERAS)
            raise RuntimeError("inside")
        self.assert_restored()

    def test_threads_may_leave_in_the_order_they_came(self) -> None:
        entered, leave = threading.Event(), threading.Event()

        def other() -> None:
            with fused_batch_norm():
                entered.set()
                leave.wait(10)

        thread = threading.Thread(target=other)
        with fused_batch_norm():
            thread.start()
            self.assertTrue(entered.wait(10))
        self.assertIsNot(keras.layers.BatchNormalization.call, KERAS)
        leave.set()
        thread.join(10)
        self.assert_restored()

    def test_layers_made_inside_are_stock_layers(self) -> None:
        with fused_batch_norm():
            layer = layer_of(SHAPES[2])
        self.assertIs(type(layer), keras.layers.BatchNormalization)
        again = keras.layers.BatchNormalization.from_config(layer.get_config())
        self.assertEqual(again.get_config(), layer.get_config())
        with counted() as calls:
            layer(inputs_of(SHAPES[2]), training=True)
            self.assertEqual(calls.call_count, 0)


class OfTheLossTest(tf.test.TestCase, parameterized.TestCase):
    """`MicroBatchLoss` takes the kernel where it is asked for and no second derivative is."""

    @parameterized.parameters((True, 0, 1), (True, 1, 1), (True, 2, 0), (False, 0, 0), (False, 1, 0))
    def test_where_first_derivatives_alone_are_wanted(
        self, fused: bool, derivatives: int, count: int
    ) -> None:
        problem = smooth(keras.layers.BatchNormalization(), fused_kernels=fused)
        when = scalars()
        with counted() as calls:
            part = batch()._replace(inputs=tf.cast(batch().inputs, tf.float32))
            problem.loss.value(problem.theta, problem.state, part, when, derivatives=derivatives)
        self.assertEqual(calls.call_count, count)
        self.assertIs(keras.layers.BatchNormalization.call, KERAS)

    def test_within_exact_second_derivatives_there_is_no_kernel(self) -> None:
        layer = layer_of(SHAPES[2])
        with counted() as calls, exact_second_derivatives():
            layer(inputs_of(SHAPES[2]), training=True)
        self.assertEqual(calls.call_count, 0)


if __name__ == "__main__":
    tf.test.main()
