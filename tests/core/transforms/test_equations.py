"""Each transform against its equation in NumPy, in float64, eager and compiled; and several in their order."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.core.transforms.gradients import bits, start_of
from tf_fullbatch.core import trees
from tf_fullbatch.core.transforms.adaptive_clipping import adaptive_clipping
from tf_fullbatch.core.transforms.base import Transform, apply_all
from tf_fullbatch.core.transforms.centralization import centralization
from tf_fullbatch.core.transforms.clipping import clipping
from tf_fullbatch.core.transforms.norm_penalties import l1, l2, squared_deviation
from tf_fullbatch.core.transforms.weight_decay import decoupled_weight_decay

SHAPES = ((3, 2, 4, 5), (5,), (4, 3), (3,), ())
OUTPUTS = ((3,), (), (1,), (), ())
ON = (True, False, True, False, True)
RATE = 0.37


def arrays(seed: int, scale: float = 1.0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [np.asarray(scale * generator.normal(size=shape)) for shape in SHAPES]


def tensors(leaves: list[np.ndarray], dtype: str = "float64") -> trees.Tree:
    return [tf.constant(leaf, dtype) for leaf in leaves]


GRADIENT, WEIGHTS = arrays(0), arrays(1)
WEIGHTS[0][0, 0, 0, 0] = 0.0  # where the sign is 0


def clipped_unit(g: np.ndarray, w: np.ndarray, threshold: float) -> np.ndarray:
    """The equation of Brock et al. for one unit."""
    bound = threshold * max(float(np.sqrt((w**2).sum())), 1e-3)
    return g * min(1.0, bound / max(float(np.sqrt((g**2).sum())), 1e-6))


def adaptively_clipped(g: np.ndarray, w: np.ndarray, threshold: float) -> np.ndarray:
    """Unit by unit, in a loop: columns, the last axis of a kernel; a vector as a whole."""
    if g.ndim < 2:
        return clipped_unit(g, w, threshold)
    found = np.empty_like(g)
    for i in range(g.shape[-1]):
        found[..., i] = clipped_unit(g[..., i], w[..., i], threshold)
    return found


def centralized(g: np.ndarray) -> np.ndarray:
    return g - g.reshape(-1, g.shape[-1]).mean(axis=0) if g.ndim > 1 else g


class EquationsTest(tf.test.TestCase, parameterized.TestCase):
    def made(self, transform: Transform, tree: list[np.ndarray], weights: list[np.ndarray]) -> trees.Tree:
        """Eager, and the same compiled."""
        start = start_of(tensors(weights), learning_rate=RATE)
        eager, _ = transform(tensors(tree), start)
        compiled = tf.function(lambda tree, start: transform(tree, start)[0])(tensors(tree), start)
        self.assert_equal(compiled, [leaf.numpy() for leaf in eager])
        return eager

    def assert_equal(self, found: trees.Tree, expected: list[np.ndarray]) -> None:
        for leaf, other in zip(found, expected, strict=True):
            self.assertAllClose(leaf, other, rtol=1e-12, atol=1e-13)

    def test_centralize(self) -> None:
        found = self.made(centralization(OUTPUTS), GRADIENT, WEIGHTS)
        self.assert_equal(found, [centralized(g) for g in GRADIENT])
        self.assertAllClose(tf.reduce_sum(found[0], axis=[0, 1, 2]), np.zeros(5), atol=1e-13)
        again = self.made(centralization(OUTPUTS), [leaf.numpy() for leaf in found], WEIGHTS)
        self.assert_equal(again, [leaf.numpy() for leaf in found])

    def test_the_inputs_of_a_unit_are_all_axes_but_its_outputs(self) -> None:
        g, w = np.random.default_rng(0).normal(size=(2, 3, 2, 4, 5))
        for outputs, inputs in (((2,), (0, 1, 3)), ((2, 3), (0, 1))):
            found = self.made(centralization([outputs]), [g], [g])
            self.assert_equal(found, [g - g.mean(axis=inputs, keepdims=True)])
            lengths = [np.sqrt((leaf**2).sum(axis=inputs, keepdims=True)) for leaf in (g, w)]
            clipped = self.made(adaptive_clipping(0.9, [outputs], [True]), [g], [w])
            self.assert_equal(clipped, [g * np.minimum(1, 0.9 * lengths[1] / lengths[0])])

    @parameterized.parameters(0.01, 0.5, 3.0)
    def test_adaptive_clip(self, threshold: float) -> None:
        weights = [scale * w for scale, w in zip((1.0, 1e-6, 0.3, 2.0, 1.0), WEIGHTS, strict=True)]
        gradient = [scale * g for scale, g in zip((1.0, 1e-2, 1.0, 1e-9, 0.0), GRADIENT, strict=True)]
        found = self.made(adaptive_clipping(threshold, OUTPUTS, [True] * 5), gradient, weights)
        expected = [adaptively_clipped(g, w, threshold) for g, w in zip(gradient, weights, strict=True)]
        self.assert_equal(found, expected)
        self.assertNotAllClose(found[1], gradient[1], rtol=1e-3, atol=0)
        self.assertAllEqual(found[3], gradient[3])  # shorter than the smallest norm that is divided by
        some = self.made(adaptive_clipping(threshold, OUTPUTS, ON), gradient, weights)
        self.assert_equal(some, [e if on else g for e, g, on in zip(expected, gradient, ON, strict=True)])

    def test_what_is_not_clipped_keeps_its_bits(self) -> None:
        g = tensors([np.array([1e-40, -1e-42, -0.0, 1e-3] * 4)], "float32")
        start = start_of(tensors([np.ones(16)], "float32"))
        found, _ = tf.function(adaptive_clipping(1.0, [()], [True]))(g, start)
        self.assertEqual(bits(found), bits(g))

    def test_penalties(self) -> None:
        chosen = [w for w, on in zip(WEIGHTS, ON, strict=True) if on]
        squared = sum((w**2).sum() for w in chosen)
        for transform, term in (
            (l2(0.3, ON), lambda w: 0.3 * w),
            (l1(0.3, ON), lambda w: 0.3 * np.sign(w)),
            (squared_deviation(0.3, 2.5, ON), lambda w: 0.3 * 2 * (squared - 2.5**2) * w),
        ):
            found = self.made(transform, GRADIENT, WEIGHTS)
            expected = [g + term(w) if on else g for g, w, on in zip(GRADIENT, WEIGHTS, ON, strict=True)]
            self.assert_equal(found, expected)

    def test_penalties_are_gradients(self) -> None:
        w = [tf.Variable(leaf) for leaf in tensors(WEIGHTS)]
        zero = [np.zeros_like(g) for g in GRADIENT]
        with tf.GradientTape(persistent=True) as tape:
            squared = tf.add_n([tf.reduce_sum(leaf * leaf) for leaf in w])
            values = {"l2": 0.3 / 2 * squared, "squared_deviation": 0.3 / 2 * (squared - 4.0) ** 2}
        whole = [True] * 5
        for name, transform in (
            ("l2", l2(0.3, whole)),
            ("squared_deviation", squared_deviation(0.3, 2.0, whole)),
        ):
            expected = [leaf.numpy() for leaf in tape.gradient(values[name], w)]
            self.assert_equal(self.made(transform, zero, WEIGHTS), expected)

    def test_on_no_variable(self) -> None:
        none = [False] * 5
        for transform in (l2(0.3, none), l1(0.3, none), squared_deviation(0.3, 1.0, none)):
            self.assertEqual(bits(self.made(transform, GRADIENT, WEIGHTS)), bits(tensors(GRADIENT)))

    @parameterized.parameters((True, RATE * 0.3), (False, 0.3))
    def test_decoupled_weight_decay(self, times_rate: bool, share: float) -> None:
        found = self.made(decoupled_weight_decay(0.3, ON, times_rate=times_rate), GRADIENT, WEIGHTS)
        self.assert_equal(
            found, [u - share * w if on else u for u, w, on in zip(GRADIENT, WEIGHTS, ON, strict=True)]
        )

    def test_the_order_counts(self) -> None:
        def clipped(leaves: list[np.ndarray]) -> list[np.ndarray]:
            norm = np.sqrt(sum((leaf**2).sum() for leaf in leaves))
            return [leaf * min(1.0, 0.5 / (norm + 1e-6)) for leaf in leaves]

        def penalised(leaves: list[np.ndarray]) -> list[np.ndarray]:
            return [g + 0.3 * w for g, w in zip(leaves, WEIGHTS, strict=True)]

        whole = [True] * 5
        start, tree = start_of(tensors(WEIGHTS)), tensors(GRADIENT)
        first, figures = apply_all([clipping(0.5), l2(0.3, whole)], tree, start)
        second, _ = apply_all([l2(0.3, whole), clipping(0.5)], tree, start)
        self.assert_equal(first, penalised(clipped(GRADIENT)))
        self.assert_equal(second, clipped(penalised(GRADIENT)))
        self.assertNotAllClose(first[0], second[0], rtol=0.1, atol=0.1)
        self.assertEqual(set(figures), {"clipped", "clip_factor"})

    def test_none_changes_nothing(self) -> None:
        found, figures = apply_all([], tensors(GRADIENT), start_of(tensors(WEIGHTS)))
        self.assertEqual((bits(found), figures), (bits(tensors(GRADIENT)), {}))

    def test_the_gradients_dtype_is_kept(self) -> None:
        whole = [True] * 5
        transforms = [
            centralization(OUTPUTS), adaptive_clipping(0.01, OUTPUTS, whole), l2(0.1, whole), l1(0.1, whole),
            squared_deviation(0.1, 1.0, whole), decoupled_weight_decay(0.1, whole, times_rate=True),
        ]  # fmt: skip
        for of_sums, of_weights in (("float64", "float32"), ("float32", "float32"), ("float32", "bfloat16")):
            start = start_of(tensors(WEIGHTS, of_weights))
            found, _ = apply_all(transforms, tensors(GRADIENT, of_sums), start)
            self.assertEqual({leaf.dtype.name for leaf in found}, {of_sums})

    def test_a_threshold_that_is_not_positive(self) -> None:
        with self.assertRaisesRegex(ValueError, "threshold is 0"):
            adaptive_clipping(0.0, OUTPUTS, [True] * 5)


if __name__ == "__main__":
    tf.test.main()
