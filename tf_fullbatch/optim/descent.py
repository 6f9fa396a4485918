"""What a method of descent is to a step: it takes the gradient at a point, and moves the weights."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol

import keras
import tensorflow as tf

from tf_fullbatch.analysis.stability import Stability
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.passes import PassMeans
from tf_fullbatch.core.trees import Tree


class At(NamedTuple):
    """Where a step stands.

    Attributes:
        loss: Scalar, the mean loss over the update batch.
        objective: Scalar, the loss with the penalty.
        gradient: Tree in the variables' dtypes: averaged, penalised, transformed.
    """

    loss: tf.Tensor
    objective: tf.Tensor
    gradient: Tree


class Accepted(NamedTuple):
    """A step that was made.

    Attributes:
        evaluations: Gradient evaluations per sample spent beyond the gradient at the point.
        means: What the objective's pass for the gradient measured at the weights that the step led to, where the method
            has asked for it: the next step on the same function need not ask again. None where it has not.
    """

    evaluations: tf.Tensor | float
    means: PassMeans | None = None


class Descent(Protocol):
    """A method that moves the weights once per step.

    Attributes:
        asks_objective: Whether it asks more of the update batch than the gradient. Its steps are then made one at a
            time from Python, not in a graph.
    """

    asks_objective: ClassVar[bool]

    @property
    def variables(self) -> Sequence[keras.Variable]:
        """Everything that the method keeps from step to step; part of a checkpoint."""

    @property
    def point(self) -> Tree | None:
        """Where the gradient of the step to come is taken, a tree of the weights' shapes; None: at the weights. Asked
        in graphs, too."""

    @property
    def momentum(self) -> Tree | None:
        """The running mean or sum of gradients that the method keeps; None where it keeps none."""

    @property
    def learning_rate(self) -> tf.Tensor:
        """The rate of the step to come, a scalar."""

    @property
    def steps_completed(self) -> tf.Tensor:
        """int64 scalar, updates made so far."""

    def stability(self, learning_rate: float, clip_factor: float) -> Stability | None:
        """The largest curvature that the method bears at a constant rate; None where that is not known.

        Args:
            learning_rate: The rate.
            clip_factor: What clipping multiplies the gradient by, in (0, 1].
        """

    def step(self, at: At, objective: Objective | None) -> Accepted:
        """Makes one step; outside of replicas. Variables are assigned once, here, and last: what is raised before
        leaves everything as it was.

        Args:
            at: Where the step stands.
            objective: The update batch's objective, where `asks_objective`, whose questions a stop may interrupt
                (`RunInterruptedError`); else None.

        Raises:
            NoStepError: There is no step from here, or none that is finite.
        """
