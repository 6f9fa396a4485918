"""What every network must satisfy, on images of 8x8 pixels.

The deeper networks repeat the blocks of these ones; test_build.py builds every one of them and counts.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch.models.base import ACTIVATIONS, NORMS, SHORTCUTS, STEMS
from tf_fullbatch.models.build import build_network

RESIDUAL = ("resnet18", "resnet20", "resnet8", "resnet_tiny", "preresnet_tiny", "wrn10_1", "pyramidnet_tiny",
            "nf_resnet_tiny")  # fmt: skip
SHALLOW = (*RESIDUAL, "vit_micro", "convnext_micro", "cnn", "mlp", "linear")
# Width 4 keeps the arithmetic of the wide networks small; the graph is the same.
NETWORKS = (
    *((name, {} if name == "linear" else {"width": 4}) for name in SHALLOW),
    ("densenet_tiny", {"growth_rate": 3}),
    ("vgg11", {"width": 4, "conv_bias": False}),  # a bias before BatchNorm has no gradient
)
ALL_VARIED = {"stem": "cifar", "shortcut": "conv_norm", "activation": "silu"}
# Each stem, shortcut, norm and activation at least once, on the smallest network that has them all.
CHOICES = tuple(
    ("resnet_tiny", {"stem": stem, "shortcut": shortcut, "norm": norm, "activation": activation})
    for stem, shortcut, norm, activation in (
        ("cifar", "pad", "group", "silu"),
        ("imagenet", "conv", "none", "gelu"),
        ("efficient", "conv_norm", "batch", "softplus"),
        ("imagenet", "pool_conv_norm", "group", "relu"),
        ("cifar", "pad", "batch", "tanh"),
        ("cifar", "pad", "layer", "tanh"),
        ("cifar", "conv", "ghost", "relu"),
    )
)
VARIANTS = (
    *CHOICES,
    ("resnet_tiny", {**ALL_VARIED, "norm": "group", "weight_standardisation": True}),
    ("wrn10_1", {"width": 4, "dropout": 0.25, "norm": "ghost"}),
    ("preresnet11", {"width": 4, "shortcut": "pad", "norm": "group"}),
    ("pyramidnet11_a12", {"width": 4, "norm": "layer"}),
    ("nf_resnet11", {"width": 4, "activation": "silu"}),
    ("nf_resnet_tiny", {"width": 4, "stem": "efficient", "activation": "gelu"}),
)
NUM_CLASSES = 5

OTHER_PROCESS = """
import pathlib, sys, keras, numpy as np
folder = pathlib.Path(sys.argv[1])
loaded = keras.models.load_model(folder / "model.keras", safe_mode=True)
case = np.load(folder / "case.npz")
np.testing.assert_array_equal(loaded(case["pixels"]), case["logits"])
assert not any(module.startswith("tf_fullbatch") for module in sys.modules)
from tf_fullbatch.models.build import build_network
built = build_network("resnet8", input_shape=(16, 16, 3), num_classes=5, pixel_mean=(0.5,) * 3,
                      pixel_std=(0.25,) * 3, shortcut="pad", stem="efficient")
for one, two in zip(built.get_weights(), loaded.get_weights(), strict=True):
    np.testing.assert_array_equal(one, two)
