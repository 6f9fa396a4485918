"""Figures of every sample by itself, asked of an objective whose micro-batches have one sample each."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tf_fullbatch.core.micro_batch import MicroBatch, MicroBatchLoss, StepScalars
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.passes import Contribution
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.core.weighted_means import samples_of
from tf_fullbatch.errors import UserError

_PART = 2**22
"""Sample numbers travel in two parts, each of which float32 holds exactly."""


class SampleKernel(ABC):
    """A kernel that keeps figures of micro-batches of one sample; see `passes.Kernel`.

    Args:
        loss: The micro-batch's loss.

    Attributes:
        count: How many figures.
    """

    count: ClassVar[int] = 1

    def __init__(self, loss: MicroBatchLoss):
        self.loss = loss

    @abstractmethod
    def figures(
        self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars
    ) -> Sequence[tf.Tensor]:
        """`count` scalars of a micro-batch as the network gets it; the arguments are those of a kernel."""

    def like(self) -> tuple[tuple, tuple, list[tf.TensorSpec]]:
        """See `passes.Kernel`: the figures, then which sample it is, in two parts, and how many there are."""
        return (), (), [tf.TensorSpec([])] * (self.count + 3)

    def __call__(self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars) -> Contribution:
        """See `passes.Kernel`."""
        batch = self.loss.prepared(batch, scalars)
        samples, first = samples_of(batch.sample_ids), batch.sample_ids[0]
        figures = list(self.figures(theta, state, batch, scalars))
        return Contribution((), (), [*figures, first // _PART, first % _PART, samples], samples, samples)


def of_each_sample(
    objective: Objective,
    kernel: Callable[[MicroBatchLoss], SampleKernel],
    theta: Sequence[tf.Tensor] | None,
    evaluations: float,
) -> np.ndarray:
    """`[samples, figures]` float64, in the order of the sample ids: that of the arrays, however they are shuffled.

    Args:
        objective: With micro-batches of one sample, of the network in inference: `statistics="frozen"`. A sample's
            figures then depend on no other sample.
        kernel: What is kept of each sample.
        theta: Tree, one array or tensor per trainable variable; None for the present weights.
        evaluations: Gradient evaluations per sample that the kernel spends.

    Raises:
        UserError: The objective is another one, or theta does not fit.
    """
    if objective.statistics != "frozen":
        raise UserError(
            f"the objective has statistics={objective.statistics!r}: figures of single samples take the network in "
            "inference; ask for statistics='frozen'."
        )
    each = np.asarray(objective.measure(kernel, theta, evaluations=evaluations).each, np.float64)
    *figures, high, low, samples = each.T
    if np.any(samples != 1):
        raise UserError(
            f"the objective has micro-batches of up to {samples.max():.0f} samples: figures of single samples take one "
            "each; ask for micro_batch_size=1."
        )
    order = np.argsort(high.astype(np.int64) * _PART + low.astype(np.int64), kind="stable")
    return np.stack(figures, axis=1)[order]
