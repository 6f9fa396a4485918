"""The loss of one micro-batch as a pure function of the parameters.

Nothing here reads or writes a variable, so the function can be looped over micro-batches, compiled by XLA,
evaluated at shifted weights or differentiated again.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tf_fullbatch.core import keras_internals, max_up
from tf_fullbatch.core.fast_group_norm import fast_group_norm
from tf_fullbatch.core.fused_kernels import fused_batch_norm
from tf_fullbatch.core.loss_weights import sample_loss_weights
from tf_fullbatch.core.mixing import Mix, Mixed, Partners
from tf_fullbatch.core.network_call import NetworkCall, NetworkOutput
from tf_fullbatch.core.second_derivatives import elementwise_cross_entropies, exact_second_derivatives
from tf_fullbatch.core.training_loss import MeanLoss, TrainingLoss
from tf_fullbatch.core.trees import Tree

Augmentation = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
"""Maps (inputs `[batch, ...]`, sample_ids int64 `[batch]`, epoch int64 scalar) to inputs of the same shape."""


class MicroBatch(NamedTuple):
    """The samples of one forward and backward pass.

    Attributes:
        inputs: `[batch, ...]`, raw (pixels as uint8); of several inputs a tuple of them, or name -> inputs.
        targets: `[batch]` or `[batch, ...]`; of several outputs a tuple of them, or name -> targets.
        sample_ids: int64 `[batch]`, positions in the source's fixed order.
        index: int64 scalar, the micro-batch's index within the step.
        weights: Sample weights, see `training_loss.TrainingLoss`; None for ones.
        noise: `[batch]`, factors on the samples' losses (gradient noise); None for ones.
        partners: The samples that these are to be mixed with; None for none, and as soon as they are.
        mixed: What samples are of that have been mixed; None for others.
    """

    inputs: Any
    targets: Any
    sample_ids: tf.Tensor
    index: tf.Tensor
    weights: Any = None
    noise: tf.Tensor | None = None
    partners: Partners | None = None
    mixed: Mixed | None = None


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
        loss: Scalar, mean over the samples plus the network's own losses; without noise.
        outputs: `[batch, ...]`, the network's outputs in training, at least float32, with their Keras mask; or a
            structure of them.
        measurements: What `NetworkState.measurements` returned.
        of_outputs: What the loss is made of, without the network's own losses.
        masks: The Keras mask of each output, or None: a compiled function does not keep it on its results.
    """

    loss: tf.Tensor
    outputs: Any
    measurements: Tree
    of_outputs: MeanLoss
    masks: list[tf.Tensor | None]


