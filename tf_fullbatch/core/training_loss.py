"""The loss of a micro-batch as a function of the network's outputs: which outputs, places and weights count."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from tf_fullbatch.core import keras_internals
from tf_fullbatch.core.accuracy import Correct
from tf_fullbatch.core.mixing import Mixed
from tf_fullbatch.core.weighted_means import counted, mean_loss, spread
from tf_fullbatch.errors import UserError

SampleLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Maps (targets, outputs) to one loss per sample, `[batch]` or `[batch, ...]` (averaged over the rest)."""


class OutputLoss(NamedTuple):
    """The loss of one of a network's outputs.

    Attributes:
        function: Loss per sample.
        factor: What its mean counts for in the sum over the outputs (Keras' `loss_weights`); None for 1.
        by_weights: Divide by the sum of the sample weights (Keras' reduction "mean_with_sample_weight"), not by the
            number of places that count.
        name: The loss's own name.
        cross_entropy: The loss per sample without label smoothing, the same function where there is none; None where
            the loss is no cross-entropy of classes.
        correct: Whether each sample is classified correctly, see `accuracy.correct_by`; None where that has no meaning.
        mixes: Whether the loss of a mean of two targets is the mean of their losses.
    """

    function: SampleLoss
    factor: float | None = None
    by_weights: bool = False
    name: str = "loss"
    cross_entropy: SampleLoss | None = None
    correct: Correct | None = None
    mixes: bool = False


class MeanLoss(NamedTuple):
    """A micro-batch's loss, without what layers add.

    Attributes:
        mean: Scalar.
        noisy: Scalar, the same with noise factors on the samples' losses.
        weight: Scalar, what the micro-batch counts for in a mean over the set: its samples or, where outputs are
            masked, its unmasked places, or the sum of its sample weights.
        of_outputs: The mean of each output's loss, without its factor, in the order of `TrainingLoss.names`.
    """

    mean: tf.Tensor
    noisy: tf.Tensor
    weight: tf.Tensor
    of_outputs: list[tf.Tensor]


