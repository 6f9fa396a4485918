"""Group normalisation by few large operations, against a float64 reference and Keras' own; where it is not taken."""

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.core import normalisations
from tests.core.normalisations import built
from tests.core.problems import batch, scalars, smooth
from tf_fullbatch.core.fast_group_norm import fast_group_norm
from tf_fullbatch.core.second_derivatives import exact_second_derivatives

CHANNELS, GROUPS = 6, 3
SHAPES = {2: (4, CHANNELS), 3: (4, 3, CHANNELS), 4: (4, 3, 2, CHANNELS), 5: (2, 2, 3, 2, CHANNELS)}
KERAS = keras.layers.GroupNormalization.call


def layer_of(
    shape: tuple[int, ...], kind: Callable[..., Any] = keras.layers.GroupNormalization, **settings: Any
) -> keras.layers.GroupNormalization:
    """A layer with weights that are no defaults, the same at each call."""
    return built(kind(**{"groups": GROUPS, **settings}), shape)


def inputs_of(shape: tuple[int, ...], dtype: str = "float64") -> tf.Tensor:
    return normalisations.inputs_of(shape, dtype)


def reference(layer: keras.layers.GroupNormalization, x: np.ndarray) -> np.ndarray:
    """`gamma (x - mean) / sqrt(variance + epsilon) + beta`, each sample and group by itself."""
    found = np.empty_like(x)
    for sample in range(len(x)):
        for channels in np.split(np.arange(x.shape[-1]), layer.groups):
            part = x[sample][..., channels]
            found[sample][..., channels] = (part - part.mean()) / np.sqrt(part.var() + layer.epsilon)
    gamma = layer.gamma.numpy() if layer.scale else 1.0
    return gamma * found + (layer.beta.numpy() if layer.center else 0.0)


def operations(function: Callable[[tf.Tensor], tf.Tensor], spec: tf.TensorSpec) -> list[str]:
    graph = tf.function(function).get_concrete_function(spec).graph
    return sorted(node.op for node in graph.as_graph_def().node)


def by_keras(layer: keras.layers.GroupNormalization, spec: tf.TensorSpec) -> bool:
    """Whether the layer makes the same operations within the context as outside."""
    outside = operations(layer, spec)
    with fast_group_norm():
        return operations(layer, spec) == outside


class SameFunctionTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(rank=tuple(SHAPES), scale=(True, False), center=(True, False))
    def test_the_reference(self, rank: int, scale: bool, center: bool) -> None:
        layer = layer_of(SHAPES[rank], scale=scale, center=center, dtype="float64")
        x = inputs_of(SHAPES[rank])
        with fast_group_norm():
            found = layer(x)
        self.assertEqual(found.shape, x.shape)
        self.assertAllClose(found, reference(layer, x.numpy()), rtol=1e-12, atol=1e-12)

    @parameterized.parameters(*SHAPES)
    def test_first_derivatives_are_those_of_keras(self, rank: int) -> None:
        layer, x = layer_of(SHAPES[rank], dtype="float64"), inputs_of(SHAPES[rank])
        slopes = tf.constant(np.random.default_rng(2).normal(size=x.shape))

        def gradients() -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = tf.reduce_sum(slopes * layer(x))
            return tape.gradient(value, [x, layer.gamma.value, layer.beta.value])

        with fast_group_norm():
            found = gradients()
        self.assertAllClose(found, gradients(), rtol=1e-10, atol=1e-12)

    @parameterized.parameters("nested tapes", "forward over reverse")
    def test_second_derivatives_are_difference_quotients(self, how: str) -> None:
        shape = SHAPES[4]
        layer, x = layer_of(shape, dtype="float64"), inputs_of(shape)
        generator = np.random.default_rng(2)
        slopes, direction = (tf.constant(generator.normal(size=shape)) for _ in range(2))

        def gradient(x: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = tf.reduce_sum(slopes * tf.sin(layer(x)))
            return tape.gradient(value, x)

        with fast_group_norm():
            if how == "nested tapes":
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    along = tf.reduce_sum(gradient(x) * direction)
                product = tape.gradient(along, x)
            else:
                with tf.autodiff.ForwardAccumulator(x, direction) as forward:
                    found = gradient(x)
                product = forward.jvp(found)
            step = 1e-5
            quotient = (gradient(x + step * direction) - gradient(x - step * direction)) / (2 * step)
        # The quotient's own error is of the order of step^2 and of 1e-16 / step.
        self.assertAllClose(product, quotient, rtol=1e-7, atol=1e-7 * np.abs(quotient).max())

    @parameterized.parameters("bfloat16", "float16")
    def test_half_precision_is_rounded_at_the_end_alone(self, dtype: str) -> None:
        shape = SHAPES[4]
        layer, x = layer_of(shape, dtype=f"mixed_{dtype}"), inputs_of(shape, dtype)
        with fast_group_norm():
            found = layer(x)
        self.assertEqual(found.dtype, dtype)
        exact = reference(layer, tf.cast(x, tf.float64).numpy())
        half_a_unit = {"bfloat16": 2**-9, "float16": 2**-12}[dtype]
        self.assertAllClose(tf.cast(found, tf.float64), exact, rtol=2 * half_a_unit, atol=1e-6)

    def test_large_means_cancel_no_digits(self) -> None:
        shape = (2, 8, 8, CHANNELS)
        layer = layer_of(shape)
        x = inputs_of(shape, "float32") + 1e4
        with fast_group_norm():
            found = layer(x)
        # The mean itself is known to a few units in its last place, 1e-3 each.
        self.assertAllClose(found, reference(layer, x.numpy().astype("float64")), rtol=1e-3, atol=5e-3)

    def test_shapes_known_at_run_time_alone_and_no_samples(self) -> None:
        layer = layer_of(SHAPES[4], dtype="float64")
        with fast_group_norm():
            traced = tf.function(layer).get_concrete_function(
                tf.TensorSpec([None, None, None, CHANNELS], tf.float64)
            )
        for shape in (SHAPES[4], (2, 5, 1, CHANNELS), (0, 3, 2, CHANNELS)):
            x = inputs_of(shape)
            self.assertAllClose(traced(x), reference(layer, x.numpy()), rtol=1e-12, atol=1e-12)

    def test_each_sample_by_itself(self) -> None:
        layer, x = layer_of(SHAPES[4], dtype="float64"), inputs_of(SHAPES[4])
        with fast_group_norm():
            mapped = tf.vectorized_map(lambda sample: layer(sample[tf.newaxis])[0], x)
            self.assertAllClose(mapped, layer(x), rtol=1e-13, atol=1e-13)


class FallBackTest(tf.test.TestCase):
    def test_the_layers_below_are_otherwise_taken(self) -> None:
        for axis in (-1, 3):
            layer = layer_of(SHAPES[4], axis=axis)
            self.assertFalse(by_keras(layer, tf.TensorSpec(SHAPES[4])), msg=f"axis {axis}")

    def test_another_axis(self) -> None:
        shape = (4, CHANNELS, 3, 2)
        self.assertTrue(by_keras(layer_of(shape, axis=1), tf.TensorSpec(shape)))

    def test_subclasses(self) -> None:
        class Doubled(keras.layers.GroupNormalization):
            def _apply_normalization(self, *args: Any) -> Any:
                return 2 * super()._apply_normalization(*args)

        self.assertTrue(by_keras(layer_of(SHAPES[4], kind=Doubled), tf.TensorSpec(SHAPES[4])))

    def test_the_class_is_as_it_was_also_after_an_error(self) -> None:
        with contextlib.suppress(RuntimeError), fast_group_norm():
            self.assertIsNot(keras.layers.GroupNormalization.call, KERAS)
            raise RuntimeError
        self.assertIs(keras.layers.GroupNormalization.call, KERAS)


class OfTheLossTest(tf.test.TestCase, parameterized.TestCase):
    """`MicroBatchLoss` takes it for derivatives of every order where it is asked for."""

    @parameterized.product(asked=(True, False), derivatives=(0, 1, 2))
    def test_where_it_is_taken(self, asked: bool, derivatives: int) -> None:
        problem = smooth(keras.layers.GroupNormalization(1), fused_kernels=asked)
        part = batch()._replace(inputs=tf.cast(batch().inputs, tf.float32))

        def value(inputs: tf.Tensor) -> tf.Tensor:
            of = part._replace(inputs=inputs)
            return problem.loss.value(problem.theta, problem.state, of, scalars(), derivatives=derivatives)[0]

        # `tf.nn.moments`, Keras' own, holds the mean fixed by this operation; so does what replaces it.
        self.assertEqual(
            "StopGradient" in operations(value, tf.TensorSpec.from_tensor(part.inputs)), not asked
        )
        self.assertIs(keras.layers.GroupNormalization.call, KERAS)

    def test_it_may_stand_within_exact_second_derivatives(self) -> None:
        layer, x = layer_of(SHAPES[4], dtype="float64"), inputs_of(SHAPES[4])
        with exact_second_derivatives(), fast_group_norm():
            self.assertAllClose(layer(x), reference(layer, x.numpy()), rtol=1e-12, atol=1e-12)


if __name__ == "__main__":
    tf.test.main()
