"""Parameter counts equal the published ones to the unit, and every network of a family says its own."""

import keras
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tests.models.networks import built
from tf_fullbatch.models.base import Published
from tf_fullbatch.models.costs import costs_of
from tf_fullbatch.models.registry import MODELS
from tf_fullbatch.models.settings import ModelConfig

PUBLISHED = [(name, one) for name, family in MODELS.items() for one in family.published.get(name, ())]
# These take seconds to put together.
DEEP = {
    "convnext_small", "vit_s16", "densenet161", "densenet169", "densenet201", "densenet_bc_190_40", "resnet101",
    "resnet152", "resnet110", "preresnet110", "preresnet164", "preresnet1001", "pyramidnet110_a48", "pyramidnet110_a84",
    "pyramidnet110_a270", "pyramidnet272_a200",
}  # fmt: skip


def parameters(name: str, side: int, classes: int, **settings) -> int:
    config = ModelConfig(model=name, chosen_model=ModelConfig.component("model", name, **settings))
    return sum(layer.parameters for layer in costs_of(config, side, 3, classes))


class PublishedTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*(pair for pair in PUBLISHED if pair[0] not in DEEP))
    def test_counts(self, name: str, published: Published):
        settings = dict(published.settings)
        self.assertEqual(
            parameters(name, published.side, published.classes, **settings), published.parameters
        )

    @parameterized.parameters(*(pair for pair in PUBLISHED if pair[0] in DEEP))
    @pytest.mark.slow
    def test_counts_of_deep_networks(self, name: str, published: Published):
        self.assertEqual(parameters(name, published.side, published.classes), published.parameters)

    @pytest.mark.slow
    def test_the_deepest_pyramid_has_the_published_count_without_its_norms(self):
        layers = costs_of(ModelConfig(model="pyramidnet272_a200"), 32, 3, 10)
        self.assertEqual(
            sum(one.parameters for one in layers if one.kind != "BatchNormalization"), 25_999_978
        )

    @parameterized.parameters(
        ("vgg16", 32, 100, {}, 14_774_436),
        ("vgg16", 32, 10, {"conv_bias": False}, 14_724_042),
        ("resnet18", 32, 100, {}, 11_220_132),
    )
    def test_counts_with_settings(self, name: str, side: int, classes: int, settings: dict, expected: int):
        self.assertEqual(parameters(name, side, classes, **settings), expected)

    def test_building_without_weights_counts_those_of_the_built_network(self):
        network = built("resnet_tiny")
        self.assertEqual(parameters("resnet_tiny", 8, 3), network.count_params() - 2 * sum_of_norms(network))


def sum_of_norms(network: keras.Model) -> int:
    """Channels of all BatchNorms, which keep a mean and a variance of each beside the trainable weights."""
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    return sum(int(norm.gamma.shape[0]) for norm in norms)


if __name__ == "__main__":
    tf.test.main()
