"""What makes each family of residual networks that family: order, widths, shortcuts, scales."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import integrate, special

from tests.models.test_conformance import build, images
from tf_fullbatch.models.pyramidnet import PYRAMIDNETS
from tf_fullbatch.models.registry import MODELS
from tf_fullbatch.models.standardised import ACTIVATION_GAINS


def outputs(network: keras.Model, *names: str) -> list[np.ndarray]:
    """What layers give for six images in training."""
    values = keras.Model(network.input, [network.get_layer(name).output for name in names])(
        images(6), training=True
    )
    return [value.numpy() for value in (values if len(names) > 1 else [values])]


def order(network: keras.Model, prefix: str) -> list[str]:
    """What a block's layers are called, in order, without its prefix."""
    names = [layer.name for layer in network.layers if layer.name.startswith(f"{prefix}_")]
    return [name.removeprefix(f"{prefix}_") for name in names]


class PreActivationTest(tf.test.TestCase, parameterized.TestCase):
    def test_order_of_a_block(self) -> None:
        network = build("preresnet_tiny", {})
        self.assertEqual(order(network, "stage1_block0"), ["conv1", "norm2", "relu2", "conv2", "add"])
        later = ["norm1", "relu1", "conv1", "norm2", "relu2", "conv2", "add"]
        self.assertEqual(order(network, "stage1_block1"), later)
        self.assertEqual({*order(network, "stage2_block0")}, {*later, "conv1_pad", "shortcut_conv"})
        self.assertEqual(order(network, "final"), ["norm", "relu"])
        self.assertEqual(order(network, "stem"), ["conv", "norm", "relu"])

    def test_a_block_adds_to_what_was_not_normalised(self) -> None:
        network = build("preresnet_tiny", {})
        before, branch, after = outputs(
            network, "stage1_block0_add", "stage1_block1_conv2", "stage1_block1_add"
        )
        self.assertAllClose(after, before + branch, rtol=1e-6, atol=1e-6)

    def test_a_projection_is_of_what_was_normalised_and_activated(self) -> None:
        network = build("preresnet_tiny", {})
        activated, projected = outputs(network, "stage2_block0_relu1", "stage2_block0_shortcut_conv")
        kernel = network.get_layer("stage2_block0_shortcut_conv").kernel.numpy()
        self.assertAllClose(projected, activated[:, ::2, ::2] @ kernel[0, 0], rtol=1e-5, atol=1e-5)

    def test_bottlenecks_have_four_times_the_channels_outside(self) -> None:
        network = build("preresnet11", {})
        filters = [network.get_layer(f"stage2_block0_conv{i}").filters for i in (1, 2, 3)]
        self.assertEqual(filters, [32, 32, 128])
        self.assertEqual(network.get_layer("stage2_block0_conv1").strides, (2, 2))

    def test_wide_networks_drop_between_their_convolutions(self) -> None:
        network = build("wrn10_1", {"dropout": 0.25})
        self.assertEqual(
            order(network, "stage1_block0"), ["conv1", "norm2", "relu2", "dropout", "conv2", "add"]
        )
        self.assertEqual(network.get_layer("stage1_block0_dropout").rate, 0.25)
        self.assertNotIn("stage1_block0_dropout", [layer.name for layer in build("wrn10_1", {}).layers])
        wide = build("wrn28_2", {})
        widths = [wide.get_layer(f"stage{stage}_block3_conv2").filters for stage in (1, 2, 3)]
        self.assertEqual((wide.get_layer("stem_conv").filters, widths), (16, [32, 64, 128]))


class PyramidTest(tf.test.TestCase, parameterized.TestCase):
    def test_order_of_a_block(self) -> None:
        network = build("pyramidnet_tiny", {})
        expected = ["norm1", "conv1", "norm2", "relu2", "conv2", "norm3"]
        self.assertEqual([name for name in order(network, "stage1_block0") if name != "add"], expected)
        self.assertEqual(order(network, "stem"), ["conv", "norm"])
        expected = ["norm1", "conv1", "norm2", "relu2", "conv2", "norm3", "relu3", "conv3", "norm4"]
        bottleneck = build("pyramidnet11_a12", {})
        self.assertEqual([name for name in order(bottleneck, "stage1_block0") if name != "add"], expected)
        self.assertEqual(bottleneck.get_layer("stage2_block0_conv2").strides, (2, 2))

    def test_every_block_widens_by_the_same_share_rounded_halves_to_even(self) -> None:
        # 16 + 5 / 3, 16 + 10 / 3, 16 + 5.
        network = build("pyramidnet_tiny", {})
        filters = [network.get_layer(f"stage{stage}_block0_conv1").filters for stage in (1, 2, 3)]
        self.assertEqual(filters, [18, 19, 21])
        spec = PYRAMIDNETS["pyramidnet110_a84"]
        widths = [round(16 + spec.alpha * k / 54) for k in (1, 2, 27, 54)]
        self.assertEqual(widths, [18, 19, 58, 100])

    def test_shortcut_averages_and_appends_zeros(self) -> None:
        network = build("pyramidnet_tiny", {})
        before, branch, after = outputs(
            network, "stage1_block0_add", "stage2_block0_norm3", "stage2_block0_add"
        )
        expected = branch.copy()
        halves = before.reshape(6, 4, 2, 4, 2, 18).mean((2, 4))
        expected[..., :18] += halves
        self.assertAllClose(after, expected, rtol=1e-5, atol=1e-5)

    def test_zero_init_residual(self) -> None:
        network = build("pyramidnet_tiny", {"zero_init_residual": True})
        for stage in (1, 2, 3):
            (branch,) = outputs(network, f"stage{stage}_block0_norm3")
            self.assertAllEqual(branch, np.zeros_like(branch))
            self.assertAllEqual(
                network.get_layer(f"stage{stage}_block0_norm2").gamma, tf.ones([16 + [2, 3, 5][stage - 1]])
            )


class NormaliserFreeTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        ("relu", lambda z: np.maximum(z, 0.0)),
        ("silu", lambda z: z * special.expit(z)),
        ("gelu", lambda z: z * special.ndtr(z)),
        ("softplus", lambda z: np.logaddexp(0.0, z)),
        ("tanh", np.tanh),
    )
    def test_gains_give_a_standard_normal_variance_one(self, name: str, function) -> None:
        def moment(power: int) -> float:
            def integrand(z: float) -> float:
                return function(z) ** power * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)

            return integrate.quad(integrand, -12, 0)[0] + integrate.quad(integrand, 0, 12)[0]

        self.assertAllClose(ACTIVATION_GAINS[name] ** -2, moment(2) - moment(1) ** 2, rtol=1e-10, atol=0)

    def test_variances_are_those_that_the_scales_assume(self) -> None:
        network = build("nf_resnet18", {"width": 64, "activation": "gelu"}, (16, 16, 3))
        # Independent pixels of mean 0 and variance 1, as the scales take them to be.
        random = np.random.default_rng(0)
        x = (127.5 + 63.75 * random.normal(size=(24, 16, 16, 3))).astype(np.float32)
        names = [f"stage{stage}_block{block}_add" for stage in (1, 2) for block in (0, 1)]
        found = keras.Model(network.input, [network.get_layer(name).output for name in names])(x)
        inner = [np.var(values.numpy()[:, 2:-2, 2:-2]) for values in found]
        # 1 + alpha^2 and 1 + 2 alpha^2, from 1 again where shapes change.
        self.assertAllClose(inner, [1.04, 1.08, 1.04, 1.08], rtol=0.05)

    def test_outputs_do_not_depend_on_other_samples(self) -> None:
        network = build("nf_resnet_tiny", {"width": 4})
        together = network(images(6), training=True)
        alone = [network(images(6)[i : i + 1], training=True)[0] for i in range(6)]
        self.assertAllClose(together, alone, rtol=1e-5, atol=1e-6)

    def test_zero_init_residual_begins_with_empty_branches(self) -> None:
        network = build("nf_resnet_tiny", {"width": 4, "zero_init_residual": True})
        for prefix in ("stage1_block0", "stage1_block1", "stage2_block0"):
            (branch,) = outputs(network, f"{prefix}_conv2_gain")
            self.assertAllEqual(branch, np.zeros_like(branch))
            self.assertAllEqual(
                network.get_layer(f"{prefix}_conv1_gain").kernel,
                tf.ones_like(network.get_layer(f"{prefix}_conv1_gain").kernel),
            )

    def test_a_block_is_the_published_one(self) -> None:
        network = build("nf_resnet_tiny", {"branch_scale": 0.5})
        before, activated, branch, after = outputs(
            network,
            "stage1_block0_add",
            "stage1_block1_relu1",
            "stage1_block1_conv2_gain",
            "stage1_block1_add",
        )
        self.assertAllClose(after, before + 0.5 * branch, rtol=1e-6, atol=1e-6)
        self.assertAllClose(activated, np.maximum(before / np.sqrt(1.25), 0), rtol=1e-6, atol=1e-6)


class NamesTest(tf.test.TestCase):
    def test_every_published_network_has_its_name(self) -> None:
        names = (
            "preresnet18 preresnet110 preresnet164 preresnet1001 wrn28_10 wrn16_8 wrn40_2 wrn28_2 pyramidnet110_a48 "
            "pyramidnet110_a84 pyramidnet110_a270 pyramidnet272_a200 nf_resnet18 nf_resnet50"
        )
        self.assertLessEqual({*names.split()}, {*MODELS})


if __name__ == "__main__":
    tf.test.main()
