"""Objectives of small networks on a set that no micro-batch size divides, and their dense Hessians."""

from typing import Any

import numpy as np
import tensorflow as tf

from tests.core.problems import Problem, flat, micro_batches, objective, scalars
from tests.float64 import Float64Case
from tests.networks import CLASSES, FEATURES
from tf_fullbatch.core import trees
from tf_fullbatch.core.objective import Objective

SAMPLES = 23
GENERATOR = np.random.default_rng(23)
INPUTS = GENERATOR.normal(size=(SAMPLES, FEATURES))
LABELS = GENERATOR.integers(0, CLASSES, SAMPLES)


def asked(problem: Problem, size: int = 8, **settings: Any) -> Objective:
    return objective(problem, INPUTS, LABELS, micro_batch_size=size, **settings)


def random_tree(like: trees.Tree, seed: int = 0) -> trees.Tree:
    generator = np.random.default_rng(seed)
    return [tf.constant(generator.normal(size=leaf.shape)) for leaf in like]


def mean_hessian(problem: Problem, size: int) -> np.ndarray:
    """The mean over samples of the micro-batches' explicit Hessians."""
    parts = micro_batches(INPUTS, LABELS, size)
    return sum(len(p.inputs) / SAMPLES * problem.hessian(p, scalars()) for p in parts)


class ObjectiveCase(Float64Case):
    def assert_close(self, found: Any, expected: Any, tolerance: float = 1e-12) -> None:
        self.assertEqual(np.shape(found), np.shape(expected))
        self.assertLessEqual(np.linalg.norm(found - expected), tolerance * np.linalg.norm(expected))

    def assert_product(self, found: trees.Tree, expected: np.ndarray, v: trees.Tree) -> None:
        self.assert_close(flat(found), expected @ flat(v))
