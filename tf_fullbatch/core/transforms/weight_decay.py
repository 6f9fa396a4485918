"""Decoupled weight decay: a part of the update that no method sees."""

from collections.abc import Sequence

import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.transforms.base import Figures, StepStart, Transform
from tf_fullbatch.core.trees import Tree


def decoupled_weight_decay(coefficient: float, included: Sequence[bool], *, times_rate: bool) -> Transform:
    """Of an update u: `u - lr c w`, or `u - c w`, w the weights before it.

    Args:
        coefficient: c.
        included: Whether each variable decays.
        times_rate: Multiply by the learning rate of the step.

    Source: Loshchilov & Hutter 2019 (arXiv 1711.05101), algorithm 2, where the factor is that of the schedule alone;
    with the rate in it, as in AdamW's usual codes.
    """

    def transform(tree: Tree, start: StepStart) -> tuple[Tree, Figures]:
        found = []
        for u, w, decays in zip(tree, start.weights, included, strict=True):
            factor = trees.scalar(coefficient, u.dtype)
            if times_rate:
                factor *= tf.cast(start.learning_rate, u.dtype)
            found.append(u - factor * tf.cast(w, u.dtype) if decays else u)
        return found, {}

    return transform
