"""A gradient of a few leaves, and how trees are compared."""

import numpy as np
import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.transforms.base import StepStart

SHAPES = ((3, 4), (5,), ())


def gradient(seed: int = 0, scale: float = 1.0, dtype: str = "float64") -> trees.Tree:
    """A gradient of three leaves."""
    generator = np.random.default_rng(seed)
    return [tf.constant(scale * generator.normal(size=shape), dtype) for shape in SHAPES]


def vector(x: trees.Tree) -> np.ndarray:
    """All entries of a tree, in order."""
    return trees.flatten(x).numpy()


def bits(x: trees.Tree) -> list[bytes]:
    """The leaves' memory, to compare to the bit."""
    return [leaf.numpy().tobytes() for leaf in x]


def start_of(weights: trees.Tree, step: int = 0, learning_rate: float = 0.1) -> StepStart:
    """Where a step begins, in float64."""
    return StepStart(weights, tf.constant(step, tf.int64), tf.constant(learning_rate, tf.float64))
