"""Trainable parameters of residual networks for images of 32x32 pixels, to the unit, by hand and as published."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch.models.build import build_network


def count(name: str, num_classes: int = 10, **choices) -> int:
    network = build_network(
        name,
        input_shape=(32, 32, 3),
        num_classes=num_classes,
        pixel_mean=(0.5,) * 3,
        pixel_std=(0.25,) * 3,
        **choices,
    )
    total = sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)
    keras.utils.clear_session(free_memory=False)
    return total


def preactivation_count(blocks: int, *, bottleneck: bool, project: bool, num_classes: int = 10) -> int:
    """Of stages of 16, 32 and 64 channels: `9 c_in c_out` and `c_in c_out` weights, two for each channel of a norm."""
    total, channels = 9 * 3 * 16, 16
    for width in (16, 32, 64):
        outside = 4 * width if bottleneck else width
        for _ in range(blocks):
            total += 2 * channels
            if bottleneck:
                total += channels * width + 2 * width + 9 * width**2 + 2 * width + width * outside
            else:
                total += 9 * channels * width + 2 * width + 9 * width**2
            if project and channels != outside:
                total += channels * outside
            channels = outside
    return total + 2 * channels + channels * num_classes + num_classes


class CountTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        ("resnet18", 10, 11_173_962), ("resnet18", 100, 11_220_132), ("resnet34", 10, 21_282_122),
        ("resnet20", 10, 269_722), ("resnet20", 100, 275_572), ("resnet32", 10, 464_154),
        ("resnet56", 10, 853_018), ("resnet56", 100, 858_868),
        ("wrn16_8", 10, 10_961_370), ("wrn40_2", 10, 2_243_546), ("wrn28_2", 10, 1_467_610),
        ("pyramidnet110_a48", 10, 1_772_706),
    )  # fmt: skip
    def test_counts(self, name: str, num_classes: int, expected: int) -> None:
        self.assertEqual(count(name, num_classes), expected)

    def test_width_and_shortcut_of_a_cifar_network(self) -> None:
        # As some published runs had it: width 64 instead of 16, and normalised projections.
        self.assertEqual(count("resnet20", width=64, shortcut="conv_norm"), 4_327_754)
        # Projections 16 * 32 and 32 * 64, norms 2 * (32 + 64).
        self.assertEqual(count("resnet20", shortcut="conv_norm"), 269_722 + 2_752)

    @parameterized.parameters((3, 20, 0.27e6), (9, 56, 0.85e6))
    def test_preactivation_counts(self, blocks: int, depth: int, published: float) -> None:
        found = count(f"preresnet{depth}")
        self.assertEqual(found, preactivation_count(blocks, bottleneck=False, project=False))
        # A block's norms are of what it takes instead of what it gives: He et al. 2016, table 6, to two digits.
        self.assertAllClose(found, published, rtol=0.02)

    def test_preresnet18_is_resnet18_without_the_norms_of_shortcuts(self) -> None:
        # Norms of what blocks take have as many channels, with the last one, as norms of what they give.
        norms = 2 * (128 + 256 + 512)
        self.assertEqual(count("preresnet18"), count("resnet18") - norms)


@pytest.mark.slow
class DeepCountTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        ("resnet34", 100, 21_328_292), ("resnet50", 10, 23_520_842), ("resnet50", 100, 23_705_252),
        ("resnet101", 10, 42_512_970), ("resnet101", 100, 42_697_380),
        ("resnet152", 10, 58_156_618), ("resnet152", 100, 58_341_028),
        ("resnet32", 100, 470_004), ("resnet110", 10, 1_727_962), ("resnet110", 100, 1_733_812),
        ("wrn28_10", 10, 36_479_194), ("wrn28_10", 100, 36_536_884),
        ("pyramidnet110_a84", 10, 3_904_446),
        ("pyramidnet110_a270", 10, 28_485_477), ("pyramidnet272_a200", 10, 26_210_842),
        ("pyramidnet272_a200", 100, 26_288_692),
    )  # fmt: skip
    def test_counts(self, name: str, num_classes: int, expected: int) -> None:
        self.assertEqual(count(name, num_classes), expected)

    @parameterized.parameters(("resnet32", 7_427_914), ("resnet56", 13_628_234), ("resnet110", 27_578_954))
    def test_cifar_networks_of_width_64(self, name: str, expected: int) -> None:
        self.assertEqual(count(name, width=64, shortcut="conv_norm"), expected)

    @parameterized.parameters(
        # He et al. 2016, "Identity mappings": 1.7 and 10.2 million, table 4 and the text.
        ("preresnet110", 18, {"bottleneck": False, "project": False}, 1_727_962),
        ("preresnet164", 18, {"bottleneck": True, "project": True}, 1_703_258),
        ("preresnet1001", 111, {"bottleneck": True, "project": True}, 10_327_706),
    )
    def test_preactivation_counts(self, name: str, blocks: int, shape: dict, expected: int) -> None:
        self.assertEqual(preactivation_count(blocks, **shape), expected)
        self.assertEqual(count(name), expected)


if __name__ == "__main__":
    tf.test.main()
