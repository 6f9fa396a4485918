"""What networks cost: parameters and products against published figures and formulas, memory tensor by tensor."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.models.networks import built
from tf_fullbatch.models.costs import costs_of, layer_costs
from tf_fullbatch.models.layer_cost import LayerCost, parts, totals
from tf_fullbatch.models.settings import ModelConfig


class MultiplyAddsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        # torchvision's documented GFLOPS, which are multiply-adds, of its networks for ImageNet.
        ("resnet50", 4.09e9), ("densenet121", 2.83e9), ("vgg16", 15.47e9), ("convnext_tiny", 4.46e9),
        # Liu et al. 2021 (Swin transformer), table 1: 4.6 GFLOPs of DeiT-S.
        ("vit_s16", 4.6e9),
    )  # fmt: skip
    def test_published(self, name: str, published: float):
        found = totals(costs_of(ModelConfig(model=name), 224, 3, 1000)).multiply_adds
        self.assertAllClose(found, published, rtol=0.005)

    def test_by_hand(self):
        costs = {cost.name: cost for cost in costs_of(ModelConfig(model="cnn"), 8, 3, 10)}
        self.assertEqual(costs["conv1"].multiply_adds, 64 * 9 * 3 * 32)
        self.assertEqual(costs["conv2"].multiply_adds, 16 * 9 * 32 * 32)
        self.assertEqual(costs["logits"].multiply_adds, 4 * 32 * 10)
        self.assertEqual(sum(cost.multiply_adds for cost in costs.values()), 64 * 864 + 16 * 9216 + 1280)

    @parameterized.parameters(
        (lambda: keras.layers.Conv2DTranspose(5, 3, strides=2), (4, 4, 2), 16 * 9 * 2 * 5),
        (lambda: keras.layers.SeparableConv2D(5, 3, padding="same"), (4, 4, 2), 16 * (9 * 2 + 2 * 5)),
        (lambda: keras.layers.DepthwiseConv2D(3, padding="same"), (4, 4, 2), 16 * 9 * 2),
        (lambda: keras.layers.Conv2D(4, 3, groups=2, padding="same"), (4, 4, 2), 16 * 9 * 1 * 4),
        (lambda: keras.layers.EinsumDense("btd,dhk->bthk", (4, 2, 3)), (4, 5), 4 * 5 * 6),
        (lambda: keras.layers.LSTM(3), (4, 5), None),
        (lambda: keras.layers.BatchNormalization(), (4, 4, 2), 0),
    )
    def test_layers(self, layer, shape: tuple[int, ...], expected: int | None):
        inputs = keras.Input(shape)
        (cost,) = layer_costs(keras.Model(inputs, layer()(inputs)))
        self.assertEqual(cost.multiply_adds, expected)

    def test_kernels_that_are_computed_cost_no_sample_anything(self):
        standardised = ModelConfig.component("model", "resnet_tiny", weight_standardisation=True)
        config = ModelConfig(model="resnet_tiny", chosen_model=standardised)
        plain = costs_of(ModelConfig(model="resnet_tiny"), 8, 3, 10)
        self.assertEqual(totals(costs_of(config, 8, 3, 10)), totals(plain))

    def test_a_layer_used_twice_has_its_parameters_once(self):
        inputs = keras.Input((3,))
        layer = keras.layers.Dense(3, use_bias=False)
        first, second = layer_costs(keras.Model(inputs, layer(layer(inputs))))
        self.assertEqual((first.parameters, second.parameters), (9, 0))
        self.assertEqual((first.multiply_adds, second.multiply_adds), (9, 9))

    def test_models_within_are_opened(self):
        inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5), keras.layers.Dense(6)])
        inputs = keras.Input((3,))
        outer = keras.Model(inputs, inner(keras.layers.Dense(4)(inputs)))
        self.assertEqual(totals(layer_costs(outer)).multiply_adds, 12 + 20 + 30)
        self.assertEqual(totals(layer_costs(inner)).multiply_adds, 20 + 30)


class KeptTest(tf.test.TestCase):
    def test_a_residual_block_by_hand(self):
        """Inputs of convolutions and norms, outputs of relu; neither the sum's nor the mean's, each once."""
        costs = {cost.name: cost.kept_bytes for cost in costs_of(ModelConfig(model="resnet_tiny"), 8, 3, 10)}
        image, maps = 4 * 8 * 8 * 3, 4 * 8 * 8 * 8
        expected = {
            "stem_conv": image, "stem_norm": maps, "stem_relu": maps, "stage1_block0_conv1": 0,
            "stage1_block0_norm1": maps, "stage1_block0_relu1": maps, "stage1_block0_conv2": 0,
            "stage1_block0_norm2": maps, "stage1_block0_add": 0, "stage1_block0_relu": maps,
            "pool": 0, "logits": 4 * 16,
        }  # fmt: skip
        self.assertEqual({name: costs[name] for name in expected}, expected)

    def test_views_are_kept_as_what_they_are_views_of(self):
        inputs = keras.Input((4, 4, 2))
        maps = keras.layers.Activation("relu")(inputs)
        flat = keras.layers.Dense(3)(keras.layers.Flatten()(maps))
        summed = keras.layers.Conv2D(1, 1)(maps)
        costs = layer_costs(keras.Model(inputs, [flat, summed]))
        self.assertEqual(totals(costs).kept_bytes, 4 * 32)

    def test_grows_with_precision(self):
        one = totals(layer_costs(built("resnet_tiny"))).kept_bytes
        keras.config.set_dtype_policy("float64")
        try:
            self.assertEqual(totals(layer_costs(built("resnet_tiny"))).kept_bytes, 2 * one)
        finally:
            keras.config.set_dtype_policy("float32")


class PartsTest(tf.test.TestCase):
    def test_equal_blocks_are_one_part(self):
        costs = costs_of(ModelConfig(model="resnet20"), 32, 3, 10)
        found = parts(costs)
        blocks = [(part.name, part.repeats) for part in found if "block" in part.name]
        self.assertEqual(
            blocks,
            [
                ("stage1_block0", 3),
                ("stage2_block0", 1),
                ("stage2_block1", 2),
                ("stage3_block0", 1),
                ("stage3_block1", 2),
            ],
        )
        self.assertEqual(np.sum([part.totals for part in found], axis=0).tolist(), list(totals(costs)))
        self.assertEqual(found[-1].output, (10,))

    def test_layers_named_alike_are_one_part(self):
        costs = [
            LayerCost(name, "Dense", (3,), 1, 2, 4)
            for name in ("hidden", "hidden_2", "hidden_2/Cast", "logits")
        ]
        self.assertEqual(
            [(part.name, part.kinds) for part in parts(costs)],
            [("hidden", {"Dense": 3}), ("logits", {"Dense": 1})],
        )


if __name__ == "__main__":
    tf.test.main()
