"""Operations of a gradient, by hand: six per multiply-add."""

import unittest

import keras

from tf_fullbatch.models.gradient_flops import gradient_flops


def of(*layers: keras.Layer, shape=(8, 8, 4)) -> float:
    """Multiply-adds of a network of these layers."""
    return (gradient_flops(keras.Sequential([keras.Input(shape), *layers])) or 0) / 6


class GradientFlopsTest(unittest.TestCase):
    def test_by_hand(self):
        layers = keras.layers
        for layer, shape, expected in (
            (layers.Conv2D(6, 3, padding="same"), (8, 8, 4), 8 * 8 * 3 * 3 * 4 * 6),
            (layers.Conv2D(6, 3, strides=2), (8, 8, 4), 3 * 3 * 3 * 3 * 4 * 6),
            (layers.Conv2D(6, 3, groups=2, padding="same"), (8, 8, 4), 8 * 8 * 3 * 3 * 2 * 6),
            (layers.DepthwiseConv2D(3, padding="same"), (8, 8, 4), 8 * 8 * 3 * 3 * 4),
            (layers.Conv1D(6, 3), (10, 4), 8 * 3 * 4 * 6),
            (layers.Dense(7), (5,), 5 * 7),
            (layers.Dense(7), (3, 5), 3 * 5 * 7),  # at each of three places
            (layers.BatchNormalization(), (8, 8, 4), 0),
        ):
            with self.subTest(layer=layer.name, shape=shape):
                self.assertEqual(of(layer, shape=shape), expected)

    def test_models_within_models(self):
        inner = keras.Sequential([keras.Input((5,)), keras.layers.Dense(7)])
        self.assertEqual(of(inner, keras.layers.Dense(2), shape=(5,)), 5 * 7 + 7 * 2)

    def test_a_gradient_is_three_forward_passes(self):
        network = keras.Sequential([keras.Input((5,)), keras.layers.Dense(7)])
        self.assertEqual(gradient_flops(network), 2 * 3 * 35)
        self.assertIsNone(gradient_flops(keras.Sequential([keras.Input((5,)), keras.layers.ReLU()])))

    def test_a_network_whose_layers_are_not_known(self):
        class Own(keras.Model):
            def __init__(self):
                super().__init__()
                self.dense = keras.layers.Dense(3)

            def call(self, x):
                return self.dense(x)

        network = Own()
        network(keras.ops.zeros((1, 5)))
        self.assertIsNone(gradient_flops(network))


if __name__ == "__main__":
    unittest.main()
