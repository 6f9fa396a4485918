"""The training objective as a pure function of tensors: one micro-batch's loss, gradient and penalty.

Nothing here reads or writes a variable, so the function can be looped over micro-batches, compiled by XLA,
evaluated at shifted weights or differentiated again.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_fullbatch.core import penalties, trees
from tf_fullbatch.core.network_state import NetworkState
from tf_fullbatch.core.second_derivatives import exact_second_derivatives
from tf_fullbatch.core.trees import Tree

Augmentation = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
"""Maps (inputs `[batch, ...]`, sample_ids int64 `[batch]`, epoch int64 scalar) to inputs of the same shape."""

SampleLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Maps (targets, outputs) to one loss a sample, `[batch]` or `[batch, ...]` (averaged over the rest)."""


class MicroBatch(NamedTuple):
    """The samples of one forward and backward pass.

    Attributes:
        inputs: `[batch, ...]`, raw (pixels as uint8).
        targets: `[batch]` or `[batch, ...]`.
        sample_ids: int64 `[batch]`, positions in the source's fixed order.
        index: int64 scalar, the micro-batch's index within the step.
        weights: `[batch]`, factors on the samples' losses (gradient noise); None for ones.
    """

    inputs: tf.Tensor
    targets: tf.Tensor
    sample_ids: tf.Tensor
    index: tf.Tensor
    weights: tf.Tensor | None = None


class Clock(NamedTuple):
    """The scalars that hold for a whole step.

    Attributes:
        step: int64, optimizer updates completed before.
        epoch: int64, passes over the data completed before.
        learning_rate: Rate of this step.
        strength: `s`, strength of the micro-batch penalty in this step.
        full_strength: `a`, strength of the full-gradient penalty in this step.
    """

    step: tf.Tensor
    epoch: tf.Tensor
    learning_rate: tf.Tensor
    strength: tf.Tensor
    full_strength: tf.Tensor


class MicroBatchResult(NamedTuple):
    """What one micro-batch contributes to a step.

    Attributes:
        gradient: Tree, `g_b + (lr / 4) * H_b v`.
        loss: Scalar, mean over the samples plus the network's own losses; without noise weights.
        outputs: `[batch, ...]`, the network's outputs in training, at least float32.
        measurements: What `NetworkState.measurements` returned.
        squared_norm: `|g_b|^2`, of the unpenalised gradient.
    """

    gradient: Tree
    loss: tf.Tensor
    outputs: tf.Tensor
    measurements: Tree
    squared_norm: tf.Tensor


