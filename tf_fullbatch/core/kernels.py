"""What passes compute of a micro-batch: its loss, its gradient with the penalty, its curvature along a direction."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tf_fullbatch.core import keras_internals, penalties, trees
from tf_fullbatch.core.curvature import CurvatureProduct
from tf_fullbatch.core.micro_batch import Evaluated, MicroBatch, MicroBatchLoss, StepScalars
from tf_fullbatch.core.passes import Contribution, Kernel, Scored
from tf_fullbatch.core.penalties import GradientAndProduct, Penalty
from tf_fullbatch.core.perturbations import Perturbation
from tf_fullbatch.core.transforms.clipping import clip_by_norm
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.core.weighted_means import samples_of

Change = Penalty | Perturbation
"""What changes a micro-batch's gradient by a further pass over it."""


class GradientMeans(NamedTuple):
    """Means over the set, weighted as losses are.

    Attributes:
        gradient: Tree, of `g_b + (lr / 4) H_b v`, or what else a change makes of `g_b`.
        loss: Scalar, without noise weights.
        squared_norm: Scalar, of `|g_b|^2`, the unchanged gradients.
        cross_entropy: Scalar, see `TrainingLoss.cross_entropy`; 0 where that has no meaning.
        unpenalised: Tree, of `g_b` alone, not clipped; empty where it was not asked for.
    """

    gradient: Tree
    loss: tf.Tensor
    squared_norm: tf.Tensor
    cross_entropy: tf.Tensor
    unpenalised: Tree


class SampleMeans(NamedTuple):
    """Means over the samples of the set.

    Attributes:
        accuracy: Scalar, the share of samples classified correctly; 0 where that has no meaning.
        measurements: Tree, of what `NetworkState.measurements` returned.
    """

    accuracy: tf.Tensor
    measurements: Tree


class MicroBatchFigures(NamedTuple):
    """Figures of one micro-batch, or, stacked, `[micro-batches]` of each.

    Attributes:
        loss: Its mean loss.
        squared_norm: `|g_b|^2`.
        finite: 1 where its loss and every entry of its (penalised) gradient is finite, else 0.
        samples: Its samples.
    """

    loss: tf.Tensor
    squared_norm: tf.Tensor
    finite: tf.Tensor
    samples: tf.Tensor


class GradientKernel:
    """The loss and the gradient of a micro-batch.

    Args:
        loss: The micro-batch's loss.
        change: A penalty or a perturbation, which changes the gradient; None for none.
        clip_norm: Largest norm of the micro-batch's changed gradient; None for no clipping.
        clip_norm_type: "l2" or "inf".
        jit_compile: Compile the gradient with XLA.
        each: Keep `MicroBatchFigures` of each micro-batch.
        unpenalised: Sum up the micro-batches' own gradients too, beside those changed and clipped.
    """

    def __init__(
        self,
        loss: MicroBatchLoss,
        change: Change | None = None,
        *,
        clip_norm: float | None = None,
        clip_norm_type: str = "l2",
        jit_compile: bool = False,
        each: bool = False,
        unpenalised: bool = False,
    ):
        self._loss = loss
        self._change = change
        self._clip_norm = clip_norm
        self._clip_norm_type = clip_norm_type
        self._each = each
        self._unpenalised = unpenalised
        self._point = self._evaluate
        if jit_compile:
            self._point = tf.function(self._evaluate, jit_compile=True, autograph=False)

    def like(self) -> tuple[GradientMeans, SampleMeans, Any]:
        """See `passes.Kernel`."""
        call, number = self._loss.call, tf.TensorSpec([])
        gradient = [tf.TensorSpec(v.shape) for v in call.weights]
        measured = [tf.TensorSpec(v.shape) for v in call.state.updated_variables]
        each = MicroBatchFigures(number, number, number, number) if self._each else ()
        own = list(gradient) if self._unpenalised else []
        return GradientMeans(gradient, number, number, number, own), SampleMeans(number, measured), each

    def __call__(
        self,
        theta: Tree,
        state: Tree,
        batch: MicroBatch,
        scalars: StepScalars,
        full_gradient: Tree | None = None,
    ) -> Contribution:
        """See `passes.Kernel`; `full_gradient` is the update batch's, for the penalty on its norm."""
        batch = self._loss.prepared(batch, scalars)
        point = self._point(list(theta), list(state), batch, scalars, full_gradient)
        evaluated: Evaluated = point.auxiliary
        for output, mask in zip(tf.nest.flatten(evaluated.outputs), evaluated.masks, strict=True):
            keras_internals.put_mask(output, mask)
        gradient = point.gradient
        if self._change is not None:
            gradient = self._change.changed(point, scalars)
        if self._clip_norm is not None:
            gradient = clip_by_norm(gradient, self._clip_norm, self._clip_norm_type).gradient
        # Kept off the backward pass's way, see `trees.in_turn`.
        with tf.control_dependencies(gradient):
            accuracy = self._loss.training_loss.accuracy(batch.targets, evaluated.outputs, batch.mixed)
            cross_entropy = self._loss.training_loss.cross_entropy(
                batch.targets, evaluated.outputs, batch.weights, evaluated.of_outputs, batch.mixed
            )
        with tf.control_dependencies([accuracy]):
            squared_norm = trees.squared_norm(point.gradient)
        samples = samples_of(batch.sample_ids)
        own = list(point.gradient) if self._unpenalised else []
        each: Any = ()
        if self._each:
            finite = [tf.reduce_all(tf.math.is_finite(x)) for x in (evaluated.loss, *gradient)]
            each = MicroBatchFigures(evaluated.loss, squared_norm, tf.reduce_all(finite), samples)
        return Contribution(
            GradientMeans(gradient, evaluated.loss, squared_norm, cross_entropy, own),
            SampleMeans(accuracy, evaluated.measurements),
            each,
            evaluated.of_outputs.weight,
            samples,
            Scored(batch.targets, evaluated.outputs, batch.weights, evaluated.of_outputs),
        )

    def _evaluate(
        self,
        theta: Tree,
        state: Tree,
        batch: MicroBatch,
        scalars: StepScalars,
        full_gradient: Tree | None,
    ) -> GradientAndProduct:
        derivatives = 2 if self._change is not None and self._change.exact else 1

        def loss_function(parameters: Sequence[tf.Tensor]) -> tuple[tf.Tensor, Evaluated]:
            return self._loss.value(parameters, state, batch, scalars, derivatives=derivatives)

        if self._change is None:
            return penalties.value_and_gradient(loss_function, theta)
        return self._change(loss_function, theta, scalars, full_gradient)