class TrainingLoss:
    """The loss of a network's outputs: the sum over them of each one's mean.

    Over a set of many micro-batches the mean of an output's loss is that which Keras takes of the set as one batch: the
    sum of `weight * loss` over all unmasked places, divided by their number (or by the sum of the weights).

    Args:
        outputs: Name -> loss; None for an output that has none. An only output may have any name.

    Attributes:
        losses: The same.
        names: Of the outputs that have a loss.
        has_cross_entropy: Whether there is one loss, and it is a cross-entropy of classes.
        mixes: Whether there is one loss, and it is linear in the target.
        has_accuracy: Whether there is one loss, and its samples are classified correctly or not.
    """

    def __init__(self, outputs: Mapping[str, OutputLoss | None]):
        self.losses = dict(outputs)
        given = {name: loss for name, loss in outputs.items() if loss is not None}
        self.names = list(given)
        self.has_cross_entropy = [loss.cross_entropy is None for loss in given.values()] == [False]
        self.mixes = [loss.mixes for loss in given.values()] == [True]
        self.has_accuracy = [loss.correct is None for loss in given.values()] == [False]

    @classmethod
    def of_one(cls, function: SampleLoss, correct: Correct | None = None) -> "TrainingLoss":
        """The loss of a network of one output."""
        return cls({"output": OutputLoss(function, correct=correct)})

    def __call__(
        self,
        targets: Any,
        outputs: Any,
        weights: Any = None,
        noise: tf.Tensor | None = None,
        mixed: Mixed | None = None,
    ) -> MeanLoss:
        """The loss of a micro-batch.

        Args:
            targets: `[batch, ...]`; of several outputs a structure like theirs, or name -> targets.
            outputs: `[batch, ...]`, at least float32, with their Keras masks; or a structure of them.
            weights: Sample weights, `[batch]` or `[batch, ...]`; or a structure like the outputs. None for ones.
            noise: `[batch]`, factors on the samples' losses; None for ones.
            mixed: Of samples that are mixed, of one output; None for others.

        Raises:
            UserError: Structures that do not match, or outputs whose means have no common denominator.
        """
        flat_outputs = self.leaves(outputs, "outputs")
        flat_targets = self.leaves(targets, "targets", partial=True)
        shared = weights is None or tf.is_tensor(weights)
        flat_weights = [weights] * len(self.losses) if shared else self.leaves(weights, "weights")
        terms, means = [], []
        for name, target, output, weight in zip(
            self.losses, flat_targets, flat_outputs, flat_weights, strict=True
        ):
            loss = self.losses[name]
            if loss is None:
                continue
            losses = _of_mixed(loss.function, target, output, mixed)
            counts = counted(keras_internals.mask_of(output), losses)
            mean, of_set = mean_loss(losses, counts, output, weight, loss.by_weights)
            noisy = mean
            if noise is not None:
                factors = spread("multiplicative_noise", noise, losses)
                noisy, _ = mean_loss(factors * losses, counts, output, weight, loss.by_weights)
            means.append(mean)
            if loss.factor is not None:
                mean, noisy = loss.factor * mean, loss.factor * noisy
            plain = counts is None and not (loss.by_weights and weight is not None)
            terms.append((mean, noisy, of_set, None if plain else (counts, losses.shape.rank)))
        self._refuse_unequal([kind for *_, kind in terms])
        total, noisy_total, of_set, _ = terms[0]
        for mean, noisy, _, _ in terms[1:]:
            total, noisy_total = total + tf.cast(mean, total.dtype), noisy_total + tf.cast(noisy, total.dtype)
        return MeanLoss(total, noisy_total if noise is not None else total, of_set, means)

    def cross_entropy(
        self, targets: Any, outputs: Any, weights: Any, loss: MeanLoss, mixed: Mixed | None = None
    ) -> tf.Tensor:
        """The mean of a micro-batch's cross-entropy, without label smoothing; 0 where `has_cross_entropy` is false.

        It counts places and weights as the loss does.

        Args:
            targets: As of `__call__`.
            outputs: As of `__call__`.
            weights: As of `__call__`.
            loss: What `__call__` gave of them.
            mixed: As of `__call__`.
        """
        if not self.has_cross_entropy:
            return tf.zeros([])
        of_output, at = self._only()
        assert of_output.cross_entropy is not None
        if of_output.cross_entropy is of_output.function:
            return loss.of_outputs[0]
        output = self.leaves(outputs, "outputs")[at]
        if not (weights is None or tf.is_tensor(weights)):
            weights = self.leaves(weights, "weights")[at]
        target = self.leaves(targets, "targets", partial=True)[at]
        losses = _of_mixed(of_output.cross_entropy, target, output, mixed)
        counts = counted(keras_internals.mask_of(output), losses)
        return mean_loss(losses, counts, output, weights, of_output.by_weights)[0]

    def accuracy(self, targets: Any, outputs: Any, mixed: Mixed | None = None) -> tf.Tensor:
        """The share of a micro-batch's samples that are classified correctly; 0 where `has_accuracy` is false.

        Args:
            targets: As of `__call__`.
            outputs: As of `__call__`.
            mixed: As of `__call__`: of mixed samples each of the two targets counts by its share.
        """
        if not self.has_accuracy:
            return tf.zeros([])
        of_output, at = self._only()
        assert of_output.correct is not None
        output = self.leaves(outputs, "outputs")[at]
        is_correct = of_output.correct

        def correct(target: Any, output: tf.Tensor) -> tf.Tensor:
            return tf.cast(is_correct(target, output), output.dtype)

        target = self.leaves(targets, "targets", partial=True)[at]
        return tf.reduce_mean(_of_mixed(correct, target, output, mixed))

    def of_samples(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """The loss of each sample, `[batch]`, a mean over its places; of an only output.

        Raises:
            UserError: The loss is not one per sample.
        """
        of_output, _ = self._only()
        losses = of_output.function(targets, outputs)
        if losses.shape.rank == 0 or keras_internals.mask_of(losses) is not None:
            raise UserError(
                f"max_up takes a loss per sample, and {of_output.name!r} gives one per micro-batch or leaves places "
                "out: use another loss."
            )
        return tf.reduce_mean(losses, axis=list(range(1, losses.shape.rank)))

    def _only(self) -> tuple[OutputLoss, int]:
        """The only loss, and which of the outputs has it."""
        (name,) = self.names
        loss = self.losses[name]
        assert loss is not None
        return loss, list(self.losses).index(name)

    def leaves(self, structure: Any, what: str, *, partial: bool = False) -> list[Any]:
        """What a structure has for each output, in their order.

        Args:
            structure: One leaf, a list or tuple of one leaf per output, or name -> leaf.
            what: The structure's name, for messages.
            partial: Whether outputs without a loss may be left out; None stands for them.

        Raises:
            UserError: It does not fit the outputs.
        """
        names = list(self.losses)
        if isinstance(structure, Mapping):
            if len(names) == 1 and len(structure) == 1:
                return list(structure.values())
            unknown = set(structure) - set(names)
            if not unknown and (partial or len(structure) == len(names)):
                lacking = [name for name in self.names if name not in structure]
                if lacking:
                    raise UserError(
                        f"The {what} have nothing for the output {lacking[0]!r}, which has a loss: give one array per "
                        "output."
                    )
                return [structure.get(name) for name in names]
            given = ", ".join(map(repr, structure))
        elif isinstance(structure, list | tuple):
            if len(structure) == len(names):
                return list(structure)
            if partial and len(structure) == len(self.names):
                given_to = iter(structure)
                return [next(given_to) if name in self.names else None for name in names]
            given = f"{len(structure)} array(s)"
        elif len(names) == 1:
            return [structure]
        else:
            given = "one array"
        raise UserError(
            f"The {what} are {given}, but the network has the output(s) {', '.join(map(repr, names))}: give one array "
            "per output, in their order or by name."
        )

    def _refuse_unequal(self, kinds: list[Any]) -> None:
        """Refuses several outputs whose means over the set divide by different numbers."""
        if not kinds:
            raise UserError("No output has a loss: give compile() one.")
        first = kinds[0]
        for kind in kinds[1:]:
            same = kind is None and first is None
            if first is not None and kind is not None:
                same = first[0] is not None and first[0] is kind[0] and first[1] == kind[1]
            if not same:
                raise UserError(
                    f"The outputs {', '.join(map(repr, self.names))} count places in different ways (masks, or the "
                    "reduction 'mean_with_sample_weight'), so that their means over the set have no common "
                    "denominator: mask all of them alike, or give the weights within the loss."
                )


def _of_mixed(function: SampleLoss, target: Any, output: tf.Tensor, mixed: Mixed | None) -> tf.Tensor:
    """What a function of targets gives of each sample; of mixed ones by the shares of both targets."""
    own = function(target, output)
    if mixed is None:
        return own
    share = spread("the share of a mixed sample", tf.cast(mixed.share, own.dtype), own)
    return share * own + (1 - share) * function(mixed.targets, output)