class MicroBatchLoss:
    """Losses of micro-batches of a network, as functions of the parameters.

    Args:
        call: The network as a pure function.
        training_loss: The loss of the network's outputs; the micro-batch's loss is that plus the losses that the
            network's layers add (`add_loss`, regularizers).
        augmentation: Applied to the inputs on the device; None for none.
        mix: Mixes samples with their partners after that; None for none.
        seed: Seed of dropout, other random layers and noise.
        multiplicative_noise: Standard deviation of the factors on the samples' losses.
        fused_kernels: Normalise by faster kernels than Keras' own: batches where first derivatives alone are wanted
            (`fused_batch_norm`), groups always (`fast_group_norm`).
        copies: Augmented copies of each sample, of which the one of the highest loss counts (`max_up`); 1 for none.

    Attributes:
        call, training_loss, augmentation: The same.
        copies: The same: how many samples the network is called on for each of the micro-batch.
    """

    def __init__(
        self,
        call: NetworkCall,
        training_loss: TrainingLoss,
        *,
        augmentation: Augmentation | None = None,
        mix: Mix | None = None,
        seed: int = 0,
        multiplicative_noise: float = 0.0,
        fused_kernels: bool = False,
        copies: int = 1,
    ):
        self.call = call
        self.training_loss = training_loss
        self.augmentation = augmentation
        self._mix = mix
        self._seed = seed
        self._noise = multiplicative_noise
        self._fused_kernels = fused_kernels
        self.copies = copies

    def without_noise(self) -> "MicroBatchLoss":
        """The same losses without random factors, so that value and derivatives are those of one function."""
        calm = copy.copy(self)
        calm._noise = 0.0
        return calm

    def in_inference(self) -> "MicroBatchLoss":
        """The same losses of the network in inference."""
        calm = copy.copy(self)
        calm.call = self.call.in_inference()
        return calm

    def prepared(self, batch: MicroBatch, scalars: StepScalars) -> MicroBatch:
        """The micro-batch as the network gets it in this step: augmented, `copies` inputs of each sample one after the
        other, or mixed, with noise on its losses."""
        if self.copies == 1 or self.augmentation is None:
            batch = augmented(batch, scalars.epoch, self.augmentation, self._mix)
        else:
            of_samples = batch.inputs, batch.sample_ids, scalars.epoch
            batch = batch._replace(inputs=max_up.copies_of(self.augmentation, *of_samples, self.copies))
        if self._noise:
            noise = sample_loss_weights(self._seed, scalars.step, batch.sample_ids, self._noise)
            batch = batch._replace(noise=noise)
        return batch

    def value(
        self,
        theta: Sequence[tf.Tensor],
        state: Sequence[tf.Tensor],
        batch: MicroBatch,
        scalars: StepScalars,
        *,
        derivatives: int = 1,
        second_alone: bool = False,
    ) -> tuple[tf.Tensor, Evaluated]:
        """The micro-batch's training loss.

        Args:
            theta: Tree, values of the trainable variables.
            state: Values of the non-trainable variables at the beginning of the step.
            batch: The samples, as `prepared` returns them.
            scalars: The step.
            derivatives: How often the loss will be differentiated, 0 to 2: 2 takes kernels whose second derivatives
                are exact.
            second_alone: Second derivatives alone are wanted, not value and gradient to the last bit.

        Returns:
            The loss to differentiate (with `batch.noise`), and what it is made of.
        """
        called = self.called(theta, state, batch, scalars, derivatives=derivatives)
        outputs = as_full_precision(called.outputs)
        loss = self.of_outputs(outputs, batch, second_alone=second_alone)
        mean, noisy = loss.mean, loss.noisy
        if called.losses:
            extra = added_losses(called.losses, mean.dtype)
            mean, noisy = mean + extra, noisy + extra
        masks = [keras_internals.mask_of(output) for output in tf.nest.flatten(outputs)]
        return noisy, Evaluated(mean, outputs, called.measurements, loss, masks)

    def called(
        self,
        theta: Sequence[tf.Tensor],
        state: Sequence[tf.Tensor],
        batch: MicroBatch,
        scalars: StepScalars,
        *,
        derivatives: int,
    ) -> NetworkOutput:
        """What the network gives for a micro-batch, before any loss: of several copies of a sample, for the hardest.

        `value` describes the arguments.
        """

        def seed() -> tf.Tensor:
            of_step = tf.stack([tf.cast(self._seed, tf.int64), scalars.step])
            folded = tf.random.experimental.stateless_fold_in(of_step, batch.index)
            return tf.cast(folded % tf.int32.max, tf.int32)

        with self._kernels(derivatives):
            found = self.call.call(theta, state, seed, batch.inputs)
        if self.copies == 1:
            return found
        outputs = as_full_precision(found.outputs)
        return found._replace(outputs=max_up.hardest(self.training_loss, batch.targets, outputs, self.copies))

    def of_outputs(self, outputs: Any, batch: MicroBatch, *, second_alone: bool = False) -> MeanLoss:
        """The loss as a function of the network's outputs, at least float32, without what layers add; see `value`."""
        with elementwise_cross_entropies() if second_alone else contextlib.nullcontext():
            return self.training_loss(batch.targets, outputs, batch.weights, batch.noise, batch.mixed)

    @contextlib.contextmanager
    def _kernels(self, derivatives: int) -> Iterator[None]:
        with contextlib.ExitStack() as kernels:
            if derivatives == 2:
                kernels.enter_context(exact_second_derivatives())
            elif self._fused_kernels:
                kernels.enter_context(fused_batch_norm())
            if self._fused_kernels:
                kernels.enter_context(fast_group_norm())
            yield


def augmented(
    batch: MicroBatch, epoch: tf.Tensor, augmentation: Augmentation | None, mix: Mix | None
) -> MicroBatch:
    """A micro-batch with its inputs changed at random and, where it has partners, mixed with these, changed too.

    Args:
        batch: As the feed gives it.
        epoch: Whose changes.
        augmentation: Of inputs; None for none.
        mix: Of samples with partners; None for none.
    """
    partners, own = batch.partners, batch.inputs
    if mix is None or partners is None:
        if augmentation is not None:
            own = augmentation(own, batch.sample_ids, epoch)
        return batch._replace(inputs=own, partners=None)
    other = partners.inputs
    if augmentation is not None:
        ids = tf.concat([batch.sample_ids, partners.sample_ids], 0)
        both = augmentation(tf.concat([own, other], 0), ids, epoch)
        count = tf.shape(batch.sample_ids)[0]
        own, other = (tf.ensure_shape(x, own.shape) for x in (both[:count], both[count:]))
    mixed, share = mix(own, other, batch.sample_ids, epoch)
    return batch._replace(inputs=mixed, partners=None, mixed=Mixed(partners.targets, share))


def added_losses(losses: Sequence[tf.Tensor], dtype: tf.DType) -> tf.Tensor | float:
    """The sum of the losses that a network's layers add (`add_loss`, regularizers); 0.0 where there are none."""
    return tf.add_n([tf.cast(loss, dtype) for loss in losses]) if losses else 0.0


def as_full_precision(outputs: Any) -> Any:
    """Half-precision outputs, or a structure of them, as float32, others unchanged; a Keras mask stays with them."""
    return tf.nest.map_structure(_as_full_precision, outputs)


def _as_full_precision(outputs: tf.Tensor) -> tf.Tensor:
    if outputs.dtype not in (tf.bfloat16, tf.float16):
        return outputs
    full = tf.cast(outputs, tf.float32)
    keras_internals.keep_mask(outputs, full)
    return full
