"""build_network: parameter counts, pixel normalisation, seeds, and what it refuses."""

import sys

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch.core.keras_internals import deep_networks
from tf_fullbatch.models.base import ACTIVATIONS, NORMS, SHORTCUTS, STEMS
from tf_fullbatch.models.build import build_network
from tf_fullbatch.models.layers import layer_seed
from tf_fullbatch.models.registry import MODELS

# The CIFAR-10 training set's statistics, in units of pixel / 255.
MEAN = (0.49140, 0.48216, 0.44653)
STD = (0.24703, 0.24349, 0.26159)


def build(name: str = "resnet_tiny", side: int = 8, num_classes: int = 10, **choices) -> keras.Model:
    return build_network(
        name,
        input_shape=(side, side, 3),
        num_classes=num_classes,
        pixel_mean=MEAN,
        pixel_std=STD,
        **choices,
    )


def slim_count(blocks: int) -> int:
    """Parameters of He et al. 2016's `6 n + 2` layers with 10 classes and parameter-free shortcuts.

    A stage's convolutions have `9 c_in c_out` weights, a normalisation two for each channel.
    """
    count = 9 * 3 * 16 + 2 * 16
    channels = 16
    for width in (16, 32, 64):
        for _ in range(blocks):
            count += 9 * channels * width + 2 * width + 9 * width * width + 2 * width
            channels = width
    return count + 64 * 10 + 10


class ParameterCountTest(tf.test.TestCase, parameterized.TestCase):
    def test_resnet18_for_cifar_has_the_published_count(self):
        # 11,173,962: the paper's network (3 channels, 10 classes), as counted in its PyTorch code.
        self.assertEqual(trainable_count(build("resnet18", 32)), 11_173_962)

    @parameterized.parameters(
        # torchvision's documented `num_params` of the ImageNet models.
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
    )
    def test_large_image_networks_have_torchvision_counts(self, name: str, expected: int):
        network = build(name, 224, 1000, shortcut="conv_norm")
        self.assertEqual(trainable_count(network), expected)
        self.assertEqual(network.get_layer("pool").input.shape[1:3], (7, 7))

    @parameterized.parameters(
        ("resnet20", 3, 0.27e6), ("resnet32", 5, 0.46e6), ("resnet44", 7, 0.66e6),
        ("resnet56", 9, 0.85e6), ("resnet110", 18, 1.7e6),
    )  # fmt: skip
    def test_slim_networks_have_he_et_al_counts(self, name: str, blocks: int, published: float):
        count = trainable_count(build(name, 32))
        self.assertEqual(count, slim_count(blocks))
        # He et al. 2016, table 6, to two digits.
        self.assertAllClose(count, published, rtol=0.02)

    @parameterized.parameters(
        # resnet_tiny, width 8: stem 216 + 16; stage 1 2 * (576 + 16); stage 2 1152 + 2304 + 2 * 32;
        # head 16 * 10 + 10; its one shortcut: 8 * 16 weights and 32 for the normalisation.
        ("pad", 5106), ("conv", 5234), ("conv_norm", 5266), ("pool_conv_norm", 5266), ("auto", 5266),
    )  # fmt: skip
    def test_shortcuts_add_their_own_parameters(self, shortcut: str, expected: int):
        self.assertEqual(trainable_count(build(shortcut=shortcut)), expected)

    def test_without_normalisation_convolutions_have_biases(self):
        # 5266 less 2 for each of 8 + 8 + 8 + 16 + 16 + 16 normalised channels, plus one bias for each.
        network = build(norm="none")
        self.assertEqual(trainable_count(network), 5266 - 72)
        self.assertEmpty(network.non_trainable_variables)

    def test_width_scales_every_stage(self):
        network = build("resnet8", width=4)
        widths = [network.get_layer(f"stage{stage}_block0_conv1").filters for stage in (1, 2, 3)]
        self.assertEqual(widths, [4, 8, 16])
        self.assertEqual(build("mlp", width=5).get_layer("hidden").units, 5)
        deep = build("mlp", width=200, hidden_layers=2, activation="tanh")
        self.assertEqual(
            [layer.name for layer in deep.layers if "hidden" in layer.name],
            ["hidden", "hidden_tanh", "hidden_2", "hidden_2_tanh"],
        )
        kernels = [deep.get_layer(name).kernel for name in ("hidden", "hidden_2")]
        for kernel in kernels:
            self.assertAllClose(np.std(kernel), kernel.shape[0] ** -0.5, rtol=0.02)

    @parameterized.parameters((95, 1), (96, 4))
    def test_auto_stem_goes_by_image_side(self, side: int, stem_stride: int):
        network = build(side=side)
        rows = network.get_layer("stage1_block0_conv1").input.shape[1]
        self.assertEqual(rows, -(-side // stem_stride))


class NormalisationTest(tf.test.TestCase):
    def tearDown(self):
        keras.config.set_dtype_policy("float32")
        super().tearDown()

    def normalised(self, policy: str, pixels: np.ndarray) -> tf.Tensor:
        keras.config.set_dtype_policy(policy)
        network = build("linear")
        return keras.Model(network.input, network.get_layer("normalised_pixels").output)(pixels)

    def test_is_the_formula_to_the_precision_of_the_policy(self):
        pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
        expected = (pixels / 255.0 - np.array(MEAN)) / np.array(STD)
        for policy, dtype, tolerance in (
            ("float64", "float64", 1e-14),
            ("float32", "float32", 1e-6),
            ("mixed_bfloat16", "float32", 1e-6),
        ):
            with self.subTest(policy):
                result = self.normalised(policy, pixels)
                self.assertEqual(result.dtype, dtype)
                self.assertAllClose(result, expected, rtol=0, atol=tolerance)

    def test_keeps_fractions_of_float_pixels(self):
        pixels = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3))
        expected = (pixels / 255.0 - np.array(MEAN)) / np.array(STD)
        self.assertAllClose(self.normalised("float64", pixels), expected, rtol=0, atol=1e-14)
        self.assertAllClose(self.normalised("float32", pixels.astype(np.float32)), expected, atol=1e-6)