class LossKernel:
    """The training loss of a micro-batch, by a forward pass alone."""

    def __init__(self, loss: MicroBatchLoss):
        self._loss = loss

    def like(self) -> tuple[tf.TensorSpec, tf.TensorSpec, tuple]:
        """See `passes.Kernel`: the loss, the accuracy."""
        return tf.TensorSpec([]), tf.TensorSpec([]), ()

    def __call__(self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars) -> Contribution:
        """See `passes.Kernel`."""
        batch = self._loss.prepared(batch, scalars)
        _, evaluated = self._loss.value(theta, state, batch, scalars, derivatives=0)
        accuracy = self._loss.training_loss.accuracy(batch.targets, evaluated.outputs, batch.mixed)
        return Contribution(
            evaluated.loss, accuracy, (), evaluated.of_outputs.weight, samples_of(batch.sample_ids)
        )


class ProductKernel:
    """Products of a micro-batch's derivatives with directions.

    Args:
        loss: The micro-batch's loss.
        product: One of `curvature`'s functions.
        count: How many products it makes of the directions.
    """

    def __init__(self, loss: MicroBatchLoss, product: CurvatureProduct, count: int = 1):
        self._loss = loss
        self._product = product
        self._count = count

    def like(self) -> tuple[list[tf.TensorSpec], tuple, tuple]:
        """See `passes.Kernel`: the products, the leaves of one after those of the other."""
        return self._count * [tf.TensorSpec(v.shape) for v in self._loss.call.weights], (), ()

    def __call__(
        self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars, *directions: Tree
    ) -> Contribution:
        """See `passes.Kernel`; `directions` are trees like theta."""
        batch = self._loss.prepared(batch, scalars)
        products, weight = self._product(self._loss, theta, state, batch, scalars, *directions)
        return Contribution(products, (), (), weight, samples_of(batch.sample_ids))


class StatisticsKernel:
    """What a micro-batch makes of the network's statistics, by a forward pass in training."""

    def __init__(self, loss: MicroBatchLoss):
        self._loss = loss

    def like(self) -> tuple[tuple, list[tf.TensorSpec], tuple]:
        """See `passes.Kernel`: `NetworkState.measurements`."""
        return (), [tf.TensorSpec(v.shape) for v in self._loss.call.state.updated_variables], ()

    def __call__(self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars) -> Contribution:
        """See `passes.Kernel`."""
        batch = self._loss.prepared(batch, scalars)
        samples = samples_of(batch.sample_ids)
        called = self._loss.called(theta, state, batch, scalars, derivatives=0)
        return Contribution((), called.measurements, (), samples, samples)


class WithState:
    """A kernel that is told the values of the non-trainable variables, in place of their present ones."""

    def __init__(self, kernel: Kernel):
        self._kernel = kernel

    def like(self) -> tuple[Any, Any, Any]:
        """See `passes.Kernel`."""
        return self._kernel.like()

    def __call__(
        self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars, given: Tree, *extra: Any
    ) -> Contribution:
        """See `passes.Kernel`; `given` are the values."""
        del state
        return self._kernel(theta, list(given), batch, scalars, *extra)
