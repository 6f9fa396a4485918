"""Vector operations on lists of tensors, against NumPy on the concatenated vector."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_fullbatch.core import trees

SHAPES = ((3, 2), (), (4,), (0, 5))


def tree(seed: int, dtype: str = "float64") -> trees.Tree:
    """Leaves of several ranks, one of them empty."""
    generator = np.random.default_rng(seed)
    return [tf.constant(generator.normal(size=shape), dtype) for shape in SHAPES]


def vector(x: trees.Tree) -> np.ndarray:
    """All entries of a tree, in order."""
    return np.concatenate([np.reshape(leaf.numpy(), -1) for leaf in x])


class ElementwiseTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.x, self.y = tree(0), tree(1)

    def test_subtract_scale_add_scaled(self):
        x, y = vector(self.x), vector(self.y)
        self.assertAllEqual(vector(trees.subtract(self.x, self.y)), x - y)
        self.assertAllEqual(vector(trees.scale(-0.1, self.x)), -0.1 * x)
        self.assertAllEqual(vector(trees.add_scaled(self.x, 0.1, self.y)), x + 0.1 * y)

    def test_shapes_and_dtypes_are_kept(self):
        for result in (trees.scale(2.0, self.x), trees.add_scaled(self.x, tf.constant(2.0), self.y)):
            self.assertEqual([tuple(leaf.shape) for leaf in result], list(SHAPES))
            self.assertEqual({leaf.dtype for leaf in result}, {tf.float64})

    def test_trees_of_different_length_are_refused(self):
        for function in (trees.subtract, trees.dot):
            with self.assertRaises(ValueError):
                function(self.x, self.y[:-1])
        with self.assertRaises(ValueError):
            trees.add_scaled(self.x, 1.0, self.y[:-1])


class ProductsTest(tf.test.TestCase):
    def test_dot_and_norms(self):
        x, y = tree(2), tree(3)
        self.assertAllClose(trees.dot(x, y), vector(x) @ vector(y), rtol=1e-14, atol=0)
        self.assertAllClose(trees.squared_norm(x), vector(x) @ vector(x), rtol=1e-14, atol=0)
        self.assertAllClose(trees.global_norm(x), np.linalg.norm(vector(x)), rtol=1e-14, atol=0)
        self.assertAllEqual(trees.max_norm(x), np.abs(vector(x)).max())

    @settings(deadline=None, max_examples=25)
    @given(seed=st.integers(0, 10_000), factor=st.floats(-1e3, 1e3))
    def test_norms_are_homogeneous_and_ordered(self, seed, factor):
        x = tree(seed)
        for norm in (trees.global_norm, trees.max_norm):
            self.assertAllClose(norm(trees.scale(factor, x)), abs(factor) * norm(x), rtol=1e-13, atol=1e-150)
        self.assertLessEqual(float(trees.max_norm(x)), float(trees.global_norm(x)))
        self.assertLessEqual(
            abs(float(trees.dot(x, tree(seed + 1)))),
            float(trees.global_norm(x) * trees.global_norm(tree(seed + 1))),
        )

    def test_gradient_of_the_squared_norm_is_twice_the_tree_and_zero_at_zero(self):
        for x in (tree(4), trees.scale(0.0, tree(4))):
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = trees.squared_norm(x)
            self.assertAllEqual(vector(tape.gradient(value, x)), 2 * vector(x))

    def test_max_norm_of_nothing_is_zero(self):
        self.assertEqual(float(trees.max_norm([tf.zeros([0, 3])])), 0.0)


class FlattenTest(tf.test.TestCase):
    def test_round_trip(self):
        x = tree(5)
        flat = trees.flatten(x)
        self.assertAllEqual(flat, vector(x))
        for leaf, restored in zip(x, trees.unflatten(flat, x), strict=True):
            self.assertEqual(leaf.shape, restored.shape)
            self.assertAllEqual(leaf, restored)

    def test_unflatten_like_variables_in_a_graph(self):
        variables = [tf.Variable(leaf) for leaf in tree(6)]
        compiled = tf.function(lambda flat: trees.unflatten(flat, variables))
        self.assertAllEqual(vector(compiled(tf.constant(np.arange(11.0)))), np.arange(11.0))

    def test_a_vector_of_the_wrong_length_is_refused(self):
        with self.assertRaises((ValueError, tf.errors.InvalidArgumentError)):
            trees.unflatten(tf.zeros([12]), tree(7))


class MixedDtypesTest(tf.test.TestCase):
    """Layers may have a dtype of their own: what joins leaves is computed in the widest."""

    def setUp(self) -> None:
        super().setUp()
        self.x, self.y = (
            [
                tf.cast(leaf, d)
                for leaf, d in zip(tree(seed), ("float32", "float64", "bfloat16", "float32"), strict=True)
            ]
            for seed in (8, 9)
        )
        self.x64, self.y64 = ([tf.cast(leaf, tf.float64) for leaf in t] for t in (self.x, self.y))

    def test_numbers_and_vectors_are_those_of_the_leaves_in_float64(self) -> None:
        for function in (trees.squared_norm, trees.global_norm, trees.max_norm, trees.flatten):
            self.assertEqual(function(self.x).dtype, tf.float64)
            self.assertAllEqual(function(self.x), function(self.x64))
        self.assertAllEqual(trees.dot(self.x, self.y), trees.dot(self.x64, self.y64))

    def test_leaves_keep_their_dtypes(self) -> None:
        for result in (
            trees.scale(0.5, self.x),
            trees.subtract(self.x, self.y),
            trees.add_scaled(self.x, tf.constant(0.5), self.y),
        ):
            self.assertEqual([leaf.dtype for leaf in result], [leaf.dtype for leaf in self.x])

    def test_widest(self) -> None:
        leaves = {name: tf.zeros([2], name) for name in ("bfloat16", "float16", "float32", "float64")}
        for names, expected in (
            (["bfloat16"], tf.bfloat16),
            (["float16", "float16"], tf.float16),
            (["bfloat16", "float16"], tf.float32),
            (["bfloat16", "float32"], tf.float32),
            (["float32", "float64"], tf.float64),
        ):
            self.assertEqual(trees.widest([leaves[name] for name in names]), expected)

    def test_gradient_of_the_squared_norm_is_in_the_leaves_dtypes(self) -> None:
        with tf.GradientTape() as tape:
            tape.watch(self.x)
            value = trees.squared_norm(self.x)
        for gradient, leaf in zip(tape.gradient(value, self.x), self.x, strict=True):
            self.assertEqual(gradient.dtype, leaf.dtype)
            self.assertAllEqual(gradient, 2 * leaf)


if __name__ == "__main__":
    tf.test.main()