class InitialisationTest(tf.test.TestCase, parameterized.TestCase):
    def test_layers_draw_differently(self):
        network = build()
        first = network.get_layer("stage1_block0_conv1").kernel
        second = network.get_layer("stage1_block0_conv2").kernel
        self.assertNotAllClose(first, second)

    def test_layer_seed_is_stable(self):
        # First four bytes of `printf 0/stem_conv | sha256sum`, halved.
        self.assertEqual(layer_seed(0, "stem_conv"), 1604054858)
        self.assertLen({layer_seed(seed, name) for seed in range(10) for name in "abcdefghij"}, 100)

    def test_convolutions_are_normal_by_fan_out_and_scales_one(self):
        network = build("resnet18", 32)
        layer = network.get_layer("stage4_block1_conv1")
        kernel = layer.kernel.numpy()
        expected = (2 / (9 * 512)) ** 0.5
        self.assertAllClose(kernel.std(), expected, rtol=5e-3)
        # A truncated normal would stop at 2 / 0.8796 of its standard deviation.
        self.assertGreater(np.abs(kernel).max(), 4 * expected)
        for norm in (layer for layer in network.layers if layer.name.split("_")[-1].startswith("norm")):
            self.assertAllEqual(norm.gamma, tf.ones_like(norm.gamma))
            self.assertEqual((norm.momentum, norm.epsilon), (0.9, 1e-5))

    @parameterized.parameters(
        ("resnet8", "norm2", {}), ("resnet50", "norm3", {"width": 2}), ("resnet8", "norm2", {"norm": "ghost"})
    )  # fmt: skip
    def test_zero_init_residual_makes_every_block_its_shortcut(self, name: str, last: str, choices: dict):
        as_run, as_meant = (build(name, zero_init_residual=zero, **choices) for zero in (False, True))
        for layer, other in zip(as_run.layers, as_meant.layers, strict=True):
            if hasattr(layer, "gamma"):
                is_last = layer.name.endswith(last) and "shortcut" not in layer.name
                self.assertAllEqual(layer.gamma, tf.ones_like(layer.gamma))
                self.assertAllEqual(other.gamma, tf.fill(other.gamma.shape, 0.0 if is_last else 1.0))
        x = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
        added = as_meant.get_layer("stage1_block0_add")
        residual, _ = keras.Model(as_meant.input, added.input)(x, training=True)
        self.assertAllEqual(residual, tf.zeros_like(residual))

    def test_head_is_uniform_in_its_bound(self):
        head = build("linear", num_classes=500).get_layer("logits")
        bound = 192**-0.5
        for values in (head.kernel.numpy(), head.bias.numpy()):
            self.assertLessEqual(np.abs(values).max(), bound)
            self.assertAllClose(values.std(), bound / 3**0.5, rtol=0.06)
        self.assertNotAllClose(head.kernel[0], head.bias)


class RefusalTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        ({"name": "resnet19"}, r"--model=resnet19: did you mean resnet18 or [a-z0-9_ ]*\? Accepted are "),
        ({"stem": "tall"}, "--stem=tall: accepted are auto, cifar, imagenet, efficient"),
        ({"shortcut": "A"}, "--shortcut=A: accepted are .*pad, conv, conv_norm, pool_conv_norm"),
        ({"norm": "local"}, "--norm=local: accepted are batch, ghost, group, layer"),
        ({"activation": "elu"}, "--activation=elu: accepted are relu, silu, gelu, softplus, tanh"),
        ({"ghost_batch_size": 8}, "--ghost_batch_size=8 has no effect without --norm=ghost"),
        (
            {"zero_init_residual": True, "norm": "none"},
            "--zero_init_residual=True has no effect with --norm=none",
        ),
        ({"weight_standardisation": True, "norm": "none"}, "--weight_standardisation with --norm=none"),
        ({"num_classes": 0}, "num_classes must be at least 1: got 0"),
        ({"width": 0}, "--width=0: must be at least 1"),
        ({"seed": -1}, "seed must be at least 0: got -1"),
        ({"name": "resnet18", "side": 7}, "7x7 pixels are too small: .*'cifar' .* at least 8"),
        ({"name": "resnet18", "side": 31, "stem": "imagenet"}, "31x31 .*'imagenet' .* at least 32"),
        ({"name": "mlp", "stem": "cifar"}, "--stem=cifar has no effect with --model=mlp: leave it at auto"),
        ({"name": "mlp", "norm": "group"}, "--norm=group has no effect with --model=mlp: leave it at batch"),
        ({"name": "linear", "shortcut": "pad"}, "--shortcut=pad has no effect with --model=linear"),
        ({"name": "linear", "width": 3}, "--width=3 has no effect with --model=linear: leave it at none"),
        (
            {"name": "mlp", "zero_init_residual": True},
            "--zero_init_residual=True has no effect with --model=mlp: leave it at false, its default",
        ),
    )
    def test_wrong_choices(self, arguments: dict, message: str):
        with self.assertRaisesRegex(ValueError, message):
            build(**arguments)

    @parameterized.parameters(
        ({"input_shape": ()}, r"input_shape must be \(height, width, channels\) or \(features,\).*\(\)"),
        ({"name": "resnet8", "input_shape": (8, 3)}, r"it takes images .*\(8, 3\)"),
        ({"input_shape": (8, 0, 3)}, "all positive"),
        ({"pixel_mean": (0.5,)}, r"pixel_mean must be 3 finite numbers.*\[0.5\]"),
        ({"pixel_std": (0.5, 0.5, float("nan"))}, "pixel_std must be 3 finite numbers"),
        ({"pixel_std": (0.5, 0.5, 0.0)}, r"pixel_std must be positive: got \[0.5, 0.5, 0.0\]"),
    )
    def test_wrong_pixels(self, arguments: dict, message: str):
        usual = {"input_shape": (8, 8, 3), "pixel_mean": MEAN, "pixel_std": STD, "num_classes": 10}
        with self.assertRaisesRegex(ValueError, message):
            build_network(**{"name": "linear", **usual, **arguments})

    def test_accepted_choices_are_the_documented_ones(self):
        self.assertEqual(STEMS, ("auto", "cifar", "imagenet", "efficient"))
        self.assertEqual(SHORTCUTS, ("auto", "pad", "conv", "conv_norm", "pool_conv_norm"))
        self.assertEqual(NORMS, ("batch", "ghost", "group", "layer", "none"))
        self.assertEqual(ACTIVATIONS, ("relu", "silu", "gelu", "softplus", "tanh"))
        depths = (18, 34, 50, 101, 152, 20, 32, 44, 56, 110, 8)
        self.assertLessEqual({f"resnet{d}" for d in depths} | {"resnet_tiny", "mlp", "linear"}, {*MODELS})


class DeepNetworkTest(tf.test.TestCase):
    def test_networks_deeper_than_pythons_calls_may_be(self):
        limit = sys.getrecursionlimit()
        inputs = x = keras.Input((1,))
        relu = keras.layers.Activation("relu")
        for _ in range(limit + 10):
            x = relu(x)
        with self.assertRaises(RecursionError):
            keras.Model(inputs, x)
        with deep_networks():
            keras.Model(inputs, x)
        self.assertEqual(sys.getrecursionlimit(), limit)


def trainable_count(network: keras.Model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


if __name__ == "__main__":
    tf.test.main()