"""


def build(name: str, choices: dict, shape: tuple[int, int, int] = (8, 8, 3), seed: int = 0) -> keras.Model:
    return build_network(
        name,
        input_shape=shape,
        num_classes=NUM_CLASSES,
        pixel_mean=(0.5,) * shape[2],
        pixel_std=(0.25,) * shape[2],
        seed=seed,
        **choices,
    )


def images(rows: int = 3, shape: tuple[int, int, int] = (8, 8, 3)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, *shape), dtype=np.uint8)


class ConformanceTest(tf.test.TestCase, parameterized.TestCase):
    def tearDown(self):
        keras.config.set_dtype_policy("float32")
        super().tearDown()

    @parameterized.parameters(*NETWORKS, *VARIANTS)
    def test_logits(self, name: str, choices: dict):
        network = build(name, choices)
        self.assertEqual(network.name, name)
        logits = network(images())
        self.assertEqual((logits.shape, logits.dtype), ((3, NUM_CLASSES), "float32"))
        self.assertTrue(np.all(np.isfinite(logits)))
        self.assertAllEqual(network(images().astype(np.float32)), logits)
        self.assertNotAllClose(logits[0], logits[1])

    @parameterized.parameters(*NETWORKS)
    def test_weights_follow_the_seed(self, name: str, choices: dict):
        first, again, other = (build(name, choices, seed=seed).get_weights() for seed in (0, 0, 1))
        for one, two in zip(first, again, strict=True):
            self.assertAllEqual(one, two)
        drawn = [not np.array_equal(one, two) for one, two in zip(first, other, strict=True)]
        constant = [np.ptp(one) == 0 for one in first]
        self.assertEqual(drawn, [not value for value in constant])

    @parameterized.parameters(*NETWORKS, *VARIANTS)
    def test_gradients_reach_every_variable(self, name: str, choices: dict):
        network = build(name, choices)
        weights = [tf.identity(variable) for variable in network.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            logits, _ = network.stateless_call(
                weights, network.non_trainable_variables, images(8), training=True
            )
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(
                tf.range(8) % NUM_CLASSES, logits, from_logits=True
            ))  # fmt: skip
        gradients = tape.gradient(loss, weights)
        for variable, gradient in zip(network.trainable_variables, gradients, strict=True):
            self.assertIsNotNone(gradient, variable.path)
            self.assertTrue(np.all(np.isfinite(gradient)), variable.path)
            self.assertGreater(np.abs(gradient).max(), 0, variable.path)

    @parameterized.parameters(*NETWORKS, *VARIANTS)
    def test_saved_network_gives_the_same_logits(self, name: str, choices: dict):
        network = build(name, choices)
        with tempfile.TemporaryDirectory() as folder:
            network.save(Path(folder) / "model.keras")
            loaded = keras.models.load_model(Path(folder) / "model.keras", safe_mode=True)
        self.assertAllEqual(loaded(images()), network(images()))
        stock = [type(layer).__module__.startswith("keras.") for layer in network.layers]
        self.assertEqual(all(stock), choices.get("norm") != "ghost")

    @parameterized.parameters(*NETWORKS)
    def test_bfloat16_compute_gives_float32_logits(self, name: str, choices: dict):
        reference = build(name, choices)(images())
        keras.config.set_dtype_policy("mixed_bfloat16")
        network = build(name, choices)
        logits = network(images())
        self.assertEqual(logits.dtype, "float32")
        # bfloat16 rounds to 4e-3 at each of some twenty layers.
        self.assertAllClose(logits, reference, rtol=0.1, atol=0.1 * np.abs(reference).max())
        for variable in network.trainable_variables:
            self.assertEqual(variable.dtype, "float32", variable.path)

    @parameterized.parameters(*NETWORKS)
    def test_float64(self, name: str, choices: dict):
        reference = build(name, choices)
        keras.config.set_dtype_policy("float64")
        network = build(name, choices)
        network.set_weights(reference.get_weights())
        logits = network(images())
        self.assertEqual(logits.dtype, "float64")
        self.assertEqual({variable.dtype for variable in network.variables}, {"float64"})
        self.assertAllClose(logits, reference(images()), rtol=1e-3, atol=1e-4 * np.abs(logits).max())

    @parameterized.parameters(*RESIDUAL)
    def test_images_smaller_than_the_total_stride_are_refused_in_one_line(self, name: str):
        halvings = {"resnet18": 3, "resnet20": 2, "resnet8": 2, "wrn10_1": 2, "pyramidnet_tiny": 2}.get(
            name, 1
        )
        for stem, stride in (("cifar", 1), ("imagenet", 4)):
            least = stride * 2**halvings
            choices = {"width": 4, "stem": stem}
            self.assertEqual(build(name, choices, (least, least, 3)).output.shape, (None, NUM_CLASSES))
            with self.assertRaisesRegex(
                ValueError, f"^Images of .* too small: .* at least {least}. [^\\n]*$"
            ):
                build(name, choices, (least - 1, 2 * least, 3))

    @parameterized.parameters("preresnet_tiny", "pyramidnet_tiny", "nf_resnet_tiny")
    def test_large_and_odd_images_of_one_channel(self, name: str):
        for side, stem in ((224, "imagenet"), (33, "cifar")):
            shape = (side, side + 4, 1)
            network = build(name, {"width": 4}, shape)
            self.assertEqual(network.output.shape, (None, NUM_CLASSES))
            self.assertEqual("stem_pool" in [layer.name for layer in network.layers], stem == "imagenet")

    @parameterized.product(shortcut=SHORTCUTS[1:], stem=("cifar", "efficient"))
    def test_odd_images_of_one_channel(self, shortcut: str, stem: str):
        shape = (33, 37, 1)
        network = build("resnet_tiny", {"shortcut": shortcut, "stem": stem}, shape)
        self.assertEqual(network(images(2, shape)).shape, (2, NUM_CLASSES))

    def test_variants_cover_every_choice(self):
        for field, accepted in (
            ("stem", STEMS), ("shortcut", SHORTCUTS), ("norm", NORMS), ("activation", ACTIVATIONS)
        ):  # fmt: skip
            self.assertEqual({choices[field] for _, choices in CHOICES}, {*accepted} - {"auto"})

    def test_another_process_builds_the_same_weights_and_loads_without_this_package(self):
        shape = (16, 16, 3)
        network = build("resnet8", {"shortcut": "pad", "stem": "efficient"}, shape)
        with tempfile.TemporaryDirectory() as folder:
            network.save(Path(folder) / "model.keras")
            np.savez(Path(folder) / "case.npz", pixels=images(3, shape), logits=network(images(3, shape)))
            done = subprocess.run(
                [sys.executable, "-c", OTHER_PROCESS, folder],
                cwd=Path(__file__).parents[2],
                capture_output=True,
                text=True,
            )
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    tf.test.main()
