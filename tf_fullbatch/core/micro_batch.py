"""The loss of one micro-batch as a pure function of the parameters.

Nothing here reads or writes a variable, so the function can be looped over micro-batches, compiled by XLA,
evaluated at shifted weights or differentiated again.
"""

import contextlib
import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from tf_fullbatch.core import keras_internals, transforms
from tf_fullbatch.core.fused_kernels import fused_batch_norm
from tf_fullbatch.core.network_call import NetworkCall, NetworkOutput
from tf_fullbatch.core.second_derivatives import exact_second_derivatives
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError

Augmentation = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
"""Maps (inputs `[batch, ...]`, sample_ids int64 `[batch]`, epoch int64 scalar) to inputs of the same shape."""

SampleLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Maps (targets, outputs) to one loss per sample, `[batch]` or `[batch, ...]` (averaged over the rest)."""


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


class StepScalars(NamedTuple):
    """The scalars that hold for a whole step.

    Attributes:
        step: int64, optimizer updates completed before.
        epoch: int64, passes over the data completed before.
        learning_rate: Rate of this step.
        micro_batch_penalty: `s`, strength of the penalty on the micro-batches' gradients in this step.
        full_penalty: `a`, strength of the penalty on the whole update batch's gradient in this step.
    """

    step: tf.Tensor
    epoch: tf.Tensor
    learning_rate: tf.Tensor
    micro_batch_penalty: tf.Tensor
    full_penalty: tf.Tensor


class Evaluated(NamedTuple):
    """What a micro-batch's loss is made of.

    Attributes:
        loss: Scalar, mean over the samples plus the network's own losses; without noise weights.
        outputs: `[batch, ...]`, the network's outputs in training, at least float32, with their Keras mask.
        measurements: What `NetworkState.measurements` returned.
        weight: Scalar, what the micro-batch counts for in a mean over the set: its samples or, where the network
            masks its outputs, its unmasked places.
    """

    loss: tf.Tensor
    outputs: tf.Tensor
    measurements: Tree
    weight: tf.Tensor


class MicroBatchLoss:
    """Losses of micro-batches of a network, as functions of the parameters.

    Args:
        call: The network as a pure function.
        sample_loss: Loss per sample; the micro-batch's loss is its mean plus the losses that the network's
            layers add (`add_loss`, regularizers).
        augmentation: Applied to the inputs on the device; None for none.
        seed: Seed of dropout, other random layers and noise.
        multiplicative_noise: Standard deviation of the factors on the samples' losses.
        fused_kernels: Use fused batch normalisation where first derivatives alone are wanted.
    """

    def __init__(
        self,
        call: NetworkCall,
        sample_loss: SampleLoss,
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        multiplicative_noise: float = 0.0,
        fused_kernels: bool = False,
    ):
        self.call = call
        self.sample_loss = sample_loss
        self._augmentation = augmentation
        self._seed = seed
        self._noise = multiplicative_noise
        self._fused_kernels = fused_kernels

    def without_noise(self) -> "MicroBatchLoss":
        """The same losses without random factors, so that value and derivatives are those of one function."""
        calm = copy.copy(self)
        calm._noise = 0.0
        return calm

    def prepared(self, batch: MicroBatch, scalars: StepScalars) -> MicroBatch:
        """The micro-batch as the network gets it in this step: augmented, with noise on its losses."""
        if self._augmentation is not None:
            batch = batch._replace(inputs=self._augmentation(batch.inputs, batch.sample_ids, scalars.epoch))
        if self._noise:
            weights = transforms.sample_loss_weights(self._seed, scalars.step, batch.sample_ids, self._noise)
            batch = batch._replace(weights=weights)
        return batch

    def value(
        self,
        theta: Sequence[tf.Tensor],
        state: Sequence[tf.Tensor],
        batch: MicroBatch,
        scalars: StepScalars,
        *,
        derivatives: int = 1,
    ) -> tuple[tf.Tensor, Evaluated]:
        """The micro-batch's training loss.

        Args:
            theta: Tree, values of the trainable variables.
            state: Values of the non-trainable variables at the beginning of the step.
            batch: The samples, as `prepared` returns them.
            scalars: The step.
            derivatives: How often the loss will be differentiated, 0 to 2: 2 takes kernels whose second derivatives
                are exact.

        Returns:
            The loss to differentiate (with `batch.weights`), and what it is made of.
        """
        called = self.called(theta, state, batch, scalars, derivatives=derivatives)
        outputs = as_full_precision(called.outputs)
        mean, weighted, weight = self.of_outputs(outputs, called.mask, batch)
        if called.losses:
            extra = added_losses(called.losses, mean.dtype)
            mean, weighted = mean + extra, weighted + extra
        return weighted, Evaluated(mean, outputs, called.measurements, weight)

    def called(
        self,
        theta: Sequence[tf.Tensor],
        state: Sequence[tf.Tensor],
        batch: MicroBatch,
        scalars: StepScalars,
        *,
        derivatives: int,
    ) -> NetworkOutput:
        """What the network gives for a micro-batch, before any loss; `value` describes the arguments."""

        def seed() -> tf.Tensor:
            of_step = tf.stack([tf.cast(self._seed, tf.int64), scalars.step])
            folded = tf.random.experimental.stateless_fold_in(of_step, batch.index)
            return tf.cast(folded % tf.int32.max, tf.int32)

        with self._kernels(derivatives):
            return self.call.call(theta, state, seed, batch.inputs)

    def of_outputs(
        self, outputs: tf.Tensor, mask: tf.Tensor | None, batch: MicroBatch
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The loss as a function of the network's outputs, without what layers add.

        Args:
            outputs: `[batch, ...]`, at least float32.
            mask: The network's mask of them, or None.
            batch: The samples.

        Returns:
            The mean loss, the mean with `batch.weights`, and what the micro-batch counts for.
        """
        losses = self.sample_loss(batch.targets, outputs)
        mask = counted(mask, losses)
        mean, weight = mean_loss(losses, mask, outputs)
        if batch.weights is None:
            return mean, mean, weight
        if not losses.shape.rank:
            raise UserError(
                "--multiplicative_noise needs a loss per sample, but the loss is one number per micro-batch."
            )
        factors = tf.reshape(tf.cast(batch.weights, losses.dtype), [-1] + [1] * (losses.shape.rank - 1))
        return mean, mean_loss(factors * losses, mask, outputs)[0], weight

    def _kernels(self, derivatives: int) -> contextlib.AbstractContextManager[None]:
        if derivatives == 2:
            return exact_second_derivatives()
        return fused_batch_norm() if self._fused_kernels else contextlib.nullcontext()


