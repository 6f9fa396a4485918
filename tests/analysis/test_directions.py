"""Random directions: whose norms they have, what they depend on, and where Keras' layers have their filters."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.core.problems import flat, smooth
from tests.float64 import Float64Case
from tests.networks import FEATURES
from tf_fullbatch.analysis.directions import gaussian, normalised, orthogonal, random_directions
from tf_fullbatch.analysis.filters import filter_axes
from tf_fullbatch.core import trees
from tf_fullbatch.errors import UserError

layers = keras.layers


class DirectionsTest(Float64Case):
    def test_each_filter_has_the_norm_of_the_weights(self) -> None:
        theta = smooth().theta
        (direction,) = random_directions(theta, 3, count=1)
        for d, w in zip(direction, theta, strict=True):
            if w.shape.rank > 1:
                self.assertAllClose(
                    np.linalg.norm(d, axis=0), np.linalg.norm(w, axis=0), rtol=1e-9, atol=1e-15
                )
            else:
                self.assertAllEqual(d, tf.zeros_like(d))

    def test_layers_and_none(self) -> None:
        theta = smooth().theta
        raw = gaussian(theta, 5)
        for d, w in zip(normalised(raw, theta, "layer"), theta, strict=True):
            size = np.linalg.norm(w) if w.shape.rank > 1 else 0.0
            self.assertAllClose(np.linalg.norm(d), size, rtol=1e-9, atol=1e-15)
        (plain,) = random_directions(theta, 5, count=1, normalise="none")
        for d, r in zip(plain, raw, strict=True):
            self.assertAllEqual(d, r)

    def test_networks_of_the_same_shapes_share_the_draws(self) -> None:
        one = smooth().theta
        other = [tf.cast(3 * w, tf.float32) for w in one]
        for a, b in zip(gaussian(one, 7, 1), gaussian(other, 7, 1), strict=True):
            self.assertAllEqual(a, b)
        first, second = random_directions(one, 7), random_directions(trees.scale(3.0, one), 7)
        for a, b in zip(first, second, strict=True):  # the scale of the weights alone tells them apart
            self.assertAllClose(3 * flat(a), flat(b), rtol=1e-9, atol=0)
        self.assertEqual(other[0].dtype, random_directions(other, 7)[0][0].dtype)

    def test_seeds_numbers_and_variables_differ(self) -> None:
        like = [tf.zeros([4, 4], tf.float64)] * 2
        draws = [tuple(np.ravel(leaf)) for s in (0, 1) for n in (0, 1) for leaf in gaussian(like, s, n)]
        self.assertLen(set(draws), 8)
        many = gaussian([tf.zeros([300, 300])], 0)[0]
        self.assertAllClose([many.mean(), many.std()], [0, 1], rtol=0, atol=4 / 300)

    @parameterized.parameters("filter", "layer", "none")
    def test_later_directions_are_orthogonal_and_keep_their_length(self, normalise: str) -> None:
        theta = smooth().theta
        found = random_directions(theta, 2, count=3, normalise=normalise)
        vectors = np.stack([flat(d) for d in found])
        gram = vectors @ vectors.T
        self.assertAllClose(gram, np.diag(np.diag(gram)), rtol=0, atol=1e-13 * gram.max())
        for number, vector in enumerate(vectors):
            alone = normalised(gaussian(theta, 2, number), theta, normalise)
            self.assertAllClose(np.linalg.norm(vector), np.linalg.norm(flat(alone)), rtol=1e-13, atol=0)

    def test_words(self) -> None:
        theta = smooth().theta
        with self.assertRaisesRegex(UserError, "normalise='weights': accepted are filter, layer, none"):
            random_directions(theta, 0, normalise="weights")
        with self.assertRaisesRegex(UserError, "seed=-1"):
            random_directions(theta, -1)
        with self.assertRaisesRegex(UserError, "every variable of two or more axes is zero"):
            random_directions(trees.scale(0.0, theta), 0)
        with self.assertRaisesRegex(UserError, "in the span of those before it"):
            random_directions([tf.constant([[1.0]])], 0)
        direction = [np.ones(2)]
        with self.assertRaisesRegex(UserError, "in the span"):
            orthogonal(direction, [direction])


class FiltersTest(Float64Case):
    @parameterized.parameters(
        (layers.Conv2D(5, 3), (8, 8, 2), {"kernel": (3,)}),
        (layers.Conv1D(5, 3), (8, 2), {"kernel": (2,)}),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), (8, 8, 2), {"kernel": (2, 3)}),
        (layers.DepthwiseConv1D(3), (8, 2), {"kernel": (1, 2)}),
        (
            layers.SeparableConv2D(5, 3),
            (8, 8, 2),
            {"depthwise_kernel": (2, 3), "pointwise_kernel": (3,)},
        ),
        (layers.Conv2DTranspose(5, 3), (8, 8, 2), {"kernel": (2,)}),
        (layers.EinsumDense("abc,cde->abde", (None, 3, 4)), (8, 2), {"kernel": (1, 2)}),
        (layers.EinsumDense("...cd,cde->...e", 4), (8, 3, 2), {"kernel": (2,)}),
        (layers.EinsumDense("bz,hwio->bhwio", (3, 3, 2, 5)), (1,), {"kernel": (3,)}),  # handed on as it is
        (layers.EinsumDense("bhwc,c->bhwc", (8, 8, 2), bias_axes="c"), (8, 8, 2), {"kernel": ()}),
        (layers.LSTM(3), (8, 2), {"kernel": (1,), "recurrent_kernel": (1,)}),
    )
    def test_axes(self, layer: layers.Layer, shape: tuple[int, ...], expected: dict) -> None:
        inputs = keras.Input(shape)
        self.assert_axes(keras.Model(inputs, layer(inputs)), expected)

    def test_embeddings_rows_and_attentions_heads(self) -> None:
        inputs = keras.Input((4,), dtype="int32")
        x = layers.Embedding(11, 6)(inputs)
        network = keras.Model(inputs, layers.MultiHeadAttention(2, 3)(x, x))
        found = {
            v.path.split("/", 1)[1]: axes
            for v, axes in zip(network.trainable_variables, filter_axes(network), strict=True)
        }
        self.assertEqual(found.pop("embeddings"), (0,))
        self.assertEqual({axes for path, axes in found.items() if path.endswith("query/kernel")}, {(1, 2)})
        self.assertEqual(
            {axes for path, axes in found.items() if path.endswith("attention_output/kernel")}, {(2,)}
        )

    def assert_axes(self, network: keras.Model, expected: dict) -> None:
        for variable, axes in zip(network.trainable_variables, filter_axes(network), strict=True):
            self.assertEqual(axes, expected.get(variable.name, ()), variable.path)

    def test_a_depthwise_kernel_is_scaled_channel_by_channel(self) -> None:
        inputs = keras.Input((5, 5, 3))
        network = keras.Model(inputs, layers.DepthwiseConv2D(2, depth_multiplier=2, use_bias=False)(inputs))
        theta = [tf.convert_to_tensor(v.value) for v in network.trainable_variables]
        (d,) = normalised(gaussian(theta, 1), theta, axes=filter_axes(network))
        for i in range(3):
            for j in range(2):
                self.assertAllClose(
                    np.linalg.norm(d[:, :, i, j]), np.linalg.norm(theta[0][:, :, i, j]), rtol=1e-9, atol=0
                )

    def test_variables_stand_in_the_networks_order(self) -> None:
        problem = smooth()
        self.assertEqual(filter_axes(problem.network), [(1,), (), (1,), ()])
        self.assertEqual(problem.theta[0].shape[0], FEATURES)


if __name__ == "__main__":
    tf.test.main()