class Objective:
    """Loss and gradient of micro-batches of a network.

    Args:
        network: A built Keras model with one input and one output.
        state: The network's non-trainable variables, sorted.
        sample_loss: Loss a sample; the micro-batch's loss is its mean plus the losses that the network's
            layers add (`add_loss`, regularizers).
        penalty: A key of `penalties.PENALTIES`.
        penalty_epsilon: Step length of the finite differences, in parameter space.
        augmentation: Applied to the inputs on the device; None for none.
        seed: Seed of dropout and other random layers.
        jit_compile: Compile the micro-batch's gradient with XLA.
    """

    def __init__(
        self,
        network: keras.Model,
        state: NetworkState,
        sample_loss: SampleLoss,
        *,
        penalty: str = "none",
        penalty_epsilon: float = 0.01,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        jit_compile: bool = False,
    ):
        self.network = network
        self.state = state
        self.seed = seed
        self._sample_loss = sample_loss
        self._augmentation = augmentation
        self._product = penalties.PENALTIES[penalty]
        self._epsilon = penalty_epsilon
        self._twice_differentiated = penalty in penalties.EXACT
        self._gradient = self._micro_batch_gradient
        if jit_compile:
            self._gradient = tf.function(self._micro_batch_gradient, jit_compile=True, autograph=False)

    def theta(self) -> Tree:
        """The trainable variables' present values."""
        return [tf.convert_to_tensor(v.value) for v in self.network.trainable_variables]

    def loss(
        self, theta: Sequence[tf.Tensor], state: Sequence[tf.Tensor], batch: MicroBatch, clock: Clock
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor, Tree]]:
        """The micro-batch's training loss as a function of the parameters.

        Args:
            theta: Tree, values of the trainable variables.
            state: Values of the non-trainable variables at the beginning of the step.
            batch: The samples, already augmented.
            clock: The step.

        Returns:
            The loss to differentiate (with `batch.weights`), and (loss without weights, outputs, measurements).
        """
        seed = tf.stack([tf.cast(self.seed, tf.int64), clock.step])
        seed = tf.random.experimental.stateless_fold_in(seed, batch.index)
        seed = tf.cast(seed % tf.int32.max, tf.int32)
        with exact_second_derivatives() if self._twice_differentiated else contextlib.nullcontext():
            outputs, returned, extra = self.network.stateless_call(
                theta, self.state.feed(state, seed), batch.inputs, training=True, return_losses=True
            )
        outputs = as_full_precision(outputs)
        losses = self._sample_loss(batch.targets, outputs)
        extra_loss = tf.add_n([tf.cast(e, losses.dtype) for e in extra]) if extra else 0.0
        loss = tf.reduce_mean(losses) + extra_loss
        weighted = loss
        if batch.weights is not None:
            weights = tf.reshape(tf.cast(batch.weights, losses.dtype), [-1] + [1] * (losses.shape.rank - 1))
            weighted = tf.reduce_mean(weights * losses) + extra_loss
        return weighted, (loss, outputs, self.state.measurements(returned))

    def gradient(
        self,
        theta: Sequence[tf.Tensor],
        state: Sequence[tf.Tensor],
        batch: MicroBatch,
        clock: Clock,
        full_gradient: Sequence[tf.Tensor] | None = None,
        *,
        penalised: bool = True,
    ) -> MicroBatchResult:
        """The micro-batch's (penalised) gradient and what else the step sums up.

        Args:
            theta: Tree, values of the trainable variables.
            state: Values of the non-trainable variables at the beginning of the step.
            batch: The samples, raw.
            clock: The step.
            full_gradient: Tree, gradient of the whole update batch; None without the full-gradient penalty.
            penalised: False leaves the penalty out.
        """
        batch = self.augmented(batch, clock)
        return self._gradient(list(theta), list(state), batch, clock, full_gradient, penalised)

    def augmented(self, batch: MicroBatch, clock: Clock) -> MicroBatch:
        """The micro-batch as the network gets it."""
        if self._augmentation is None:
            return batch
        return batch._replace(inputs=self._augmentation(batch.inputs, batch.sample_ids, clock.epoch))

    def _micro_batch_gradient(
        self,
        theta: Tree,
        state: Tree,
        batch: MicroBatch,
        clock: Clock,
        full_gradient: Sequence[tf.Tensor] | None,
        penalised: bool,
    ) -> MicroBatchResult:
        def loss_function(parameters: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tuple]:
            return self.loss(parameters, state, batch, clock)

        def direction(gradient: Tree) -> Tree:
            v = trees.scale(clock.strength, gradient)
            return v if full_gradient is None else trees.add_scaled(v, clock.full_strength, full_gradient)

        if self._product is None or not penalised:
            point = penalties.gradient_only(loss_function, theta)
            gradient = point.gradient
        else:
            point = self._product(loss_function, theta, direction, self._epsilon)
            assert point.product is not None
            gradient = trees.add_scaled(point.gradient, clock.learning_rate / 4, point.product)
        loss, outputs, measurements = point.auxiliary
        return MicroBatchResult(gradient, loss, outputs, measurements, trees.squared_norm(point.gradient))


def as_full_precision(outputs: tf.Tensor) -> tf.Tensor:
    """Half-precision outputs as float32; others unchanged."""
    return tf.cast(outputs, tf.float32) if outputs.dtype in (tf.bfloat16, tf.float16) else outputs