def added_losses(losses: Sequence[tf.Tensor], dtype: tf.DType) -> tf.Tensor | float:
    """The sum of the losses that a network's layers add (`add_loss`, regularizers); 0.0 where there are none."""
    return tf.add_n([tf.cast(loss, dtype) for loss in losses]) if losses else 0.0


def counted(mask: tf.Tensor | None, losses: tf.Tensor) -> tf.Tensor | None:
    """Where losses count: the outputs' mask, and the losses' own, which Keras' `ignore_class` leaves on them."""
    own = keras_internals.mask_of(losses)
    if mask is None or own is None:
        return own if mask is None else mask
    return tf.cast(mask, tf.bool) & tf.cast(own, tf.bool)


def mean_loss(losses: tf.Tensor, mask: tf.Tensor | None, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean of a micro-batch's losses, and what it counts for in a mean over the set.

    Args:
        losses: `[batch, ...]`; or a scalar, a loss of the micro-batch as a whole.
        mask: `[batch, ...]` of a rank up to that of the losses, True where a loss counts; None: all count.
        outputs: `[batch, ...]`, what the losses are of.

    Returns:
        The mean over what counts (0 where nothing does), and the number of samples or, with a mask, of the places
        that count, as a scalar of the losses' dtype.

    Raises:
        UserError: There is a mask, and no loss per sample that it could weight.
    """
    if mask is None:
        return tf.reduce_mean(losses), tf.cast(samples_of(outputs), losses.dtype)
    if not losses.shape.rank:
        raise UserError(
            "The network masks places, but the loss is one number per micro-batch, which a mask cannot weight: let it "
            "return a loss per sample or place."
        )
    counts = tf.cast(mask, losses.dtype)
    while counts.shape.rank < losses.shape.rank:
        counts = counts[..., tf.newaxis]
    counts = tf.broadcast_to(counts, tf.shape(losses))
    places = tf.reduce_sum(counts)
    return tf.math.divide_no_nan(tf.reduce_sum(counts * losses), places), places


def samples_of(batch: tf.Tensor) -> tf.Tensor:
    """int32, the leading size of `[batch, ...]`; a constant where it is known."""
    known = batch.shape[0]
    return tf.shape(batch)[0] if known is None else tf.constant(known)


def as_full_precision(outputs: tf.Tensor) -> tf.Tensor:
    """Half-precision outputs as float32, others unchanged; a Keras mask stays with them."""
    if outputs.dtype not in (tf.bfloat16, tf.float16):
        return outputs
    full = tf.cast(outputs, tf.float32)
    keras_internals.keep_mask(outputs, full)
    return full
