"""What a transform of the gradient or of the update is, and several in a row.

A transform is a pure function of tensors: it keeps nothing from step to step, and its noise, if any, is a function of
seed and step alone. So every replica and every rerun gets the same.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from tf_fullbatch.core.trees import Tree


class StepStart(NamedTuple):
    """Where a step begins.

    Attributes:
        weights: Tree, the trainable variables before the step.
        step: int64 scalar, updates made so far.
        learning_rate: Scalar, the rate of the step, without factors of single variables.
    """

    weights: Tree
    step: tf.Tensor
    learning_rate: tf.Tensor


Figures = dict[str, tf.Tensor]
"""Name -> scalar that is measured on the way."""

Transform = Callable[[Tree, StepStart], tuple[Tree, Figures]]
"""Maps (gradient or update, where the step begins) to (the same shapes and dtypes, figures)."""


def apply_all(transforms: Sequence[Transform], tree: Tree, start: StepStart) -> tuple[Tree, Figures]:
    """The transforms one after the other; their figures together."""
    figures: Figures = {}
    for transform in transforms:
        tree, measured = transform(tree, start)
        figures |= measured
    return tree, figures
