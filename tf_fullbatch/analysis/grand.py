"""GraNd: the norm of each sample's loss gradient, by which samples are ranked."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis.by_samples import SampleKernel, of_each_sample
from tf_fullbatch.core import penalties, trees
from tf_fullbatch.core.micro_batch import MicroBatch, StepScalars, as_full_precision
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.trees import Tree


def grand_scores(objective: Objective, theta: Sequence[tf.Tensor] | None = None) -> np.ndarray:
    """`|grad l_i|_2` of each sample's loss, `[samples]` in the order of the sample ids.

    `l_i` is the training loss of the network's outputs alone: neither sample weights nor regularizers count, unlike in
    `per_example_norms`. The published score is the mean over networks that are initialised otherwise (ten of them), a
    few epochs into training; this is of one network. At initialisation the published results do not reproduce: there
    the score follows the norm of the input (Kirsch 2023, arXiv 2303.14753). It costs one gradient evaluation per
    sample, in micro-batches of one.

    Args:
        objective: With micro-batches of one sample, of the network in inference:
            `model.objective(x, y, statistics="frozen", micro_batch_size=1)`.
        theta: Tree, one array or tensor per trainable variable; None for the present weights.

    Raises:
        UserError: The objective is another one, or theta does not fit.

    Source: Paul, Ganguli and Dziugaite 2021 (arXiv 2107.07075), section 2.
    """
    return of_each_sample(objective, _GrandKernel, theta, evaluations=1)[:, 0]


class _GrandKernel(SampleKernel):
    """The norm of the gradient of a sample's loss of the outputs."""

    def figures(
        self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars
    ) -> Sequence[tf.Tensor]:
        """See `SampleKernel.figures`."""
        batch = batch._replace(weights=None)

        def loss_function(at: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tuple]:
            called = self.loss.called(at, state, batch, scalars, derivatives=1)
            return self.loss.of_outputs(as_full_precision(called.outputs), batch).mean, ()

        return [trees.global_norm(penalties.value_and_gradient(loss_function, theta).gradient)]
