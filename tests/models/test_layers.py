"""The pieces of a residual network against NumPy, at even and odd sizes."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch.models import layers
from tf_fullbatch.models.shortcuts import shortcut
from tf_fullbatch.models.stems import STEM_STRIDES, apply_stem

SIZES = ((8, 8), (7, 7), (8, 5), (5, 8), (2, 3))


def choices(**overrides) -> layers.LayerChoices:
    usual = {"norm": "none", "activation": "relu", "seed": 0}
    return layers.LayerChoices(**{**usual, **overrides})


def numpy_convolution(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """The definition: `kernel // 2` zeros on each side, every `stride`-th position (PyTorch's Conv2d)."""
    side = kernel.shape[0]
    before = side // 2
    padded = np.pad(x, ((0, 0), (before, before), (before, before), (0, 0)))
    rows = (x.shape[1] + 2 * before - side) // stride + 1
    columns = (x.shape[2] + 2 * before - side) // stride + 1
    result = np.zeros((x.shape[0], rows, columns, kernel.shape[3]))
    for i in range(rows):
        for j in range(columns):
            window = padded[:, i * stride : i * stride + side, j * stride : j * stride + side]
            result[:, i, j] = np.einsum("bhwc,hwcf->bf", window, kernel)
    return result


def numpy_windows(x: np.ndarray, side: int, before: int, reduce: Callable) -> np.ndarray:
    """Reduces the existing pixels of windows of `side`, at stride 2, the first `before` pixels outside."""
    rows, columns = -(-x.shape[1] // 2), -(-x.shape[2] // 2)
    result = np.zeros((x.shape[0], rows, columns, x.shape[3]))
    for i in range(rows):
        for j in range(columns):
            top, left = max(2 * i - before, 0), max(2 * j - before, 0)
            bottom, right = 2 * i - before + side, 2 * j - before + side
            result[:, i, j] = reduce(x[:, top:bottom, left:right], axis=(1, 2))
    return result


class LayersTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        keras.config.set_dtype_policy("float64")

    def tearDown(self):
        keras.config.set_dtype_policy("float32")
        super().tearDown()

    def images(self, size: tuple[int, int], channels: int = 3) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(2, *size, channels))

    @parameterized.product(size=SIZES, kernel_size=(1, 3, 7), stride=(1, 2))
    def test_convolution_pads_symmetrically(self, size: tuple[int, int], kernel_size: int, stride: int):
        pixels = keras.Input((*size, 3), dtype="float64")
        output = layers.convolution(pixels, 4, kernel_size, stride, choices(norm="batch"), "conv")
        network = keras.Model(pixels, output)
        x = self.images(size)
        expected = numpy_convolution(x, network.get_layer("conv").kernel.numpy(), stride)
        self.assertAllClose(network(x), expected, rtol=1e-12, atol=1e-12)

    @parameterized.product(size=SIZES, kernel_size=(1, 3), stride=(1, 2))
    def test_standardised_convolution(self, size: tuple[int, int], kernel_size: int, stride: int):
        pixels = keras.Input((*size, 3), dtype="float64")
        standardised, plain = (
            keras.Model(pixels, layers.convolution(pixels, 4, kernel_size, stride, kind, "stem_conv"))
            for kind in (choices(norm="group", weight_standardisation=True), choices(norm="group"))
        )
        (variable,) = standardised.trainable_variables
        kernel = variable.numpy()
        self.assertEqual(variable.path, plain.trainable_variables[0].path)
        self.assertAllEqual(kernel, plain.trainable_variables[0])
        x = self.images(size)
        filters = kernel.reshape(-1, 4)
        filters = (filters - filters.mean(0)) / filters.std(0)
        expected = numpy_convolution(x, filters.reshape(kernel.shape), stride)
        self.assertAllClose(standardised(x), expected, rtol=1e-8, atol=1e-8)
        variable.assign(kernel * [2.0, 0.5, 3.0, 7.0] + [1.0, -1.0, 2.0, 0.0])
        self.assertAllClose(standardised(x), expected, rtol=1e-8, atol=1e-8)

    def test_standardised_kernel_has_float32_statistics_in_half_precision(self):
        keras.config.set_dtype_policy("mixed_bfloat16")
        pixels = keras.Input((5, 5, 3), dtype="bfloat16")
        output = layers.convolution(
            pixels, 4, 3, 1, choices(norm="group", weight_standardisation=True), "conv"
        )
        network = keras.Model(pixels, output)
        self.assertEqual(output.dtype, "bfloat16")
        self.assertEqual(network.trainable_variables[0].dtype, "float32")
        kernel = network.trainable_variables[0].numpy()
        filters = (kernel - kernel.mean((0, 1, 2))) / kernel.std((0, 1, 2))
        x = tf.cast(self.images((5, 5)), tf.bfloat16)
        expected = numpy_convolution(
            tf.cast(x, tf.float64).numpy(), filters.astype("bfloat16").astype(float), 1
        )
        # Sums of 27 products in float32, rounded to bfloat16 once.
        self.assertAllClose(tf.cast(network(x), tf.float64), expected, rtol=2**-8, atol=1e-3)

    @parameterized.product(size=SIZES, stride=(1, 2))
    def test_pad_shortcut_subsamples_and_appends_zeros(self, size: tuple[int, int], stride: int):
        pixels = keras.Input((*size, 3), dtype="float64")
        network = keras.Model(pixels, shortcut(pixels, 8, stride, "pad", choices(), "block"))
        x = self.images(size)
        expected = np.zeros((2, *x[:, ::stride, ::stride].shape[1:3], 8))
        expected[..., :3] = x[:, ::stride, ::stride]
        self.assertAllEqual(network(x), expected)
        self.assertEmpty(network.variables)

    @parameterized.product(size=SIZES)
    def test_pool_shortcut_averages_existing_pixels(self, size: tuple[int, int]):
        pixels = keras.Input((*size, 3), dtype="float64")
        output = shortcut(pixels, 4, 2, "pool_conv_norm", choices(), "block")
        network = keras.Model(pixels, output)
        x = self.images(size)
        kernel = network.get_layer("block_shortcut_conv").kernel.numpy()
        expected = numpy_windows(x, 2, 0, np.mean) @ kernel[0, 0]
        self.assertAllClose(network(x), expected, rtol=1e-12, atol=1e-12)

    def test_shortcut_of_an_unchanged_shape_is_the_identity(self):
        pixels = keras.Input((8, 8, 3))
        for kind in ("pad", "conv", "conv_norm", "pool_conv_norm"):
            self.assertIs(shortcut(pixels, 3, 1, kind, choices(), "block"), pixels)

    def test_pool_shortcut_without_stride_does_not_pool(self):
        pixels = keras.Input((8, 8, 3))
        output = shortcut(pixels, 4, 1, "pool_conv_norm", choices(), "block")
        self.assertEqual(output.shape, (None, 8, 8, 4))
        self.assertNotIn("block_shortcut_pool", [layer.name for layer in keras.Model(pixels, output).layers])

    @parameterized.product(stem=("cifar", "imagenet", "efficient"), size=((32, 32), (33, 35), (34, 31)))
    def test_stems_have_the_published_shapes(self, stem: str, size: tuple[int, int]):
        pixels = keras.Input((*size, 3), dtype="float64")
        network = keras.Model(pixels, apply_stem(pixels, 16, stem, choices()))
        stride = STEM_STRIDES[stem]
        self.assertEqual(network.output.shape, (None, -(-size[0] // stride), -(-size[1] // stride), 16))
        kernels = [tuple(variable.shape) for variable in network.variables if variable.name == "kernel"]
        self.assertEqual(
            kernels,
            {
                "cifar": [(3, 3, 3, 16)],
                "imagenet": [(7, 7, 3, 16)],
                "efficient": [(3, 3, 3, 8), (3, 3, 8, 8), (3, 3, 8, 16)],
            }[stem],
        )

    @parameterized.product(size=((16, 16), (17, 17), (18, 15)))
    def test_max_pooling_is_symmetric_and_never_takes_the_padding(self, size: tuple[int, int]):
        # silu: negative values, which zeros in the padding would exceed.
        pixels = keras.Input((*size, 3), dtype="float64")
        stem = apply_stem(pixels, 8, "imagenet", choices(activation="silu"))
        before = keras.Model(pixels, keras.Model(pixels, stem).get_layer("stem_silu").output)
        x = -np.abs(self.images(size))
        activations = before(x).numpy()
        self.assertLess(activations.min(), 0)
        expected = numpy_windows(activations, 3, 1, np.max)
        self.assertAllEqual(keras.Model(pixels, stem)(x), expected)

    @parameterized.parameters((512, 32), (64, 32), (16, 8), (8, 4), (48, 24), (80, 20), (7, 1), (1, 1))
    def test_group_count(self, channels: int, expected: int):
        self.assertEqual(layers.group_count(channels), expected)


if __name__ == "__main__":
    tf.test.main()
