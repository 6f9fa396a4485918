"""How an update batch is cut into micro-batches: their samples, counted without calling the network."""

import numpy as np
import tensorflow as tf

from tf_fullbatch.core.micro_batch import MicroBatch, MicroBatchLoss, StepScalars
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.passes import Contribution
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.core.weighted_means import samples_of
from tf_fullbatch.errors import UserError


def micro_batch_sizes(objective: Objective) -> np.ndarray:
    """Samples of each micro-batch, int64 `[micro-batches]`; costs no gradient evaluation.

    Args:
        objective: Of the update batch.

    Raises:
        UserError: There is one micro-batch alone, so that nothing can be said of their differences.
    """
    sizes = np.asarray(objective.measure(_CountKernel, evaluations=0).each)[:, 0].astype(np.int64)
    refuse_one(len(sizes))
    return sizes


def refuse_one(micro_batches: int) -> None:
    """Refuses a set that is not cut at all.

    Raises:
        UserError: There are fewer than two micro-batches.
    """
    if micro_batches < 2:
        raise UserError(
            f"the set is {micro_batches} micro-batch: statistics of the differences between micro-batches need two at "
            "least; make them smaller."
        )


class _CountKernel:
    """Counts the samples of a micro-batch."""

    def __init__(self, loss: MicroBatchLoss):
        del loss

    def like(self) -> tuple[tuple, tuple, tf.TensorSpec]:
        """See `passes.Kernel`: the samples, of each."""
        return (), (), tf.TensorSpec([])

    def __call__(self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars) -> Contribution:
        """See `passes.Kernel`."""
        del theta, state, scalars
        samples = samples_of(batch.sample_ids)
        return Contribution((), (), samples, samples, samples)
