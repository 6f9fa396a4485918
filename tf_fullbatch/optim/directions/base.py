"""What a direction of descent is to the method that goes along it."""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple, Protocol

import tensorflow as tf

from tf_fullbatch.core.trees import Tree

Kept = Mapping[str, tf.Tensor]
"""Name -> what a direction keeps from step to step."""


class Slot(NamedTuple):
    """Something that is kept.

    Attributes:
        shape: Its shape.
        dtype: Its type; None for that of the vectors.
    """

    shape: tuple[int, ...] = ()
    dtype: str | None = None


def dot(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """The inner product of two vectors, a scalar."""
    return tf.reduce_sum(x * y)


class Direction(Protocol):
    """A rule for directions, pure: what it keeps is handed in and given back. Vectors are `[parameters]`.

    Attributes:
        natural: Whether a step along the whole direction is the one that it is made for, as Newton's.
        gradients_compared: Whether gradients of different steps are, which then have to be of one function.
    """

    natural: ClassVar[bool]
    gradients_compared: ClassVar[bool]

    def keeps(self, size: int) -> Mapping[str, Slot]:
        """Name -> what is kept, zeros at first.

        Args:
            size: Number of parameters.
        """

    def direction(self, kept: Kept, gradient: tf.Tensor, theta: Tree) -> tuple[tf.Tensor, Kept]:
        """The direction at a point, and what is kept now.

        Args:
            kept: What was kept.
            gradient: There.
            theta: Tree, the point; for what is a rule of each variable.
        """

    def accepted(self, kept: Kept, gradient: tf.Tensor, direction: tf.Tensor, length: tf.Tensor) -> Kept:
        """What is kept after a step of some length along a direction, that of `direction` or the gradient's negative.

        Args:
            kept: What was kept.
            gradient: Where the step began.
            direction: Along which.
            length: Scalar, float64.
        """

    def forgotten(self, kept: Kept) -> Kept:
        """What is kept where all that was learnt is to be forgotten."""
